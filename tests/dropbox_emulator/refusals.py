"""What a call of the SDK was refused with."""

from collections.abc import Callable
from typing import Any

import pytest
from dropbox import exceptions
from stone.backends.python_rsrc import stone_base


def tags(error: Any) -> str:
    """`path/conflict/file` of an error, through structs that give a reason."""
    found = []
    while isinstance(error, stone_base.Union):
        found.append(error._tag)
        error = getattr(error._value, "reason", error._value)
    return "/".join(found)


def refusal(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The tags of the 409 that the call ends with."""
    with pytest.raises(exceptions.ApiError) as caught:
        call(*arguments, **options)
    return tags(caught.value.error)
