"""Guards against a file believed without reason, one fetched from its start again and again, and full memory."""

import fcntl
import hashlib
import io
import random
import ssl
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from marketo_assets.marketo.bulk_extract import ExportJob, download_export
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import (
    ExportFileError,
    MarketoError,
    QuotaExhaustedError,
    ReplyError,
    RequestError,
    TimedOutError,
    TransientError,
)
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, file_of, ok, token

USAGE = ok([{"date": "2026-03-04", "total": 1}])
CONTENT = b"marketoGUID,leadId\r\n" + random.Random(3).randbytes(400_000)  # with NUL, quotes, line ends
CHUNK = 16_384
HALF = 3 * CHUNK
DONE_AT = datetime(2026, 3, 4, 17, tzinfo=UTC)
Answer = Callable[[requests.PreparedRequest], Reply]


def job_of(content: bytes, **changes: Any) -> ExportJob:
    values: dict[str, Any] = {
        "export_id": "ce45a7a1-f19d-4ce2-882c-a3c795940a7d",
        "status": "Completed",
        "created_at": DONE_AT,
        "queued_at": DONE_AT,
        "started_at": DONE_AT,
        "finished_at": DONE_AT,
        "record_count": 1,
        "file_size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "error": None,
    }
    return ExportJob(**(values | changes))


JOB = job_of(CONTENT)


def whole(request: requests.PreparedRequest) -> Reply:
    return file_of(CONTENT, request)


def cut_after(size: int, breaks_with: Exception | None = None) -> Answer:
    """So many bytes of what is asked for, then the connection breaks."""

    def answer(request: requests.PreparedRequest) -> Reply:
        full = file_of(CONTENT, request)
        return file_of(CONTENT, request, cut=max(0, len(full.content) - size), breaks_with=breaks_with)

    return answer


def other(content: bytes, **keys: Any) -> Answer:
    return lambda request: file_of(content, request, **keys)


def ranges(transport: ScriptedTransport) -> list[str | None]:
    return [request.headers.get("Range") for request in transport.requests[1:]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "activities.csv"


def test_a_file_comes_by_one_call_byte_for_byte(new_client: NewClient, path: Path) -> None:
    transport = ScriptedTransport(USAGE, whole)
    client = new_client(transport)
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    (request,) = transport.requests[1:]
    assert request.url == f"http://127.0.0.1:1/bulk/v1/activities/export/{JOB.export_id}/file.json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Range" not in request.headers
    assert client.stats.calls_by_endpoint["/bulk/v1/activities/export/{id}/file.json"] == 1
    assert transport.timeouts[-1] == (10, 40)


BREAKS = {
    "cut off": (None, "connection"),
    "reset": (ConnectionResetError("reset"), "connection"),
    "nothing more comes": (TimeoutError("timed out"), "timeout"),
    "TLS breaks": (ssl.SSLError("bad record mac"), "connection"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_after_a_broken_connection_the_rest_is_asked_for(new_client: NewClient, path: Path, name: str) -> None:
    breaks_with, code = BREAKS[name]
    transport = ScriptedTransport(USAGE, cut_after(HALF, breaks_with), cut_after(CHUNK, breaks_with), whole)
    client = new_client(transport)
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    last = len(CONTENT) - 1
    assert ranges(transport) == [None, f"bytes={HALF}-{last}", f"bytes={HALF + CHUNK}-{last}"]
    assert client.stats.errors_by_code == {code: 2}


def test_a_body_without_a_length_that_ends_early_is_continued(new_client: NewClient, path: Path) -> None:
    transport = ScriptedTransport(USAGE, Reply(CONTENT[:HALF], headers={"Content-Length": None}), whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [None, f"bytes={HALF}-{len(CONTENT) - 1}"]


def test_a_shorter_part_than_asked_for_is_continued(new_client: NewClient, path: Path) -> None:
    path.write_bytes(CONTENT[:100])
    part = Reply(CONTENT[100:HALF], 206, headers={"Content-Range": f"bytes 100-{HALF - 1}/{len(CONTENT)}"})
    transport = ScriptedTransport(USAGE, part, whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT


def test_a_download_that_gets_on_outlives_many_breaks(new_client: NewClient, path: Path) -> None:
    client = new_client(ScriptedTransport(USAGE, cut_after(CHUNK)))
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert client.stats.errors_by_code["connection"] == len(CONTENT) // CHUNK > 20


def test_a_download_that_brings_next_to_nothing_is_given_up(new_client: NewClient, path: Path) -> None:
    content = bytes(4_000_000)

    def breaking(request: requests.PreparedRequest) -> Reply:
        full = file_of(content, request)
        return file_of(content, request, cut=len(full.content) - CHUNK)

    with pytest.raises(TransientError):
        download_export(new_client(ScriptedTransport(USAGE, breaking)), "activities", job_of(content), path)
    assert path.stat().st_size == 7 * CHUNK


def test_a_download_that_gets_nowhere_is_given_up_and_what_came_is_kept(new_client: NewClient, path: Path) -> None:
    transport = ScriptedTransport(USAGE, cut_after(HALF), cut_after(0))
    with pytest.raises(TransientError):
        download_export(new_client(transport), "activities", JOB, path)
    assert len(transport.requests) == 1 + 7
    assert path.read_bytes() == CONTENT[:HALF]


def test_a_download_that_hangs_is_given_up(new_client: NewClient, path: Path) -> None:
    transport = ScriptedTransport(USAGE, cut_after(10, TimeoutError("timed out")))
    with pytest.raises(TimedOutError):
        download_export(new_client(transport), "activities", JOB, path)
    assert len(transport.requests) == 1 + 3


def test_a_killed_run_is_continued_by_the_next_one(new_client: NewClient, path: Path) -> None:
    path.write_bytes(CONTENT[:123_457])
    transport = ScriptedTransport(USAGE, whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [f"bytes=123457-{len(CONTENT) - 1}"]


def test_a_file_that_is_there_is_not_fetched_again(new_client: NewClient, path: Path) -> None:
    path.write_bytes(CONTENT)
    transport = ScriptedTransport(ok())
    download_export(new_client(transport), "activities", JOB, path)
    assert transport.requests == []


@pytest.mark.parametrize("there", [CONTENT + b"x", b"x" * len(CONTENT)])
def test_another_file_in_its_place_is_not_taken_for_it(new_client: NewClient, path: Path, there: bytes) -> None:
    path.write_bytes(there)
    transport = ScriptedTransport(USAGE, whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [None]


def test_the_beginning_of_another_file_is_found_out(new_client: NewClient, path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    transport = ScriptedTransport(USAGE, whole)
    client = new_client(transport)
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [f"bytes=1000-{len(CONTENT) - 1}", None]
    assert client.stats.errors_by_code == {"file": 1}


def test_a_server_without_ranges_starts_over(new_client: NewClient, path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    transport = ScriptedTransport(USAGE, Reply(CONTENT))
    client = new_client(transport)
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [f"bytes=1000-{len(CONTENT) - 1}"]
    assert client.stats.errors_by_code == {}


@pytest.mark.parametrize("content_range", [f"bytes 0-999/{len(CONTENT)}", "bytes 1000-1999/3000", "items 1-2/3", None])
def test_another_part_than_asked_for_is_not_written(
    new_client: NewClient, path: Path, content_range: str | None
) -> None:
    path.write_bytes(CONTENT[:1000])
    part = Reply(CONTENT[:1000], 206, headers={"Content-Range": content_range})
    transport = ScriptedTransport(USAGE, part, whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport)[1:] == [None]


def test_a_file_that_comes_late_is_waited_for(new_client: NewClient, clock: VirtualClock, path: Path) -> None:
    missing = Reply(b"Requested file not found", 404)
    client = new_client(ScriptedTransport(USAGE, missing, missing, missing, missing, missing, whole))
    started = clock.now()
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert client.stats.errors_by_code == {"no_file": 5}
    assert clock.now() - started >= 15


def test_a_file_that_never_comes_is_given_up_after_minutes(
    new_client: NewClient, clock: VirtualClock, path: Path
) -> None:
    started = clock.now()
    with pytest.raises(ExportFileError, match=r"404.*may come later"):
        download_export(
            new_client(ScriptedTransport(USAGE, Reply(b"Requested file not found", 404))), "activities", JOB, path
        )
    assert 120 <= clock.now() - started <= 250


ERRORS_IN_PLACE_OF_A_FILE = {
    "601": error("601"),
    "602": error("602"),
    "606": error("606"),
    "608": error("608"),
    "615": error("615"),
    "truncated": Reply(b'{"requestId":"1#1","success":fal'),
    "as text/csv": Reply(
        {"success": False, "errors": [{"code": "611", "message": "System error"}]}, headers={"Content-Type": "text/csv"}
    ),
    "HTML": Reply(b"<html>Bad Gateway</html>", 502),
}


@pytest.mark.parametrize("name", ERRORS_IN_PLACE_OF_A_FILE)
def test_an_error_in_place_of_a_file_or_its_rest_is_not_written(new_client: NewClient, path: Path, name: str) -> None:
    fault = ERRORS_IN_PLACE_OF_A_FILE[name]
    transport = ScriptedTransport(
        USAGE, fault, cut_after(HALF), fault, whole, tokens=[token("token-1"), token("token-2"), token("token-3")]
    )
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    rest = f"bytes={HALF}-{len(CONTENT) - 1}"
    assert ranges(transport) == [None, None, rest, rest]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("603", "Access denied"), RequestError),
        (error("607", "Daily quota reached"), QuotaExhaustedError),
        (ok([{"status": "Completed"}]), ReplyError),
        (Reply(b"", 302), RequestError),
    ],
)
def test_what_is_no_file_and_cannot_pass_is_raised_at_once(
    new_client: NewClient, path: Path, answer: Reply, kind: type[MarketoError]
) -> None:
    path.write_bytes(CONTENT[:HALF])
    transport = ScriptedTransport(USAGE, answer)
    with pytest.raises(kind):
        download_export(new_client(transport), "activities", JOB, path)
    assert len(transport.requests) == 2
    assert path.read_bytes() == CONTENT[:HALF]


def test_a_part_that_begins_like_an_envelope_is_a_part(new_client: NewClient, path: Path) -> None:
    content = b'guid,attributes\n1,{"success":false}\n'
    path.write_bytes(content[: content.index(b"{")])
    download_export(
        new_client(ScriptedTransport(USAGE, lambda request: file_of(content, request))),
        "activities",
        job_of(content),
        path,
    )
    assert path.read_bytes() == content


def test_a_token_that_ends_within_a_download_does_not_start_it_over(
    new_client: NewClient, path: Path, clock: VirtualClock
) -> None:
    def slow(request: requests.PreparedRequest) -> Reply:
        clock.advance(200)
        return cut_after(HALF)(request)

    transport = ScriptedTransport(USAGE, slow, whole, tokens=[token("token-1", 100), token("token-2")])
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert [request.headers["Authorization"] for request in transport.requests[1:]] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert ranges(transport)[-1] == f"bytes={HALF}-{len(CONTENT) - 1}"


WRONG = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
OTHER_FILES = {
    "another SHA-256": other(WRONG),
    "shorter": other(CONTENT[:-1]),
    "longer": other(CONTENT + b"x"),
    "longer without a length": Reply(CONTENT + b"x", headers={"Content-Length": None}),
    "another SHA-256 without a length": Reply(WRONG, headers={"Content-Length": None}),
    "empty": other(b""),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_file_that_is_not_the_jobs_is_fetched_afresh_once(new_client: NewClient, path: Path, name: str) -> None:
    transport = ScriptedTransport(USAGE, OTHER_FILES[name], whole)
    client = new_client(transport)
    download_export(client, "activities", JOB, path)
    assert path.read_bytes() == CONTENT
    assert ranges(transport) == [None, None]
    assert client.stats.errors_by_code == {"file": 1}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_file_that_stays_another_is_refused(new_client: NewClient, path: Path, name: str) -> None:
    transport = ScriptedTransport(USAGE, OTHER_FILES[name])
    with pytest.raises(ExportFileError, match="Nothing of this file was used"):
        download_export(new_client(transport), "activities", JOB, path)
    assert len(transport.requests) == 1 + 2
    assert path.read_bytes() == b""


def test_a_break_between_two_wrong_files_gives_no_third_one(new_client: NewClient, path: Path) -> None:
    content = bytes(2_000_000)
    wrong = other(content[:-1] + b"x")
    cut = other(content, cut=500_000)
    with pytest.raises(ExportFileError):
        download_export(
            new_client(ScriptedTransport(USAGE, wrong, cut, wrong, whole)), "activities", job_of(content), path
        )


def test_a_rest_that_the_server_does_not_have_is_another_file(new_client: NewClient, path: Path) -> None:
    path.write_bytes(CONTENT[:-10])
    transport = ScriptedTransport(USAGE, other(CONTENT[:-10]), whole)
    download_export(new_client(transport), "activities", JOB, path)
    assert path.read_bytes() == CONTENT


def test_without_a_sha256_the_size_decides(new_client: NewClient, path: Path) -> None:
    download_export(
        new_client(ScriptedTransport(USAGE, other(WRONG))), "activities", job_of(CONTENT, sha256=None), path
    )
    assert path.read_bytes() == WRONG


@pytest.mark.parametrize("size", [0, None])
def test_a_job_without_rows_may_have_no_file(new_client: NewClient, path: Path, size: int | None) -> None:
    path.write_bytes(b"left over")
    transport = ScriptedTransport(ok())
    download_export(new_client(transport), "activities", job_of(b"", file_size=size, record_count=0, sha256=None), path)
    assert path.read_bytes() == b""
    assert transport.requests == []


def test_a_file_without_a_size_is_not_believed(new_client: NewClient, path: Path) -> None:
    with pytest.raises(ExportFileError, match="without a file size"):
        download_export(new_client(ScriptedTransport(ok())), "activities", job_of(CONTENT, file_size=None), path)


@pytest.mark.parametrize("status", ["Created", "Queued", "Processing", "Failed", "Cancelled"])
def test_a_job_that_is_not_done_has_no_file(new_client: NewClient, path: Path, status: str) -> None:
    with pytest.raises(ValueError, match=f"this one is {status}"):
        download_export(new_client(ScriptedTransport(ok())), "activities", job_of(CONTENT, status=status), path)
    assert not path.exists()


def locked_slots(state: Path) -> int:
    """How many calls are in flight."""
    count = 0
    for slot in state.glob("slot-*.lock"):
        with slot.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                count += 1
    return count


class Zeros(io.RawIOBase):
    """So many zero bytes, made while they are read; `watch` is called at each read."""

    def __init__(self, size: int, watch: Callable[[], None]) -> None:
        self._left = size
        self._watch = watch

    def read(self, size: int = -1, /) -> bytes:
        self._watch()
        part = bytes(min(size, self._left))
        self._left -= len(part)
        return part


class ZerosReply(Reply):
    def __init__(self, size: int, watch: Callable[[], None]) -> None:
        super().__init__(b"", headers={"Content-Length": str(size), "Content-Type": "text/csv"})
        self._body = Zeros(size, watch)

    def open(self) -> io.RawIOBase:
        return self._body


def test_a_large_file_takes_one_slot_and_little_memory(new_client: NewClient, tmp_path: Path, path: Path) -> None:
    size = 64_000_000
    digest = hashlib.sha256()
    for _ in range(64):
        digest.update(bytes(1_000_000))
    slots: list[int] = []
    reply = ZerosReply(size, lambda: slots.append(locked_slots(tmp_path / "state")))
    client = new_client(ScriptedTransport(USAGE, reply))
    tracemalloc.start()
    download_export(client, "activities", job_of(b"", file_size=size, sha256=digest.hexdigest()), path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size == size
    assert set(slots) == {1}
    assert locked_slots(tmp_path / "state") == 0
    assert peak < 3_000_000
