"""A transport that answers from a script, for what only the wire can do: bytes, statuses, broken connections.

Behaviour of Marketo's (leads, limits, tokens that run out) is not imitated here: the emulator does that.
"""

import gzip
import io
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from marketo_assets.marketo.auth import TOKEN_PATH


class Reply:
    """One HTTP reply. `cut` bytes are missing at its end although Content-Length promises them."""

    def __init__(self, body: Any, status: int = 200, *, cut: int = 0, zipped: bool = False) -> None:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        self.status = status
        self.headers = {"Content-Type": "application/json;charset=UTF-8"}
        if zipped:
            content = gzip.compress(content)
            self.headers["Content-Encoding"] = "gzip"
        self.headers["Content-Length"] = str(len(content))
        self.content = content[: len(content) - cut]


def ok(result: Sequence[Any] = (), **keys: Any) -> Reply:
    return Reply({"requestId": "a1#b2", "success": True, "result": list(result), **keys})


def error(code: str, message: str = "no") -> Reply:
    return Reply({"requestId": "a1#b2", "success": False, "errors": [{"code": code, "message": message}]})


def token(value: str = "token-1", seconds: float = 3600) -> Reply:
    return Reply({"access_token": value, "token_type": "bearer", "expires_in": seconds, "scope": "api@example.test"})


class ScriptedTransport(BaseAdapter):
    """Plays `answers` in turn, and the last one again and again; token requests have a script of their own.

    An answer is a Reply, an exception to raise, or a function from the request to a Reply.
    """

    def __init__(self, *answers: Any, tokens: Sequence[Any] = ()) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.token_requests: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []
        self._answers = list(answers)
        self._tokens = list(tokens) or [token()]
        self._lock = threading.Lock()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 -- part of an adapter's signature
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002 -- part of an adapter's signature
        cert: Any = None,  # noqa: ARG002 -- part of an adapter's signature
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 -- part of an adapter's signature
    ) -> requests.Response:
        with self._lock:
            is_token = urlsplit(request.url or "").path == TOKEN_PATH
            script = self._tokens if is_token else self._answers
            (self.token_requests if is_token else self.requests).append(request)
            self.timeouts.append(timeout)
            answer = script.pop(0) if len(script) > 1 else script[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        raw = HTTPResponse(
            body=io.BytesIO(answer.content),
            headers=answer.headers,
            status=answer.status,
            preload_content=False,
            enforce_content_length=True,
        )
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        pass


def form_of(request: requests.PreparedRequest) -> dict[str, str]:
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
    return {name: values[0] for name, values in parse_qs(body).items()}
