"""The record of export jobs: which job is for which window, so that a killed run's job is found and not paid twice."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from marketo_assets.extract.windows import Window
from marketo_assets.marketo.bulk_extract import ExportJob
from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.warehouse.session import Warehouse


class ExportJobs:
    """The table EXPORT_JOBS through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock) -> None:
        """`run_id` is that of the run which asks for jobs."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._clock = clock

    def find(self, window: Window, type_ids: Sequence[int]) -> str | None:
        """The id of the open job for exactly this window and these types, the newest if there are several."""
        rows = self._warehouse.rows(
            "select export_id from EXPORT_JOBS where state = 'open' and first_day = %(first)s and last_day = %(last)s"
            " and type_ids = %(types)s order by created_at desc",
            first=window.first,
            last=window.last,
            types=_text(type_ids),
        )
        return rows[0]["export_id"] if rows else None

    def begun(self, days: Collection[date], type_ids: Sequence[int]) -> list[tuple[str, Window]]:
        """Open jobs for these types whose whole window lies in these days, the newest first."""
        rows = self._warehouse.rows(
            "select export_id, first_day, last_day from EXPORT_JOBS where state = 'open' and type_ids = %(types)s"
            " order by created_at desc",
            types=_text(type_ids),
        )
        found = [(row["export_id"], Window(row["first_day"], row["last_day"])) for row in rows]
        return [(export_id, window) for export_id, window in found if set(window.days) <= set(days)]

    def note(self, export_id: str, window: Window, type_ids: Sequence[int]) -> None:
        """A job was created."""
        self._warehouse.execute(
            "insert into EXPORT_JOBS (export_id, first_day, last_day, type_ids, state, run_id, created_at)"
            " select %(id)s, %(first)s::date, %(last)s::date, %(types)s, 'open', %(run)s, %(now)s::timestamp_ntz",
            id=export_id,
            first=window.first,
            last=window.last,
            types=_text(type_ids),
            run=self._run_id,
            now=self._now(),
        )

    def abandon(self, export_id: str, reason: str) -> None:
        """Its file will not come."""
        self._close(export_id, "abandoned", reason, None)

    def loaded(self, job: ExportJob) -> None:
        """Its rows are stored. Only in the transaction that notes their days."""
        self._close(job.export_id, "loaded", None, job)

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


def _text(type_ids: Sequence[int]) -> str:
    return ",".join(map(str, sorted(type_ids)))
