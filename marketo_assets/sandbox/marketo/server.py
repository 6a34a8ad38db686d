"""The emulator as an HTTP server on 127.0.0.1: one process, one event loop for sockets, one thread for the work.

The limit checks and all answers come from emulator.py; here are sockets alone. The loop does no work of its own, so
that a call is stamped when it arrives and not when the rows of earlier ones are done: the limits go by that moment.
"""

import asyncio
import signal
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import web

from marketo_assets.sandbox.marketo.emulator import Emulator
from marketo_assets.sandbox.marketo.options import MAX_BODY_BYTES
from marketo_assets.sandbox.marketo.wire import FilePart, FilePartReader, Reply, Request

HOST = "127.0.0.1"
_LONGEST_LINE = 1_000_000
"""Request lines up to here are read, so that one too long gets Marketo's 414 and not the server's 400."""
_CHUNK_BYTES = 262_144
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(emulator: Emulator, port: int, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve on 127.0.0.1 until SIGINT or SIGTERM, then close the emulator.

    `ready` is called with the port once connections are accepted; port 0 takes a free one.
    Raises OSError where the port is taken.
    """

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await _serve_until(emulator, port, ready or (lambda _port: None), stop)

    try:
        asyncio.run(main())
    finally:
        emulator.close()


class LocalServer:
    """The same server in a thread, for tests: `with LocalServer(emulator) as server: server.url`. Leaves it open."""

    def __init__(self, emulator: Emulator) -> None:
        """Takes a free port."""
        self._emulator = emulator
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await _serve_until(self._emulator, 0, self._announce, self._stop)

    def _announce(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._ready.set()


async def _serve_until(emulator: Emulator, port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    # One thread: calls are taken up in the order in which they arrive.
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="marketo")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await _answer(emulator, worker, request)

    server = web.Server(
        answer,
        access_log=None,
        auto_decompress=False,
        read_bufsize=2 * MAX_BODY_BYTES,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        max_headers=_LONGEST_LINE,
    )
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        ready(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()
        worker.shutdown()


async def _answer(emulator: Emulator, worker: Executor, request: web.BaseRequest) -> web.StreamResponse:
    body = await _read_body(request)
    path, _, query = request.raw_path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    arrived = emulator.clock.monotonic()
    call = Request(request.method, path, query, headers, body, arrived)
    in_worker = asyncio.get_running_loop().run_in_executor
    pending = await in_worker(worker, emulator.begin, call)
    await asyncio.sleep(max(0.0, pending.delay - (emulator.clock.monotonic() - arrived)))
    reply = await in_worker(worker, emulator.finish, pending)
    if reply.fate == "reset":
        _reset(request)
        return web.Response()
    if reply.file is not None:
        return await _send_file(request, reply, reply.file)
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _send_file(request: web.BaseRequest, reply: Reply, part: FilePart) -> web.StreamResponse:
    """Stream it: what a slow client has not taken yet is not in memory."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = part.length
    with FilePartReader(part) as body, suppress(ConnectionError):  # a client that has gone needs no more of it
        await response.prepare(request)
        while chunk := body.read(_CHUNK_BYTES):
            await response.write(chunk)
    if part.cut is not None and request.transport is not None:
        request.transport.close()  # what was written still arrives
    return response


async def _read_body(request: web.BaseRequest) -> bytes:
    """The body; of one too long, as much as shows it. The rest is read and dropped, so that the 413 gets through."""
    chunks, size = [], 0
    while chunk := await request.content.readany():
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _reset(request: web.BaseRequest) -> None:
    """Break the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
