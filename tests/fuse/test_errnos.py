"""One table says which errno an error is, and nothing but FUSEError leaves a handler."""

import errno
import inspect
import logging
import re

import pyfuse3
import pytest
import trio
from pyfuse3 import FUSEError

from onitufs.fuse.errnos import ERRNOS, answering, errno_of, unanswered
from onitufs.fuse.operations import Operations
from onitufs.model import errors


def _below(kind: type[Exception]) -> list[type[Exception]]:
    found = [kind]
    for one in kind.__subclasses__():
        found += _below(one)
    return [one for one in found if one.__module__ == errors.__name__]


def _make(kind: type[Exception]) -> Exception:
    return kind([]) if kind is errors.SetupError else kind("trouble")


async def _answer_of(error: BaseException) -> BaseException:
    @answering
    async def handler() -> None:
        raise error

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        await handler()
    return caught.value


@pytest.mark.parametrize("kind", [k for k in _below(errors.FileError) if k is not errors.FileError])
async def test_each_file_error_is_the_errno_its_docstring_names(kind: type[Exception]) -> None:
    named = re.match(r"E[A-Z0-9]+", kind.__doc__ or "")
    assert named is not None, f"{kind.__name__} does not say which errno it is"
    answer = await _answer_of(_make(kind))
    assert isinstance(answer, FUSEError)
    assert errno.errorcode[answer.errno] == errno.errorcode[getattr(errno, named[0])]


@pytest.mark.parametrize("kind", _below(errors.OnituError))
async def test_no_error_of_ours_leaves_a_handler(kind: type[Exception]) -> None:
    answer = await _answer_of(_make(kind))
    assert isinstance(answer, FUSEError)
    expected = errno_of(_make(kind))
    assert answer.errno == (errno.EIO if expected is None else expected)


def test_file_errors_are_all_in_the_table_themselves() -> None:
    assert {k for k in _below(errors.FileError) if k is not errors.FileError} <= ERRNOS.keys()


async def test_a_bug_is_logged_whole_and_is_eio(caplog: pytest.LogCaptureFixture) -> None:
    answer = await _answer_of(ZeroDivisionError("planted"))
    assert isinstance(answer, FUSEError)
    assert answer.errno == errno.EIO
    assert "Traceback" in caplog.text
    assert "planted" in caplog.text


async def test_expected_errors_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await _answer_of(errors.NoEntry("no such name"))
        await _answer_of(FUSEError(errno.EPERM))
    assert not caplog.records


async def test_neither_names_nor_bytes_get_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @answering
    async def handler(parent: int, name: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(FUSEError):
        await handler(17, b"private.txt")
    assert "17" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EDQUOT, "full"), errno.EDQUOT),
        (OSError("no number"), errno.EIO),
        (trio.TooSlowError(), errno.ETIMEDOUT),
        (ExceptionGroup("", [ExceptionGroup("", [errors.NotEmpty("x")])]), errno.ENOTEMPTY),
        (ExceptionGroup("", [FUSEError(errno.EXDEV)]), errno.EXDEV),
        (ExceptionGroup("", [ValueError(), TypeError()]), errno.EIO),
    ],
)
async def test_other_errors(error: Exception, number: int) -> None:
    answer = await _answer_of(error)
    assert isinstance(answer, FUSEError)
    assert answer.errno == number


async def test_cancellation_passes_untouched() -> None:
    @answering
    async def handler() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(0) as scope:
        await handler()
    assert scope.cancelled_caught


async def test_cancellation_beside_an_error_does_not_hide_it() -> None:
    @answering
    async def handler() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise errors.NoSpace("full")

    with pytest.raises(FUSEError) as caught:
        await handler()
    assert caught.value.errno == errno.ENOSPC


async def test_a_request_to_end_the_program_passes() -> None:
    assert isinstance(await _answer_of(KeyboardInterrupt()), KeyboardInterrupt)


async def test_a_handler_nobody_waits_for_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    @unanswered
    async def handler() -> None:
        raise ZeroDivisionError

    await handler()
    assert "ZeroDivisionError" in caplog.text


def test_every_handler_is_wrapped() -> None:
    ours = {
        name: handler
        for name, handler in inspect.getmembers(Operations, inspect.iscoroutinefunction)
        if name in vars(pyfuse3.Operations) and handler is not getattr(pyfuse3.Operations, name)
    }
    assert len(ours) > 25
    assert [name for name, handler in ours.items() if not hasattr(handler, "__wrapped__")] == []
