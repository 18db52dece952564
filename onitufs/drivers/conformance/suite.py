"""The suite as a pytest class. A driver's tests derive one class from it and say how an entry is made:

    class TestMyDriver(DriverConformance):
        def new_entry(self, directory: Path) -> Entry:
            return Entry(driver=DRIVER, options=MyOptions(...), outside=MyOutside(...))

The checks themselves need no pytest: each is an async function of a Subject or an Entry.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from . import chunks, keeping, listing, living, moving, naming, placing, reading, removing, watching
from .subject import Entry, Subject, connected

DEADLINE_S = 120.0


class DriverConformance:
    """What every driver has to pass. Abilities that a manifest does not declare are not asked for."""

    def new_entry(self, directory: Path) -> Entry:
        """An entry whose service holds nothing. `directory` is empty and the check's own."""
        raise NotImplementedError

    def _check(self, check: Callable[[Subject], Awaitable[None]], directory: Path) -> None:
        entry = self.new_entry(directory)

        async def run() -> None:
            with trio.fail_after(DEADLINE_S):
                async with connected(entry, directory / "work") as subject:
                    await check(subject)

        trio.run(run)

    def _check_chunks(self, check: Callable[[Subject], Awaitable[None]], directory: Path) -> None:
        async def run(subject: Subject) -> None:
            if chunks.has_chunks(subject):
                await check(subject)

        self._check(run, directory)

    def _live(self, check: Callable[[Entry, Path], Awaitable[None]], directory: Path) -> None:
        entry = self.new_entry(directory)

        async def run() -> None:
            with trio.fail_after(DEADLINE_S):
                await check(entry, directory / "work")

        trio.run(run)

    def test_a_new_file(self, tmp_path: Path) -> None:
        self._check(placing.new_file, tmp_path)

    def test_replaces_in_one_step(self, tmp_path: Path) -> None:
        self._check(placing.replace_in_one_step, tmp_path)

    def test_what_is_replaced_goes_to_trash(self, tmp_path: Path) -> None:
        self._check(placing.replaced_goes_to_trash, tmp_path)

    def test_a_foreign_object_is_a_conflict(self, tmp_path: Path) -> None:
        self._check(placing.foreign_object_is_a_conflict, tmp_path)

    def test_a_foreign_edit_is_a_conflict(self, tmp_path: Path) -> None:
        self._check(placing.foreign_edit_is_a_conflict, tmp_path)

    def test_an_absent_object_is_placed_anew(self, tmp_path: Path) -> None:
        self._check(placing.absent_object_is_placed_anew, tmp_path)

    def test_a_missing_directory_is_gone(self, tmp_path: Path) -> None:
        self._check(placing.missing_directory_is_gone, tmp_path)

    def test_cancelled_half_way_leaves_the_old(self, tmp_path: Path) -> None:
        self._check(placing.cancelled_half_way, tmp_path)

    def test_each_file_of_a_batch_has_its_answer(self, tmp_path: Path) -> None:
        self._check(placing.batch, tmp_path)

    def test_chunks_are_hidden_until_ended(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.hidden_until_ended, tmp_path)

    def test_chunks_resumed_by_another_session(self, tmp_path: Path) -> None:
        self._live(chunks.resumed_by_another_session, tmp_path)

    def test_chunks_of_a_stale_source(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.a_stale_source_passes, tmp_path)

    def test_chunks_aborted(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.aborted, tmp_path)

    def test_chunks_cancelled(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.cancelled_in_a_chunk, tmp_path)

    def test_chunks_ended_and_aborted(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.aborted_after_its_end, tmp_path)

    def test_chunks_and_a_foreign_object_at_the_end(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.a_foreign_object_at_the_end, tmp_path)

    def test_chunks_replace_only_their_base(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.replaces_only_its_base, tmp_path)

    def test_chunks_and_a_missing_directory(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.a_missing_directory_is_gone, tmp_path)

    def test_chunks_end_under_another_name(self, tmp_path: Path) -> None:
        self._check_chunks(chunks.ends_under_another_name, tmp_path)

    def test_awkward_names(self, tmp_path: Path) -> None:
        self._check(naming.awkward_names, tmp_path)

    def test_too_long_a_name(self, tmp_path: Path) -> None:
        self._check(naming.too_long_a_name, tmp_path)

    def test_deep_paths(self, tmp_path: Path) -> None:
        self._check(naming.deep_paths, tmp_path)

    def test_move(self, tmp_path: Path) -> None:
        self._check(moving.move, tmp_path)

    def test_move_over(self, tmp_path: Path) -> None:
        self._check(moving.move_over, tmp_path)

    def test_move_of_what_changed(self, tmp_path: Path) -> None:
        self._check(moving.move_of_what_changed, tmp_path)

    def test_move_of_a_directory(self, tmp_path: Path) -> None:
        self._check(moving.move_a_directory, tmp_path)

    def test_parking(self, tmp_path: Path) -> None:
        self._check(moving.parking, tmp_path)

    def test_delete(self, tmp_path: Path) -> None:
        self._check(removing.delete, tmp_path)

    def test_delete_of_what_changed(self, tmp_path: Path) -> None:
        self._check(removing.delete_of_what_changed, tmp_path)

    def test_remove_directory(self, tmp_path: Path) -> None:
        self._check(removing.remove_directory, tmp_path)

    def test_attributes(self, tmp_path: Path) -> None:
        self._check(keeping.attributes, tmp_path)

    def test_symlinks(self, tmp_path: Path) -> None:
        self._check(keeping.symlinks, tmp_path)

    def test_lists(self, tmp_path: Path) -> None:
        self._check(listing.lists, tmp_path)

    def test_looks_at_many(self, tmp_path: Path) -> None:
        self._check(listing.looks_at_many, tmp_path)

    def test_lists_awkward_names(self, tmp_path: Path) -> None:
        self._check(listing.lists_awkward_names, tmp_path)

    def test_a_broken_list_is_an_error(self, tmp_path: Path) -> None:
        self._check(listing.a_broken_list_is_an_error, tmp_path)

    def test_ids_outlive_renames(self, tmp_path: Path) -> None:
        self._check(listing.ids_outlive_renames, tmp_path)

    def test_reads_by_range(self, tmp_path: Path) -> None:
        self._check(reading.reads_by_range, tmp_path)

    def test_reads_many(self, tmp_path: Path) -> None:
        self._check(reading.reads_many, tmp_path)

    def test_reads_whole(self, tmp_path: Path) -> None:
        self._check(reading.reads_whole, tmp_path)

    def test_a_change_while_reading_is_a_conflict(self, tmp_path: Path) -> None:
        self._check(reading.a_change_while_reading_is_a_conflict, tmp_path)

    def test_a_reading_can_be_ended(self, tmp_path: Path) -> None:
        self._check(reading.a_reading_can_be_ended, tmp_path)

    def test_tells_of_files(self, tmp_path: Path) -> None:
        self._check(watching.tells_of_files, tmp_path)

    def test_tells_of_directories(self, tmp_path: Path) -> None:
        self._check(watching.tells_of_directories, tmp_path)

    def test_tells_what_was_missed(self, tmp_path: Path) -> None:
        self._check(watching.tells_what_was_missed, tmp_path)

    def test_tells_of_ours_that_went_at_once(self, tmp_path: Path) -> None:
        self._check(watching.tells_of_ours_that_went_at_once, tmp_path)

    def test_says_what_is_free(self, tmp_path: Path) -> None:
        self._check(living.says_what_is_free, tmp_path)

    def test_known_again(self, tmp_path: Path) -> None:
        self._live(living.known_again, tmp_path)

    def test_probe_changes_nothing(self, tmp_path: Path) -> None:
        self._live(living.probe_changes_nothing, tmp_path)

    def test_closed_twice(self, tmp_path: Path) -> None:
        self._live(living.closed_twice, tmp_path)
