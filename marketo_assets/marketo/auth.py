"""The access token: asked for, shared between threads, renewed. Sends nothing itself: it is handed a `fetch`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import orjson

from marketo_assets.marketo.clock import Clock
from marketo_assets.marketo.errors import TokenError, error_for

TOKEN_PATH: Final = "/identity/oauth/token"  # noqa: S105 -- a path, no secret
RENEW_AHEAD_SECONDS: Final = 60.0
_ASKS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One answer of the identity service. Compared by identity: Marketo hands out the same text again and again."""

    value: str = field(repr=False)
    renew_at: float


class TokenSource:
    """One token for all threads. `fetch` returns (token, remaining seconds) and does its own retries."""

    def __init__(self, fetch: Callable[[], tuple[str, float]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def current(self) -> Token:
        """A token that is good for a while; asks for one if there is none or it is near its end.

        Raises TokenError if the credentials are refused.
        """
        with self._lock:
            if self._token is None or self._clock.monotonic() >= self._token.renew_at:
                self._token = self._ask()
            return self._token

    def reject(self, token: Token) -> None:
        """Marketo answered 601 or 602 to this one. Ten threads may say so of one token: it is asked for once."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _ask(self) -> Token:
        # Until it expires Marketo repeats the same token with fewer seconds left, 0 included: then the next one is due
        # at once. A token that comes back with less than the margin is used to its end, or every call would ask.
        for _ in range(_ASKS):
            value, seconds = self._fetch()
            if seconds >= 1:
                ahead = RENEW_AHEAD_SECONDS if seconds > RENEW_AHEAD_SECONDS else 0.0
                return Token(value, self._clock.monotonic() + seconds - ahead)
            self._clock.sleep(1.0)
        raise TokenError("601", f"the identity service gave an expired token {_ASKS} times", TOKEN_PATH)


def read_token(status: int, content: bytes, *, now: float) -> tuple[str, float]:
    """(token, remaining seconds) from a reply of the identity service.

    Raises TokenError for refused credentials, without Marketo's own text: it repeats the client id. A reply that is
    neither raises the error of a bad gateway, which the client tries again.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        body = {}
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED) or "error" in body:
        raise error_for("invalid_client", "Marketo refused the client id or the client secret", TOKEN_PATH, now=now)
    token, seconds = body.get("access_token"), body.get("expires_in")
    if status == HTTPStatus.OK and isinstance(token, str) and token and isinstance(seconds, int | float):
        return token, float(seconds)
    code = "reply" if status == HTTPStatus.OK or status >= HTTPStatus.INTERNAL_SERVER_ERROR else str(status)
    raise error_for(code, f"HTTP {status} without a token", TOKEN_PATH, now=now)
