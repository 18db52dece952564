"""Calls that must fail, and with which errno."""

import errno
from collections.abc import Callable

import pytest


def fails(number: int | tuple[int, ...], call: Callable[..., object], *arguments: object, **options: object) -> None:
    """The call raises OSError with this errno, or one of these."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  the errno is the match
        call(*arguments, **options)
    numbers = number if isinstance(number, tuple) else (number,)
    assert errno.errorcode[caught.value.errno or 0] in [errno.errorcode[one] for one in numbers]
