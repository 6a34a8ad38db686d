"""Changed contacts become CSV files: the diff runs in the warehouse, its rows stream to S3 a page at a time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.csv as pacsv
from snowflake.connector.errors import ProgrammingError

from marketo_assets.config import PumpConfig
from marketo_assets.config_types import ConfigError
from marketo_assets.marketo.clock import Clock
from marketo_assets.pump.files import ROW_COUNT, SHA256, Bucket
from marketo_assets.pump.ledger import PAGE_ROWS, Ledger
from marketo_assets.pump.mapping import LeadMapping
from marketo_assets.pump.reader import CsvFile
from marketo_assets.pump.source import as_text, latest_contacts, source_names
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import identifier, plain_parts, statement

_PACKAGE: Final = "marketo_assets.pump"


@dataclass(frozen=True)
class SourceState:
    """What the contact table holds."""

    columns: frozenset[str]
    """Names in lower case."""
    contacts: int
    blank_keys: int
    keys: int
    last_changed: datetime | None


@dataclass(frozen=True)
class Drop:
    """What one drop put on S3."""

    rows: int
    uris: tuple[str, ...]
    byte_count: int


def observe_source(warehouse: Warehouse, pump: PumpConfig) -> SourceState:
    """Look at the contact table and count it.

    Raises ConfigError when the table, its key or its time of change is missing, naming what marketo.yaml asks for.
    """
    columns = _columns(warehouse, pump)
    counts = warehouse.rows(statement(_PACKAGE, "source_counts", **source_names(pump)))[0]
    return SourceState(
        columns,
        int(counts["contacts"]),
        int(counts["blank_keys"]),
        int(counts["keys"]),
        counts["last_changed"],
    )


def _columns(warehouse: Warehouse, pump: PumpConfig) -> frozenset[str]:
    try:
        there = frozenset(warehouse.columns(identifier(pump.source.table)))
    except ProgrammingError as error:
        message = f"the table {pump.source.table} of marketo.yaml cannot be read by this Snowflake user: {error}"
        raise ConfigError([message]) from error
    wanted = {"source.key": pump.source.key, "source.updated_at": pump.source.updated_at}
    problems = [
        f"{place}: the table {pump.source.table} has no column {column!r}"
        for place, column in wanted.items()
        if plain_parts(column)[-1] not in there
    ]
    if problems:
        raise ConfigError(problems)
    return there


@contextmanager
def changed_contacts(
    warehouse: Warehouse,
    pump_name: str,
    pump: PumpConfig,
    mapping: LeadMapping,
    *,
    retry_refused: bool,
    is_synced: bool,
) -> Iterator[str]:
    """A temporary table of the contacts to send, numbered from 1, under the name yielded; dropped at the end.

    A copy and not a query, because the contact table may change while its rows are read. Where the mapping leaves
    something out, only contacts that Marketo never accepted: the fingerprints of all others are of the whole mapping.
    """
    snapshot = identifier("PUMP_SNAPSHOT")
    warehouse.execute(
        statement(
            _PACKAGE,
            "snapshot",
            snapshot=snapshot,
            latest_contacts=latest_contacts(pump, mapping),
        ),
        pump=pump_name,
        retry_refused=retry_refused,
        is_synced=is_synced,
        only_new=bool(mapping.left_out),
        mapping_version=mapping.version,
    )
    try:
        yield snapshot
    finally:
        warehouse.execute(f"drop table if exists {snapshot}")


def export(
    warehouse: Warehouse,
    ledger: Ledger,
    bucket: Bucket,
    snapshot: str,
    mapping: LeadMapping,
    *,
    folder: str,
    rows_per_file: int,
) -> Drop:
    """Write the snapshot to CSV files below `folder`; each is in the ledger before it is on S3."""
    total = int(warehouse.rows(f"select count(*) as n from {snapshot}")[0]["n"])
    uris, byte_count = [], 0
    with TemporaryDirectory(prefix="marketo_assets_") as temporary:
        local = Path(temporary) / "part.csv"
        for part, first in enumerate(range(1, total + 1, rows_per_file)):
            last = min(first + rows_per_file - 1, total)
            csv_file = _write_part(warehouse, snapshot, mapping, local, first, last)
            path = f"{folder}/part-{part:05d}.csv"
            ledger.begin_export(path, csv_file, snapshot, first, last)
            metadata = {ROW_COUNT: str(last - first + 1), SHA256: csv_file.sha256}
            uris.append(bucket.put(path, local, metadata))
            ledger.finish_export(path)
            byte_count += csv_file.byte_count
    return Drop(total, tuple(uris), byte_count)


def folder_name(clock: Clock, run_id: str) -> str:
    """Where the files of one drop lie: its time (UTC) and run."""
    return f"{datetime.fromtimestamp(clock.now(), UTC):%Y%m%dT%H%M%SZ}-{run_id[:8]}"


def _write_part(
    warehouse: Warehouse,
    snapshot: str,
    mapping: LeadMapping,
    local: Path,
    first: int,
    last: int,
) -> CsvFile:
    header = tuple(m.column for m in mapping.fields)
    schema = pa.schema([(name, pa.string()) for name in header])
    columns = ", ".join(f"C_{at}" for at in range(len(header)))
    # Every value in quotes, so that an empty string and a null (nothing at all) are told apart (RFC 4180).
    options = pacsv.WriteOptions(quoting_style="all_valid")
    with pacsv.CSVWriter(local, schema, write_options=options) as writer:
        for page in range(first, last + 1, PAGE_ROWS):
            rows = warehouse.arrow(
                f"select {columns} from {snapshot} where snapshot_row between %(first)s and %(last)s"
                " order by snapshot_row",
                first=page,
                last=min(page + PAGE_ROWS - 1, last),
            )
            writer.write_table(pa.table([as_text(column) for column in rows.columns], schema=schema))
    digest = hashlib.sha256()
    with local.open("rb") as written:
        while block := written.read(1 << 20):
            digest.update(block)
    return CsvFile(local, header, digest.hexdigest(), local.stat().st_size)
