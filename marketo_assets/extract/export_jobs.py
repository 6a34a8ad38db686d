"""The record of export jobs: which job is for which window, so that a killed run's job is found and not paid twice."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Final

from marketo_assets.extract.windows import Window
from marketo_assets.marketo.bulk_extract import ExportJob
from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.warehouse.session import Row, Warehouse

LEADS: Final = "leads/"
"""How the names of jobs of leads begin; those of activities are the ids of their types."""


class ExportJobs:
    """The table EXPORT_JOBS through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock) -> None:
        """`run_id` is that of the run which asks for jobs."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._clock = clock

    def find(self, window: Window, name: str) -> str | None:
        """The id of the open job of this name for exactly this window, the newest if there are several."""
        rows = self._warehouse.rows(
            "select export_id from EXPORT_JOBS where state = 'open' and first_day = %(first)s and last_day = %(last)s"
            " and type_ids = %(name)s order by created_at desc",
            first=window.first,
            last=window.last,
            name=name,
        )
        return rows[0]["export_id"] if rows else None

    def begun(self, days: Collection[date], name: str) -> list[tuple[str, Window]]:
        """Open jobs of this name whose whole window lies in these days, the newest first."""
        rows = self._warehouse.rows(
            "select export_id, first_day, last_day from EXPORT_JOBS where state = 'open' and type_ids = %(name)s"
            " order by created_at desc",
            name=name,
        )
        found = [(row["export_id"], Window(row["first_day"], row["last_day"])) for row in rows]
        return [(export_id, window) for export_id, window in found if set(window.days) <= set(days)]

    def open_leads(self) -> list[Row]:
        """Open jobs of leads, whatever their fields: export_id, name, first_day, last_day, created_at."""
        return self._warehouse.rows(
            "select export_id, type_ids as name, first_day, last_day, created_at from EXPORT_JOBS"
            " where state = 'open' and startswith(type_ids, %(leads)s)",
            leads=LEADS,
        )

    def note(self, export_id: str, window: Window, name: str) -> None:
        """A job was created."""
        self._warehouse.execute(
            "insert into EXPORT_JOBS (export_id, first_day, last_day, type_ids, state, run_id, created_at)"
            " select %(id)s, %(first)s::date, %(last)s::date, %(name)s, 'open', %(run)s, %(now)s::timestamp_ntz",
            id=export_id,
            first=window.first,
            last=window.last,
            name=name,
            run=self._run_id,
            now=self._now(),
        )

    def abandon(self, export_id: str, reason: str) -> None:
        """Its file will not come."""
        self._close(export_id, "abandoned", reason, None)

    def loaded(self, job: ExportJob) -> None:
        """Its rows are stored. Only in the transaction that notes their days."""
        self._close(job.export_id, "loaded", None, job)

    def compared(self, name: str) -> None:
        """What the open jobs of this name brought is in the mirror. Only in the transaction that says so."""
        self._warehouse.execute(
            "update EXPORT_JOBS set state = 'compared', closed_at = %(now)s::timestamp_ntz"
            " where state = 'open' and type_ids = %(name)s",
            now=self._now(),
            name=name,
        )

    def _close(self, export_id: str, state: str, reason: str | None, job: ExportJob | None) -> None:
        self._warehouse.execute(
            "update EXPORT_JOBS set state = %(state)s, reason = %(reason)s, byte_count = %(bytes)s,"
            " row_count = %(rows)s, closed_at = %(now)s::timestamp_ntz where export_id = %(id)s",
            id=export_id,
            state=state,
            reason=reason,
            bytes=job.file_size if job else None,
            rows=job.record_count if job else None,
            now=self._now(),
        )

    def _now(self) -> datetime:
        return utc_now(self._clock).replace(tzinfo=None)
