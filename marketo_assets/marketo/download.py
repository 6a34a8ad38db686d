"""The file of an export job on its way to disk: what is asked for, what of a reply is written, when it is believed.

Sends nothing and tries nothing again: the client does both, and hands in each reply.
"""

import hashlib
import re
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from marketo_assets.marketo.envelope import read_envelope
from marketo_assets.marketo.errors import error_for

# Read at a time, and at most what is lost of a connection that breaks.
CHUNK_BYTES: Final = 16_384
_CHUNKS_OF_AN_ERROR: Final = 64
_OF_A_FILE: Final = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class ExportFile:
    """A file of `size` bytes with this SHA-256 (hex; None: not known) at `path`, which may hold a beginning of it.

    What is there counts as received; more than `size` bytes, or the right number of wrong ones, count as nothing.
    """

    def __init__(self, path: Path, size: int, sha256: str | None) -> None:
        self.received = 0
        self._size = size
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._file = path.open("ab")
        with path.open("rb") as there:
            while chunk := there.read(CHUNK_BYTES):
                self._digest.update(chunk)
                self.received += len(chunk)
        self._most = self.received
        if self.received >= size and not self.is_believed:
            self._restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def is_believed(self) -> bool:
        """Whether nothing is missing and the SHA-256, if there is one to compare with, is right."""
        return self.received == self._size and self._sha256 in (None, self._digest.hexdigest())

    @property
    def reached(self) -> float:
        """The largest share of it, 0 to 1, that has been there: bytes that come a second time are no progress."""
        return self._most / max(1, self._size)

    def headers(self) -> dict[str, str]:
        """What to ask with: for the rest, if there is a beginning. Marketo never compresses these files."""
        headers = {"Accept-Encoding": "identity"}
        if self.received:
            headers["Range"] = f"bytes={self.received}-{self._size - 1}"
        return headers

    def receive(self, response: requests.Response, endpoint: str, *, now: float) -> None:
        """Write what the reply brings; return once the file is whole and its SHA-256 is right.

        Raises MarketoError: of a reply that is no file, of one that ends early (what came is kept), and of a file that
        is not the job's (nothing is kept). The body's own exceptions are those of `requests`.
        """
        status = response.status_code
        chunks = _chunks(response)
        head = next(chunks, b"")
        if status == HTTPStatus.NOT_FOUND:
            raise error_for("no_file", "HTTP 404 for the file of a completed job", endpoint, now=now)
        # A part may begin with any byte; a whole file begins with its header line, and only an envelope with a brace.
        is_envelope = status == HTTPStatus.OK and head.lstrip().startswith(b"{")
        if is_envelope or status not in _OF_A_FILE:
            content = b"".join((head, *islice(chunks, _CHUNKS_OF_AN_ERROR)))
            read_envelope(status, content, endpoint, now=now)
            raise error_for("shape", "a reply without an error in place of a file", endpoint, now=now)
        if problem := self._refused(response) or self._write(head, chunks):
            self._restart()
            raise error_for("file", problem, endpoint, now=now)
        if self.received < self._size:
            raise error_for("connection", f"{self.received} of {self._size} bytes came", endpoint, now=now)

    def _refused(self, response: requests.Response) -> str | None:
        """What speaks against the body before it is read, if anything. A whole file starts over."""
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return f"there is nothing after byte {self.received}, the job says {self._size} bytes"
        if response.status_code == HTTPStatus.OK:
            total = response.headers.get("Content-Length", "")
            self._restart()
        else:
            part = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if part is None or int(part[1]) != self.received:
                return f"another part than the one after byte {self.received}"
            total = part[2]
        if total.isdecimal() and int(total) != self._size:
            return f"{total} bytes, the job says {self._size}"
        return None

    def _write(self, head: bytes, chunks: Iterator[bytes]) -> str | None:
        """Append the body; what turned out to be wrong with it, if anything."""
        chunk: bytes | None = head
        while chunk:
            if self.received + len(chunk) > self._size:
                return f"more than the {self._size} bytes that the job says"
            self._file.write(chunk)
            self._digest.update(chunk)
            self.received += len(chunk)
            self._most = max(self._most, self.received)
            chunk = next(chunks, None)
        if self.received == self._size and not self.is_believed:
            return "another SHA-256 than the job says"
        return None

    def _restart(self) -> None:
        self._file.truncate(0)
        self._digest = hashlib.sha256()
        self.received = 0


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.exceptions.SSLError:
        # The handshake is long past: this is a broken connection, and no refused certificate.
        raise requests.ConnectionError("TLS failed within the body") from None
