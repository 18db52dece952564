"""Files that are to be asked about at a certain time: each once, at the earliest time that was named for it."""

import heapq

from onitufs.model.ids import FileId


class Alarms:
    """Times are seconds of one clock, whichever."""

    def __init__(self) -> None:
        self._at: dict[FileId, float] = {}
        self._heap: list[tuple[float, FileId]] = []  # with what was overtaken by an earlier time

    def __len__(self) -> int:
        return len(self._at)

    @property
    def next_s(self) -> float:
        """When the first is due; inf if there is none."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def set(self, file: FileId, at_s: float) -> None:
        """Ask about the file then, or at the earlier time that was named already. Once it rang, it may be set anew."""
        known = self._at.get(file)
        if known is None or at_s < known:
            self._at[file] = at_s
            heapq.heappush(self._heap, (at_s, file))

    def due(self, now_s: float) -> list[FileId]:
        """Take out those whose time has come."""
        rung: list[FileId] = []
        while self.next_s <= now_s:
            file = heapq.heappop(self._heap)[1]
            del self._at[file]
            rung.append(file)
        return rung
