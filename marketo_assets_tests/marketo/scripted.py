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
    """One HTTP reply. `cut` bytes are missing at its end although Content-Length promises them.

    `headers` are put over the usual ones, None takes one away; `breaks_with` is raised at the end of the body.
    """

    def __init__(
        self,
        body: Any,
        status: int = 200,
        *,
        cut: int = 0,
        zipped: bool = False,
        headers: Mapping[str, str | None] | None = None,
        breaks_with: Exception | None = None,
    ) -> None:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        self.status = status
        self.headers = {"Content-Type": "application/json;charset=UTF-8"}
        if zipped:
            content = gzip.compress(content)
            self.headers["Content-Encoding"] = "gzip"
        self.headers["Content-Length"] = str(len(content))
        for name, value in (headers or {}).items():
            self.headers.pop(name, None)
            if value is not None:
                self.headers[name] = value
        self.content = content[: len(content) - cut]
        self.breaks_with = breaks_with

    def open(self) -> io.IOBase:
        return _Body(self.content, self.breaks_with)


class _Body(io.BytesIO):
    def __init__(self, content: bytes, breaks_with: Exception | None) -> None:
        super().__init__(content)
        self._breaks_with = breaks_with

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if not part and self._breaks_with is not None:
            raise self._breaks_with
        return part


def ok(result: Sequence[Any] = (), **keys: Any) -> Reply:
    return Reply({"requestId": "a1#b2", "success": True, "result": list(result), **keys})


def error(code: str, message: str = "no") -> Reply:
    return Reply({"requestId": "a1#b2", "success": False, "errors": [{"code": code, "message": message}]})


def token(value: str = "token-1", seconds: float = 3600) -> Reply:
    return Reply({"access_token": value, "token_type": "bearer", "expires_in": seconds, "scope": "api@example.test"})


def file_of(content: bytes, request: requests.PreparedRequest, *, cut: int = 0, **more: Any) -> Reply:
    """A file, or the part of it that the request's Range asks for, as Marketo gives it out."""
    headers: dict[str, str | None] = {"Content-Type": "text/csv", "Accept-Ranges": "bytes"}
    asked = request.headers.get("Range")
    if asked is None:
        return Reply(content, headers=headers, cut=cut, **more)
    first, last = map(int, asked.removeprefix("bytes=").split("-"))
    if first >= len(content):
        return Reply(b"", 416, headers={**headers, "Content-Range": f"bytes */{len(content)}"})
    part = content[first : last + 1]
    headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    return Reply(part, 206, headers=headers, cut=cut, **more)


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
            body=answer.open(),
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
