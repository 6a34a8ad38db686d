"""The paging tokens of the activity streams. They hold all they need, so that they survive a restart.

A token says either "since this time" (from pagingtoken.json) or "from this position" (from a page of a stream).
A position is the id of the next activity in the order of commit.

UNCONFIRMED: where the stream of a since-token begins. Here: at the first activity committed at or after that time, so
that none which happened at or after it is missed, however late it was committed; late arrivals that happened before it
are in the stream as well. Also UNCONFIRMED: whether tokens age (the option `paging_token_seconds`) and what a bad or an
aged one gets (1003).
"""

from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.paging import BAD_TOKEN, TOKEN_PARAMETER, seal, unseal
from marketo_assets.sandbox.marketo.wire import ApiError, Call

_STREAM = "activities"
_SINCE, _POSITION = "since", "position"


def since_token(instance: Instance, since: int) -> str:
    """For a stream that begins at a time, in epoch seconds."""
    return _make(instance, _SINCE, since)


def position_token(instance: Instance, position: int) -> str:
    """For a stream that goes on at a position."""
    return _make(instance, _POSITION, position)


def position_in(token: str) -> int:
    """The position that a page's token says; ApiError (1003) for any other token."""
    kind, value, _ = unseal(_STREAM, token).split()
    if kind != _POSITION:
        raise ApiError(*BAD_TOKEN)
    return int(value)


def asked_position(instance: Instance, call: Call) -> int:
    """Where the token of a call points to: 1002 without one, 1003 for a bad or an aged one."""
    kind, value, made = unseal(_STREAM, call.required(TOKEN_PARAMETER)).split()
    life = instance.options.paging_token_seconds
    if life is not None and instance.now() >= int(made) + life:
        raise ApiError(*BAD_TOKEN)
    return instance.store.position_of(int(value)) if kind == _SINCE else int(value)


def _make(instance: Instance, kind: str, value: int) -> str:
    return seal(_STREAM, f"{kind} {value} {instance.now()}")
