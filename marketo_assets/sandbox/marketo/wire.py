"""What goes over the wire: requests, replies, envelopes and errors in Marketo's shapes.

No behaviour of an endpoint belongs here, and nothing of HTTP servers or clients (see server.py, transport.py).
"""

import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qs

import orjson

from marketo_assets.sandbox.marketo.faults import Fault

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

JSON_TYPE = "application/json;charset=UTF-8"
GZIP_FROM_BYTES = 1024
"""Replies of this size and more are compressed for clients that ask for it."""

Fate = Literal["kept", "reset"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` and `query` are as sent (percent-encoded), header names are lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    arrived: float | None = None
    """When, on the clock's monotonic time, if it was not just now."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """The bytes of a file from `start` on, `length` of them, as the body of a reply: read while they are sent.

    `cut`: the connection ends after so many of them. `is_wrong`: a bit of the byte in the middle is.
    """

    path: Path
    start: int
    length: int
    cut: int | None = None
    is_wrong: bool = False


class FilePartReader(io.RawIOBase):
    """The bytes of a part, as far as they come. Close it."""

    def __init__(self, part: FilePart) -> None:
        """Raises OSError where the file cannot be opened."""
        self._file = part.path.open("rb")
        self._file.seek(part.start)
        self._left = part.length if part.cut is None else min(part.cut, part.length)
        self._until_wrong = part.length // 2 if part.is_wrong else part.length

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """The next bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")[: self._left]
        count = self._file.readinto(view)
        if 0 <= self._until_wrong < count:
            view[self._until_wrong] ^= 1
        self._until_wrong -= count
        self._left -= count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply. `delay`: seconds it took. `fate` "reset": the connection breaks instead of answering."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay: float = 0.0
    fate: Fate = "kept"
    file: FilePart | None = None
    """The body, in place of `body`, where it comes from a file; its length goes with it as Content-Length."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The good outcome of a call. `result` None leaves the key out of the envelope."""

    result: list[Any] | None = None
    next_page_token: str | None = None
    more_result: bool | None = None


class RowProblem(NamedTuple):
    """Why one row is skipped: a 1xxx code and its text."""

    code: str
    message: str

    def row(self, lead_id: int | None = None) -> dict[str, Any]:
        """The row of `result` that says so."""
        skipped: dict[str, Any] = {} if lead_id is None else {"id": lead_id}
        skipped["status"] = "skipped"
        skipped["reasons"] = [{"code": self.code, "message": self.message}]
        return skipped


class ApiError(Exception):
    """The whole call fails: HTTP 200 with `success: false`."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is Marketo's, as a string."""
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Call:
    """A request that was let in, as a handler sees it."""

    request: Request
    request_id: str
    user: str
    path_values: Mapping[str, str]
    parameters: Mapping[str, list[str]]
    max_rows: int
    fault: Fault | None = None
    """Misbehaviour this call was picked for. Most is not the handler's business; that of export jobs and files is."""
    plan: Any = None
    """What the handler decided on arrival, for its end (see routes.py)."""

    def text(self, name: str) -> str | None:
        """The first value of a query or form parameter; None where absent or empty."""
        values = self.parameters.get(name)
        return values[0] if values and values[0] else None

    def required(self, name: str) -> str:
        """The same, or 1002."""
        value = self.text(name)
        if value is None:
            raise ApiError("1002", f"Missing value for the required parameter '{name}'")
        return value

    def listed(self, name: str) -> list[str]:
        """All values of a parameter, given repeatedly or separated by commas."""
        return [item for value in self.parameters.get(name, []) for item in value.split(",") if item]

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, or 609."""
        try:
            document = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ApiError("609", "Invalid JSON")
        return document

    def rows(self, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects of `input`, 1 to `max_rows` of them (1002, 1001, 1003)."""
        rows = document.get("input")
        if not rows:
            raise ApiError("1002", "Missing value for the required parameter 'input'")
        if not isinstance(rows, list) or not all(row.__class__ is dict for row in rows):
            raise ApiError("1001", "Invalid value for 'input'. Required of type 'array of objects'")
        if len(rows) > self.max_rows:
            raise ApiError("1003", f"Too many records in input: {len(rows)}, the limit is {self.max_rows}")
        return rows


Handler = Callable[[Call], Answer | Reply]


def read_parameters(request: Request) -> dict[str, list[str]]:
    """Query and form parameters in one mapping; a form body counts as more of the query."""
    text = request.query
    if is_form(request) and request.body:
        text = f"{text}&{request.body.decode('utf-8', 'replace')}"
    return parse_qs(text, keep_blank_values=True) if text else {}


def is_form(request: Request) -> bool:
    """Whether the body is form encoded."""
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def is_json(request: Request) -> bool:
    """Whether the body is said to be JSON."""
    return request.headers.get("content-type", "").startswith("application/json")


def success_body(request_id: str, answer: Answer) -> bytes:
    """The envelope of a good answer: recorded successes carry neither `errors` nor `warnings`."""
    envelope: dict[str, Any] = {"requestId": request_id}
    if answer.result is not None:
        envelope["result"] = answer.result
    envelope["success"] = True
    if answer.next_page_token is not None:
        envelope["nextPageToken"] = answer.next_page_token
    if answer.more_result is not None:
        envelope["moreResult"] = answer.more_result
    return orjson.dumps(envelope)


def error_body(request_id: str, code: str, message: str) -> bytes:
    """The envelope of a call that failed as a whole."""
    return orjson.dumps(
        {"requestId": request_id, "success": False, "errors": [{"code": code, "message": message}]},
    )


def pack(request: Request, body: bytes, content_type: str = JSON_TYPE) -> tuple[dict[str, str], bytes]:
    """Headers and body as sent, compressed where the client asked for it and it is worth it."""
    headers = {"Content-Type": content_type}
    if len(body) >= GZIP_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, compresslevel=1, mtime=0)
    return headers, body


def stamp(seconds: int) -> str:
    """Epoch seconds as Marketo writes datetimes: `2024-01-31T23:59:59Z`."""
    day, second = divmod(seconds, 86_400)
    minute, second = divmod(second, 60)
    return f"{_date(day)}T{minute // 60:02}:{minute % 60:02}:{second:02}Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    """Most of the time of a stamp is in the date, and activities by the million share few of them."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
