"""How a person proves to a service who is meant: `onitufs auth login ENTRY`.

A driver that needs such a thing names a class in `ManifestedDriver.from_package(..., login="login:MyLogin")`. It works
without a daemon, and before the first mount. What it learns goes where the options say that secrets are kept, or into
the entry's `work_dir`; never into the setup.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from onitufs.model.ids import EntryName


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked. `text`: what there is to know first, lines; `prompt`: the question itself, without ":".

    `secret`: the answer is not shown while it is typed.
    """

    text: str
    prompt: str
    secret: bool = False


class Login(Protocol):
    """One login of one entry; plain, blocking methods. An answer may come to a later object than the one that asked.

    `work_dir`: as Gear.work_dir; it may have to be made.
    """

    def __init__(self, options: Any, *, entry: EntryName, work_dir: Path) -> None: ...

    def start(self) -> Question | None:
        """What is to be asked; None: nothing, all is well. Raises DriverError."""
        ...

    def finish(self, answer: str) -> str:
        """Take the answer; one line that says what was done. Raises DriverError."""
        ...
