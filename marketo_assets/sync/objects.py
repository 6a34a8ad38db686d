"""Companies or one custom object of Marketo, brought to what the warehouse has: the order of things. No Dagster here.

The diff runs in the warehouse; what is gone is deleted, then what is new or changed is sent, and every row is counted.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Final

from snowflake.connector.errors import ProgrammingError

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import CrmSyncOnError, RequestError
from marketo_assets.marketo.records import RecordType, custom_object_names, describe_records
from marketo_assets.sync.objects_definition import Fit, ObjectMapping, ObjectSync, fit
from marketo_assets.sync.objects_ledger import Diff, ObjectLedger
from marketo_assets.sync.objects_report import ObjectReport
from marketo_assets.sync.objects_rows import keys_to_delete, rows_to_send
from marketo_assets.sync.objects_send import Recorder, delete, upsert
from marketo_assets.sync.objects_types import ObjectTypes, Remembered
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import identifier

DESCRIBED_FOR: Final = timedelta(hours=1)
"""How long a description is believed while there is nothing to send."""

CRM_PAUSE: Final = timedelta(hours=24)
LONG_WAIT: Final = timedelta(days=1)
SAMPLE_ROWS: Final = 20


@dataclass(frozen=True)
class ObjectTask:
    """The parts that a sync leads through."""

    sync: ObjectSync
    client: MarketoClient
    warehouse: Warehouse
    ledger: ObjectLedger
    types: ObjectTypes
    calls: int
    try_again: bool = False
    """Also what was refused or is to wait, and types that are let alone; fields are accepted as they are now."""
    delete_anyway: bool = False


class _CannotSyncError(Exception):
    """Nothing can be sent, and somebody has to do something about it."""

    def __init__(self, problems: Sequence[str], left_out: Sequence[str] = ()) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)
        self.left_out = tuple(left_out)


def sync_objects(task: ObjectTask) -> ObjectReport:
    """One cycle. Where the definition does not fit, nothing is sent, and the report says why.

    Raises what the client raises, after everything that Marketo answered has been recorded.
    """
    task.ledger.create_tables()
    known = task.types.remembered()
    try:
        return _sync(task, known)
    except CrmSyncOnError as error:
        until = f"{task.types.now + CRM_PAUSE:%Y-%m-%d %H:%M} UTC"
        problem = (
            f"Marketo's native sync with a CRM is on, so only the CRM can change these records ({error.code}); disable"
            f" this sync in marketo.yaml. It is tried again after {until}, or at once with try_again: true"
        )
        task.types.let_alone(problem, CRM_PAUSE, _accepted(task, known))
        return ObjectReport(problems=(problem,))
    except _CannotSyncError as error:
        return ObjectReport(problems=error.problems, left_out=error.left_out)


def _sync(task: ObjectTask, known: Remembered) -> ObjectReport:
    if known.problem and known.try_after > task.types.now and not task.try_again:
        raise _CannotSyncError([known.problem])
    columns = _columns(task)
    is_fresh = task.try_again or known.definition is None or known.described_at <= task.types.now - DESCRIBED_FOR
    definition = known.definition if known.definition and not is_fresh else _describe(task, known)
    found = _fit(task, known, definition, columns)
    with ExitStack() as stack:
        diff = stack.enter_context(task.ledger.diff(_mapping(found), try_again=task.try_again))
        if not is_fresh and _has_work(task, diff):
            definition = _describe(task, known)
            as_it_is = _fit(task, known, definition, columns)
            if as_it_is != found:
                stack.close()
                found = as_it_is
                diff = stack.enter_context(task.ledger.diff(_mapping(found), try_again=task.try_again))
        report = _carry_out(task, diff, _mapping(found))
    return replace(report, left_out=found.left_out, relationships=definition.relationships)


def _columns(task: ObjectTask) -> list[str]:
    try:
        return task.warehouse.columns(identifier(task.sync.table))
    except ProgrammingError as error:
        problem = f"the table {task.sync.table} of marketo.yaml cannot be read by this Snowflake user: {error}"
        raise _CannotSyncError([problem]) from error


def _accepted(task: ObjectTask, known: Remembered) -> dict[str, str]:
    return {} if task.try_again else dict(known.accepted or {})


def _describe(task: ObjectTask, known: Remembered) -> RecordType:
    """Ask Marketo. A type that it does not describe is asked for again after an hour."""
    try:
        return describe_records(task.client, task.sync.kind)
    except RequestError as error:
        problem = f"Marketo does not describe it: {error}{_hint(task)}"
        task.types.let_alone(problem, DESCRIBED_FOR, _accepted(task, known))
        raise _CannotSyncError([problem]) from error


def _hint(task: ObjectTask) -> str:
    wanted = task.sync.api_name
    if wanted is None:
        return ""
    try:
        names = custom_object_names(task.client)
    except RequestError:  # what was wrong with the description is told already
        return ""
    if wanted in names:
        return ""
    close = get_close_matches(wanted, names, n=1)
    return f" Marketo has no custom object {wanted!r}" + (f"; did you mean {close[0]!r}?" if close else ".")


def _fit(task: ObjectTask, known: Remembered, definition: RecordType, columns: Sequence[str]) -> Fit:
    """How all fits now; what is new of it is remembered."""
    accepted = _accepted(task, known)
    found = fit(task.sync, definition, columns, accepted)
    is_new = definition is not known.definition
    types = {**accepted, **found.types}
    if is_new or types != accepted:
        task.types.note(definition, task.types.now if is_new else known.described_at, types)
    return found


def _mapping(found: Fit) -> ObjectMapping:
    if found.mapping is None:
        raise _CannotSyncError(found.problems, found.left_out)
    return found.mapping


def _has_work(task: ObjectTask, diff: Diff) -> bool:
    return bool(diff.counts.get("send")) or (_deletes(task, diff) and _held_back(task, diff) is None)


def _deletes(task: ObjectTask, diff: Diff) -> bool:
    return task.sync.deletes and bool(diff.counts.get("gone"))


def _held_back(task: ObjectTask, diff: Diff) -> str | None:
    """Why what is gone from the source must not be deleted in Marketo, and what to do about it."""
    gone, share = diff.counts.get("gone", 0), task.sync.max_delete_share
    if not _deletes(task, diff) or task.delete_anyway or (diff.keys and gone <= share * diff.there):
        return None
    than = f"more than max_delete_share ({share:.1%})" if diff.keys else "and the table has no row with a key"
    return (
        f"{gone} of {diff.there} records are gone from {task.sync.table}, {than}: nothing is deleted. Mend the table;"
        " or, if they are meant to go, materialize the asset once with delete_anyway: true"
    )


def _carry_out(task: ObjectTask, diff: Diff, mapping: ObjectMapping) -> ObjectReport:
    report = _report(diff)
    report.held_back = _held_back(task, diff)
    if _deletes(task, diff) and report.held_back is None:
        task.ledger.begin(diff, mapping, "gone")
        with Recorder(task.ledger, diff, "gone", report) as recorder:
            keys = keys_to_delete(task.ledger, diff, mapping, recorder.add)
            delete(task.client, task.sync.kind, keys, recorder, calls=task.calls)
    if diff.counts.get("send"):
        task.ledger.begin(diff, mapping, "send")
        with Recorder(task.ledger, diff, "send", report) as recorder:
            rows = rows_to_send(task.ledger, diff, mapping, recorder.add)
            upsert(task.client, task.sync.kind, rows, recorder, calls=task.calls)
    if diff.counts.get("forget"):
        task.ledger.forget(diff)
    if report.counts["waiting"] or report.counts["unsent"] or report.counts["undeleted"]:
        report.waiting_long = task.ledger.waiting_since_before(diff, task.types.now - LONG_WAIT)
    if report.codes:
        report.sample = task.ledger.sample(SAMPLE_ROWS)
    return report


def _report(diff: Diff) -> ObjectReport:
    """What the diff says already of rows that are not sent now."""
    report = ObjectReport(diff.source_rows, gone=diff.counts.get("gone", 0), there=diff.there)
    told = {"refused": "rejected", "blank_key": "rejected", "duplicate_key": "rejected"}
    for what, rows in diff.counts.items():
        if what not in {"send", "gone", "forget"}:
            report.counts[told.get(what, what)] += rows
        if what in {"blank_key", "duplicate_key"}:
            report.codes["rejected", what] += rows
    for (what, code), rows in diff.codes.items():
        report.codes[told.get(what, what), code] += rows
    return report
