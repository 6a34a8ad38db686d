"""The pump's tables: which contacts went into which file, and what became of every row.

Everything is recorded after Marketo's (or S3's) yes, never before, and a row's result, its fingerprint and its
duplicates in one transaction, so that a run killed anywhere can be run again.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.pump.duplicates import Duplicate
from marketo_assets.pump.reader import CsvFile
from marketo_assets.pump.rows import RowResult, Status
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets.warehouse.sql import statement

Origin = Literal["drop", "external"]

PAGE_ROWS: Final = 20_000
"""Rows read from the warehouse at once: bounded memory on both sides."""

_PACKAGE: Final = "marketo_assets.pump"

_RESULT_SCHEMA: Final = pa.schema(
    [
        ("row_number", pa.int64()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("lead_id", pa.int64()),
    ],
)


@dataclass(frozen=True)
class FileVersion:
    """One content of one file: the path under the pump's prefix, and which content of it."""

    path: str
    version: str


class Ledger:
    """The tables of one pump through one warehouse session."""

    def __init__(self, warehouse: Warehouse, pump: str, run_id: str, clock: Clock) -> None:
        """`run_id` is written beside every row, so that a row can be followed to its Dagster run."""
        self._warehouse = warehouse
        self._pump = pump
        self._run_id = run_id
        self._clock = clock

    def create_tables(self) -> None:
        """Create what is missing; never changes a table that is there."""
        self._warehouse.create(statement(_PACKAGE, "tables"))

    # The drop's side

    def settle_missing_files(self, exists: Callable[[str], bool]) -> None:
        """Look for the drop's unfinished files on S3, so that contacts do not wait for a file that is not there.

        One that an earlier drop was killed over is open if it arrived, else abandoned; one that was removed is gone.
        Only for the one drop of the pump that runs.
        """
        for row in self._files("origin = 'drop' and state in ('writing', 'open')"):
            is_there, was_writing = exists(row["file"]), row["state"] == "writing"
            if is_there and was_writing:
                self._set_state(row["file"], "state = 'writing'", "open", "the drop was interrupted")
            elif not is_there:
                state = "abandoned" if was_writing else "gone"
                condition = "origin = 'drop' and state in ('writing', 'open')"
                self._set_state(row["file"], condition, state, "the file is not on S3")

    def begin_export(self, file: str, csv_file: CsvFile, snapshot: str, first_row: int, last_row: int) -> None:
        """Note the file and its contacts before it goes to S3: once there, its run may start at any moment."""
        with self._warehouse.transaction():
            self._insert_file(file, None, "writing", "drop", csv_file, last_row - first_row + 1)
            self._warehouse.execute(
                "insert into PUMP_EXPORTS (pump, file, row_number, key, fingerprint, exported_at)"
                " select %(pump)s, %(file)s, snapshot_row - %(first)s + 1, contact_key, contact_fingerprint,"
                f" %(now)s::timestamp_ntz from {snapshot} where snapshot_row between %(first)s and %(last)s",
                pump=self._pump,
                file=file,
                first=first_row,
                last=last_row,
                now=self._now(),
            )

    def finish_export(self, file: str) -> None:
        """The file is on S3."""
        self._set_state(file, "state = 'writing'", "open", None)

    def open_files(self) -> list[Row]:
        """Files whose rows are not all settled: file, origin, opened_at."""
        return self._files("state in ('writing', 'open')")

    # The leads' side

    def claim(self, file: FileVersion, csv_file: CsvFile) -> Origin:
        """Take a fetched file up; says whether the drop wrote it, so that its contacts are known.

        A file of the drop that holds something else than the drop wrote has been replaced: what the drop put into it
        will be exported again.
        """
        for row in self._files("file = %(file)s", file=file.path):
            known_version = row["version"] == file.version
            is_the_drops = row["origin"] == "drop" and row["sha256"] == csv_file.sha256 and row["state"] != "done"
            if known_version or is_the_drops:
                self._warehouse.execute(
                    "update PUMP_FILES set version = %(version)s, state = 'open', run_id = %(run)s, reason = null,"
                    " closed_at = null where pump = %(pump)s and file = %(file)s and origin = %(origin)s"
                    " and coalesce(version, '') = %(was)s",
                    **self._names(file),
                    run=self._run_id,
                    origin=row["origin"],
                    was=row["version"] or "",
                )
                return "drop" if row["origin"] == "drop" else "external"
        other = "origin = 'drop' and state in ('writing', 'open')"
        self._set_state(file.path, other, "replaced", "other content lies under its name")
        self._insert_file(file.path, file.version, "open", "external", csv_file, None)
        return "external"

    def settled_rows(self, file: FileVersion, row_count: int) -> npt.NDArray[np.bool_]:
        """By row number (index 0 unused): the rows that an earlier run of this file has settled."""
        return self._row_mask(
            row_count,
            self._warehouse.arrow(
                "select row_number from LEAD_SYNC_RESULTS"
                " where pump = %(pump)s and file = %(file)s and version = %(version)s",
                **self._names(file),
            ),
        )

    def superseded_exports(self, file: FileVersion, row_count: int) -> npt.NDArray[np.bool_]:
        """By row number: contacts that the drop has put into a newer file since, whose values must not be undone."""
        return self._row_mask(
            row_count,
            self._warehouse.arrow(statement(_PACKAGE, "superseded_exports"), pump=self._pump, file=file.path),
        )

    def record(
        self,
        file: FileVersion,
        origin: Origin,
        mapping_version: str,
        results: Sequence[RowResult],
        duplicates: Sequence[Duplicate],
    ) -> None:
        """Store settled rows with their fingerprints and duplicates, all or none; a second time changes nothing."""
        if not results:
            return
        names = {**self._names(file), "run": self._run_id, "now": self._now(), "mapping_version": mapping_version}
        columns = dict(zip(_RESULT_SCHEMA.names, zip(*results, strict=True), strict=False))
        columns = {name: columns[name] for name in _RESULT_SCHEMA.names}
        with ExitStack() as stack:
            staged = stack.enter_context(self._warehouse.staged(pa.table(columns, schema=_RESULT_SCHEMA)))
            staged_duplicates = (
                stack.enter_context(self._warehouse.staged(_duplicate_table(duplicates))) if duplicates else None
            )
            stack.enter_context(self._warehouse.transaction())
            self._store_results(staged, names)
            self._store_fingerprints(staged, origin, names)
            if staged_duplicates:
                self._store_duplicates(staged_duplicates, names)

    def _store_results(self, staged: str, names: dict[str, Any]) -> None:
        self._warehouse.execute(
            f"delete from LEAD_SYNC_RESULTS using {staged} s where LEAD_SYNC_RESULTS.pump = %(pump)s"
            " and LEAD_SYNC_RESULTS.file = %(file)s and LEAD_SYNC_RESULTS.version = %(version)s"
            " and LEAD_SYNC_RESULTS.row_number = s.row_number",
            **names,
        )
        self._warehouse.execute(
            "insert into LEAD_SYNC_RESULTS"
            " (pump, file, version, row_number, status, code, reason, lead_id, run_id, recorded_at)"
            " select %(pump)s, %(file)s, %(version)s, row_number, status, code, reason, lead_id, %(run)s,"
            f" %(now)s::timestamp_ntz from {staged}",
            **names,
        )

    def _store_fingerprints(self, staged: str, origin: Origin, names: dict[str, Any]) -> None:
        if origin == "drop":
            self._warehouse.execute(statement(_PACKAGE, "update_fingerprints", results=staged), **names)
            self._warehouse.execute(statement(_PACKAGE, "insert_fingerprints", results=staged), **names)
            return
        # Somebody else's file has changed the lead: what the drop last sent is no longer what Marketo holds.
        self._warehouse.execute(
            f"delete from PUMP_FINGERPRINTS using {staged} s where PUMP_FINGERPRINTS.pump = %(pump)s"
            " and PUMP_FINGERPRINTS.key = s.key and s.status in ('created', 'updated')",
            **names,
        )

    def _store_duplicates(self, staged: str, names: dict[str, Any]) -> None:
        self._warehouse.execute(
            f"delete from DUPLICATE_LEADS using {staged} s where DUPLICATE_LEADS.pump = %(pump)s"
            " and DUPLICATE_LEADS.key = s.key and DUPLICATE_LEADS.run_id = %(run)s",
            **names,
        )
        self._warehouse.execute(
            "insert into DUPLICATE_LEADS"
            " (pump, key, run_id, file, version, row_number, lead_ids, chosen_ids, policy, recorded_at)"
            " select %(pump)s, key, %(run)s, %(file)s, %(version)s, row_number, lead_ids, chosen_ids, policy,"
            f" %(now)s::timestamp_ntz from {staged}",
            **names,
        )

    def close(self, file: FileVersion, state: Literal["done", "refused", "gone"], reason: str | None = None) -> None:
        """Say how the file ended; also of a file that could not be read, and so was never claimed."""
        if state == "done":
            self._set_state(file.path, "version = %(version)s", state, reason, version=file.version)
            return
        ended = {row["version"]: row["state"] for row in self._files("file = %(file)s", file=file.path)}
        if ended.get(file.version) == "done":
            return
        if not ended.keys() & {file.version, None}:
            self._insert_file(file.path, file.version, state, "external", None, None)
        condition = "(version = %(version)s or version is null)"
        self._set_state(file.path, condition, state, reason, version=file.version)

    def note_row_count(self, file: FileVersion, row_count: int) -> None:
        """The number of rows that the file turned out to have."""
        self._warehouse.execute(
            "update PUMP_FILES set row_count = %(rows)s"
            " where pump = %(pump)s and file = %(file)s and version = %(version)s",
            rows=row_count,
            **self._names(file),
        )

    def counts(self, file: FileVersion) -> list[tuple[Status, str | None, int]]:
        """Settled rows of a file by status and code."""
        rows = self._warehouse.rows(
            "select status, code, count(*) as n from LEAD_SYNC_RESULTS"
            " where pump = %(pump)s and file = %(file)s and version = %(version)s group by status, code order by 1, 2",
            **self._names(file),
        )
        return [(row["status"], row["code"], row["n"]) for row in rows]

    def duplicate_count(self, file: FileVersion) -> int:
        """Keys of a file that several leads hold and for which one or more were written."""
        rows = self._warehouse.rows(
            "select count(distinct key) as n from DUPLICATE_LEADS where pump = %(pump)s and file = %(file)s"
            " and version = %(version)s and chosen_ids <> '[]'",
            **self._names(file),
        )
        return int(rows[0]["n"])

    def refusals(self, file: FileVersion, first_row: int, last_row: int) -> list[Row]:
        """Rejected and skipped rows of a stretch of the file, in order: row_number, code, reason."""
        return self._warehouse.rows(
            "select row_number, code, reason from LEAD_SYNC_RESULTS"
            " where pump = %(pump)s and file = %(file)s and version = %(version)s"
            " and status in ('rejected', 'skipped') and row_number between %(first)s and %(last)s"
            " order by row_number",
            **self._names(file),
            first=first_row,
            last=last_row,
        )

    def refusal_sample(self, file: FileVersion, rows: int) -> list[Row]:
        """The first refused rows of a file, to show."""
        return self._warehouse.rows(
            "select row_number, code, reason from LEAD_SYNC_RESULTS"
            " where pump = %(pump)s and file = %(file)s and version = %(version)s"
            " and status in ('rejected', 'skipped')"
            " qualify row_number() over (order by row_number) <= %(rows)s order by row_number",
            **self._names(file),
            rows=rows,
        )

    # Shared

    def _names(self, file: FileVersion) -> dict[str, str]:
        return {"pump": self._pump, "file": file.path, "version": file.version}

    def _now(self) -> datetime:
        return utc_now(self._clock).replace(tzinfo=None)

    def _files(self, condition: str, **values: Any) -> list[Row]:
        return self._warehouse.rows(
            "select file, version, origin, sha256, state, opened_at from PUMP_FILES"
            f" where pump = %(pump)s and {condition} order by opened_at, file",
            pump=self._pump,
            **values,
        )

    def _insert_file(
        self,
        file: str,
        version: str | None,
        state: str,
        origin: Origin,
        csv_file: CsvFile | None,
        row_count: int | None,
    ) -> None:
        self._warehouse.execute(
            "insert into PUMP_FILES"
            " (pump, file, version, state, origin, row_count, byte_count, sha256, run_id, opened_at)"
            " select %(pump)s, %(file)s, %(version)s, %(state)s, %(origin)s, %(rows)s, %(bytes)s, %(sha256)s, %(run)s,"
            " %(now)s::timestamp_ntz",
            pump=self._pump,
            file=file,
            version=version,
            state=state,
            origin=origin,
            rows=row_count,
            bytes=csv_file.byte_count if csv_file else None,
            sha256=csv_file.sha256 if csv_file else None,
            run=self._run_id,
            now=self._now(),
        )

    def _set_state(self, file: str, condition: str, state: str, reason: str | None, **values: Any) -> None:
        self._warehouse.execute(
            "update PUMP_FILES set state = %(state)s, reason = %(reason)s, closed_at = %(closed)s::timestamp_ntz"
            f" where pump = %(pump)s and file = %(file)s and {condition}",
            state=state,
            reason=reason,
            closed=None if state == "open" else self._now(),
            pump=self._pump,
            file=file,
            **values,
        )

    @staticmethod
    def _row_mask(row_count: int, rows: pa.Table) -> npt.NDArray[np.bool_]:
        mask = np.zeros(row_count + 1, np.bool_)
        mask[rows.column("row_number").to_numpy()] = True
        return mask


def _duplicate_table(duplicates: Sequence[Duplicate]) -> pa.Table:
    rows = [
        {
            "row_number": duplicate.row_number,
            "key": duplicate.key,
            "lead_ids": orjson.dumps(duplicate.lead_ids).decode(),
            "chosen_ids": orjson.dumps(duplicate.chosen_ids).decode(),
            "policy": duplicate.policy,
        }
        for duplicate in duplicates
    ]
    schema = pa.schema(
        [
            ("row_number", pa.int64()),
            ("key", pa.string()),
            ("lead_ids", pa.string()),
            ("chosen_ids", pa.string()),
            ("policy", pa.string()),
        ],
    )
    return pa.Table.from_pylist(rows, schema=schema)
