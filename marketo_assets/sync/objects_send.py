"""Batches of records go to Marketo and come back as results, row by row, into the ledger."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import is_row_code
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.marketo.records import RecordKind, RecordResult, delete_records, upsert_records
from marketo_assets.pump.rows import PreparedRow, batches
from marketo_assets.sync.objects_ledger import Diff, ObjectLedger, ObjectResult, Outcome
from marketo_assets.sync.objects_report import ObjectReport

FLUSH_ROWS: Final = 6_000
"""Rows recorded at once: what a killed run may have to send again, against the cost of a bulk load."""

_NOT_FOUND: Final = "1013"
_NOT_LINKED: Final = frozenset({"1004", _NOT_FOUND})
"""What the record links to is not there (yet); an upsert has no other way of not finding something."""
_PASSING: Final = frozenset({"1014", "1022"})
"""Failed to create, in use: of the row codes, those that may pass by themselves."""
_NO_REASON: Final = "Marketo gave no reason"


class Recorder:
    """Counts results and records them a few thousand at a time; on leaving, also after an error, those left over."""

    def __init__(self, ledger: ObjectLedger, diff: Diff, what: str, report: ObjectReport) -> None:
        self._ledger = ledger
        self._diff = diff
        self._what = what
        self._report = report
        self._results: list[ObjectResult] = []

    def add(self, results: Sequence[ObjectResult]) -> None:
        """Take results. Raises what recording raises."""
        self._results.extend(results)
        if len(self._results) >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        results, self._results = self._results, []
        if results:
            self._ledger.record(self._diff, self._what, results)
            self._report.add(results)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flush()


def upsert(
    client: MarketoClient, kind: RecordKind, rows: Iterable[PreparedRow], recorder: Recorder, *, calls: int
) -> None:
    """Send rows in batches, `calls` at a time. Each key is in one row of the diff, so it is in one call only."""

    def send(batch: Sequence[PreparedRow]) -> list[ObjectResult]:
        results = upsert_records(client, kind, [row.body for row in batch])
        return list(map(_upserted, batch, results))

    for results in in_flight(batches(rows), send, calls=calls):
        recorder.add(results)


def delete(
    client: MarketoClient, kind: RecordKind, keys: Iterable[PreparedRow], recorder: Recorder, *, calls: int
) -> None:
    """Delete records in batches, `calls` at a time."""

    def send(batch: Sequence[PreparedRow]) -> list[ObjectResult]:
        results = delete_records(client, kind, [row.body for row in batch])
        return list(map(_deleted, batch, results))

    for results in in_flight(batches(keys), send, calls=calls):
        recorder.add(results)


def _upserted(row: PreparedRow, result: RecordResult) -> ObjectResult:
    if result.status in {"created", "updated"}:
        done: Outcome = "created" if result.status == "created" else "updated"
        return ObjectResult(row.row_number, done, marketo_id=result.record_id)
    code = result.code or "no_reason"
    outcome: Outcome = "unsent"
    if code in _NOT_LINKED:
        outcome = "waiting"
    elif is_row_code(code) and code not in _PASSING:
        outcome = "rejected"
    return ObjectResult(row.row_number, outcome, code, result.message or _NO_REASON)


def _deleted(row: PreparedRow, result: RecordResult) -> ObjectResult:
    """A record that is not there is deleted, as after a lost reply."""
    if result.status == "deleted" or result.code == _NOT_FOUND:
        return ObjectResult(row.row_number, "deleted")
    code = result.code or "no_reason"
    return ObjectResult(row.row_number, "undeleted", code, result.message or _NO_REASON)
