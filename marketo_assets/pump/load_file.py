"""One new file, from S3 to Marketo to the ledger: the order of things, and what is told of it. No Dagster here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from marketo_assets.config import PumpConfig
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.leads import describe_leads
from marketo_assets.pump.files import Bucket, FileGoneError
from marketo_assets.pump.ledger import FileVersion, Ledger, Origin
from marketo_assets.pump.mapping import LeadMapping, resolve_mapping
from marketo_assets.pump.reader import CsvFile, FileRefusedError, scan
from marketo_assets.pump.recorder import Recorder
from marketo_assets.pump.rejects import put_rejects
from marketo_assets.pump.rows import STATUSES, match_header
from marketo_assets.pump.sync_rows import RowsTask, sync_rows
from marketo_assets.warehouse.session import Row

SAMPLE_ROWS = 20


@dataclass(frozen=True)
class FileReport:
    """What became of a file. Counts, codes, row numbers and column names only, never a value."""

    rows: int
    counts: Mapping[str, int]
    """Rows by status, every status named."""
    codes: Mapping[str, int]
    """Rejected, skipped and unsent rows by code."""
    duplicates: int
    ignored_columns: tuple[str, ...]
    absent_columns: tuple[str, ...]
    mapping: LeadMapping
    rejects_uri: str | None
    sample: tuple[Row, ...]
    """The first refused rows: row_number, code, reason."""

    @property
    def is_accounted_for(self) -> bool:
        """Conservation: every row of the file has ended in exactly one way."""
        return sum(self.counts.values()) == self.rows

    @property
    def reject_rate(self) -> float:
        """Share of rows that were rejected."""
        return self.counts["rejected"] / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class FileTask:
    """The parts that a file's way leads through."""

    file: FileVersion
    pump: PumpConfig
    bucket: Bucket
    client: MarketoClient
    ledger: Ledger
    recording: Ledger
    """A second session, for the thread that records while Marketo is being called."""
    calls: int
    leaves_out: bool = False
    """Whether a line of the mapping that does not fit Marketo is left out, or stops the file."""


def load_file(task: FileTask) -> FileReport:
    """Send a file's rows that are not settled yet, and say what became of all of them.

    Raises FileGoneError and FileRefusedError, which the ledger then holds, ConfigError when the mapping does not fit
    Marketo's fields, and what the client raises; rows that were settled before stay so.
    """
    task.ledger.create_tables()
    mapping = resolve_mapping(task.pump, describe_leads(task.client), leaves_out=task.leaves_out)
    try:
        with task.bucket.fetched(task.file) as csv_file:
            return _load(task, csv_file, mapping)
    except FileGoneError as error:
        task.ledger.close(task.file, "gone", str(error))
        raise
    except FileRefusedError as error:
        task.ledger.close(task.file, "refused", str(error))
        raise


def _load(task: FileTask, csv_file: CsvFile, mapping: LeadMapping) -> FileReport:
    match = match_header(csv_file.header, mapping)
    scanned = scan(csv_file, match.key_column)
    if csv_file.declared_row_count not in {None, scanned.row_count}:
        message = (
            f"the file has {scanned.row_count} rows, its metadata says {csv_file.declared_row_count}; upload it again"
        )
        raise FileRefusedError(message)
    origin = task.ledger.claim(task.file, csv_file)
    task.ledger.note_row_count(task.file, scanned.row_count)
    superseded = scanned.superseded
    if origin == "drop":
        superseded = superseded | task.ledger.superseded_exports(task.file, scanned.row_count)
    unsettled = ~task.ledger.settled_rows(task.file, scanned.row_count)
    unsettled[0] = False
    work = RowsTask(csv_file, match, mapping, scanned.row_count, unsettled, superseded)
    with _recorder(task, origin, mapping) as recorder:
        unsent = sync_rows(work, task.pump, task.client, recorder, calls=task.calls)
    return _report(task, work, unsent.codes)


def _recorder(task: FileTask, origin: Origin, mapping: LeadMapping) -> Recorder:
    return Recorder(
        lambda results, duplicates: task.recording.record(task.file, origin, mapping.version, results, duplicates),
    )


def _report(task: FileTask, work: RowsTask, unsent: Mapping[str, int]) -> FileReport:
    counts: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    codes: Counter[str] = Counter(unsent)
    for status, code, rows in task.ledger.counts(task.file):
        counts[status] += rows
        if status in {"rejected", "skipped"}:
            codes[code or "no_reason"] += rows
    counts["unsent"] = sum(unsent.values())
    refused = counts["rejected"] + counts["skipped"]
    rejects_uri = put_rejects(work.csv_file, task.file, task.ledger, task.bucket) if refused else None
    report = FileReport(
        rows=work.row_count,
        counts=dict(counts),
        codes=dict(codes),
        duplicates=task.ledger.duplicate_count(task.file),
        ignored_columns=work.match.ignored,
        absent_columns=work.match.absent,
        mapping=work.mapping,
        rejects_uri=rejects_uri,
        sample=tuple(task.ledger.refusal_sample(task.file, SAMPLE_ROWS)) if refused else (),
    )
    if report.is_accounted_for and not counts["unsent"]:
        task.ledger.close(task.file, "done")
    return report
