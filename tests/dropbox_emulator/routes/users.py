"""users/ and auth/."""

from typing import Any

from .call import Call, Handler


async def get_current_account(call: Call) -> Any:
    return call.account.full()


async def get_space_usage(call: Call) -> Any:
    return call.account.space()


async def revoke(call: Call) -> None:
    call.service.tokens.revoke_by(call.token)


HANDLERS: dict[str, Handler] = {
    "users/get_current_account": get_current_account,
    "users/get_space_usage": get_space_usage,
    "auth/token/revoke": revoke,
}
