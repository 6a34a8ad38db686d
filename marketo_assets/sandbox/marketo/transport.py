"""The emulator in process, as a `requests` adapter: no socket, and time as the emulator's clock has it."""

import io
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from marketo_assets.sandbox.marketo.emulator import Emulator
from marketo_assets.sandbox.marketo.wire import FilePartReader, Reply, Request


class EmulatorTransport(BaseAdapter):
    """Mount it on a session; connection resets and read timeouts come as `requests` raises them."""

    def __init__(self, emulator: Emulator) -> None:
        """Several transports and threads may share one emulator. Closing the transport leaves it open."""
        super().__init__()
        self._emulator = emulator

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the signature is that of `requests`
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,  # noqa: ARG002 - as above
        cert: object = None,  # noqa: ARG002 - as above
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - as above
    ) -> requests.Response:
        """One call. Raises requests.ConnectionError for a reset, requests.ReadTimeout where the call takes longer."""
        pending = self._emulator.begin(read_request(request))
        read_timeout = timeout[1] if isinstance(timeout, tuple) else timeout
        if read_timeout is not None and pending.delay > read_timeout:
            self._emulator.finish_later(pending, pending.delay)
            self._emulator.clock.sleep(read_timeout)
            raise requests.exceptions.ReadTimeout(f"Read timed out. (read timeout={read_timeout})", request=request)
        if pending.delay:
            self._emulator.clock.sleep(pending.delay)
        reply = self._emulator.finish(pending)
        if reply.fate == "reset":
            raise requests.exceptions.ConnectionError("Connection aborted: reset by peer", request=request)
        return build_response(request, reply)

    def close(self) -> None:
        """Nothing is held open."""


def read_request(request: requests.PreparedRequest) -> Request:
    """A prepared request as the emulator takes it."""
    url = urlsplit(request.url or "")
    body = request.body or b""
    return Request(
        method=request.method or "GET",
        path=url.path,
        query=url.query,
        headers={name.lower(): _text(value) for name, value in request.headers.items()},
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def build_response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    """A reply as `requests` hands it out, decompressed on reading like one from a socket; a file is read as it goes."""
    headers = dict(reply.headers)
    body: io.IOBase = io.BytesIO(reply.body)
    if reply.file is not None:
        headers["Content-Length"] = str(reply.file.length)
        body = FilePartReader(reply.file)
    raw = HTTPResponse(body=body, headers=headers, status=reply.status, preload_content=False)
    return HTTPAdapter().build_response(request, raw)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
