"""Tokens: handed out by /identity/oauth/token, asked for by every other call."""

import uuid
from collections.abc import Mapping

import orjson

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sandbox.marketo.store import Store
from marketo_assets.sandbox.marketo.wire import ApiError, Reply, Request, read_parameters

TOKEN_PATH = "/identity/oauth/token"  # noqa: S105 - a path, not a secret
_NO_STORE = {"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "Pragma": "no-cache"}


class Identity:
    """The tokens of one instance; they survive a restart."""

    def __init__(self, options: EmulatorOptions, store: Store, clock: Clock) -> None:
        """One custom service, whose credentials are in the options."""
        self._options = options
        self._store = store
        self._clock = clock

    def give_token(self, request: Request) -> Reply:
        """The same token until it expires, with the seconds it has left; HTTP 401 for wrong credentials."""
        if request.method not in {"GET", "POST"}:
            return _json_reply(405, {"error": "invalid_request", "error_description": "Request method not supported"})
        given = {name: values[0] for name, values in read_parameters(request).items()}
        if given.get("grant_type") != "client_credentials":
            return _json_reply(400, {"error": "unsupported_grant_type", "error_description": "Unsupported grant type"})
        known = (self._options.client_id, self._options.client_secret)
        if (given.get("client_id"), given.get("client_secret")) != known:
            return _json_reply(401, {"error": "invalid_client", "error_description": "Bad client credentials"})
        now = self._clock.now()
        newest = self._store.newest_token(self._options.client_id)
        if newest is None or newest[1] <= now:
            newest = (f"{uuid.uuid4()}:int", now + self._options.token_seconds)
            self._store.save_token(newest[0], self._options.client_id, newest[1])
        token, expires = newest
        document = {"access_token": token, "token_type": "bearer", "expires_in": int(expires - now)}
        return _json_reply(200, {**document, "scope": self._options.api_user})

    def check(self, request: Request, parameters: Mapping[str, list[str]]) -> None:
        """Let in who shows a valid token in the Authorization header: 603 none, 601 unknown, 602 expired."""
        token = bearer_token(request)
        if token is None:
            if "access_token" in parameters and self._options.parameter_token_is_invalid:
                raise ApiError("601", "Access token invalid")
            raise ApiError("603", "Access denied")
        expires = self._store.token_expiry(token)
        if expires is None:
            raise ApiError("601", "Access token invalid")
        if expires <= self._clock.now():
            raise ApiError("602", "Access token expired")

    def expire(self, request: Request) -> None:
        """End the life of the token this request carries."""
        token = bearer_token(request)
        if token is not None and self._store.token_expiry(token) is not None:
            self._store.save_token(token, self._options.client_id, self._clock.now())


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _json_reply(status: int, document: Mapping[str, object]) -> Reply:
    return Reply(status, _NO_STORE, orjson.dumps(document))
