"""The mirror against all of Marketo's leads, by bulk extract: the first fill, and what the feed did not tell of.

A lead is compared as it was just before its file's job was made. What has changed since then is the feed's to tell: a
job takes minutes, and an older file must never undo a newer change. What a file cannot say for certain is asked of
Marketo by id: a record that is no CSV, and a lead of the mirror that is in none of the files, before it is given up.

Each page is compared and written under the lock that the feed's changes are applied under; whatever stops a run, what
is repaired stays, and the next run finds the jobs again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.extract.bulk_route import ExportedFile, Exports, windows_taken
from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.store import ActivityStore, Watermark
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.sync.drift import Verdict, judge, unchanged_since
from marketo_assets.sync.feed import CONTINUOUS, DELETE, MERGE
from marketo_assets.sync.fields import SyncFields
from marketo_assets.sync.lead_export import KEPT_SECONDS, abandon_useless_jobs, all_leads, windows_until
from marketo_assets.sync.lead_file import ExportedLead, LeadFileError, columns_for, read_leads
from marketo_assets.sync.mirror import Lead, Mirror
from marketo_assets.warehouse.session import Warehouse

MIRROR: Final = "mirror"
"""The watermark: the fields that the mirror has of every lead, and since when only the feed's changes are missing."""

LEADS_AT_ONCE: Final = 10_000
"""Compared at once: some 60 MB, and a few statements, whatever their number."""

_IDS_AT_ONCE: Final = 100_000


@dataclass
class Reconciled:
    """What a reconciliation found and did."""

    is_first: bool = False
    exported: int = 0
    """Leads in the files."""
    inserted: int = 0
    repaired: int = 0
    drift: Counter[str] = field(default_factory=Counter)
    """Repaired leads by the field that differed."""
    completed: int = 0
    """Leads that the mirror had without some field: one that was not mirrored when they were read."""
    revived: int = 0
    """Deleted or merged by the mirror, and live in Marketo."""
    gone: int = 0
    changed_since: int = 0
    """Left to the feed."""
    read_by_id: int = 0
    """Not to be read in their file, or in none of the files."""
    jobs: int = 0
    byte_count: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one lead."""
        match verdict.kind:
            case "inserted":
                self.inserted += 1
            case "repaired":
                self.repaired += 1
                self.drift.update(verdict.fields)
            case "completed":
                self.completed += 1
            case "revived":
                self.revived += 1
            case "left":
                self.changed_since += 1

    @property
    def differing(self) -> int:
        """Leads that the mirror had otherwise than Marketo; a first fill has nothing to differ from."""
        return 0 if self.is_first else self.inserted + self.repaired + self.revived + self.gone


def reason_to_reconcile(store: ActivityStore, fields: SyncFields) -> str | None:
    """Why the mirror needs a reconciliation; None: it does not.

    A field that is not mirrored any more (hidden in Marketo, or taken out of marketo.yaml) is noted as unread: what
    becomes of it from now on is not told, so it is read for all leads when it is back.
    """
    marks = store.watermarks()
    mark, feed = marks.get(MIRROR), marks.get(CONTINUOUS)
    if mark is None:
        return "it was never filled"
    were, are = {*mark.token.split(",")}, {*fields.names}
    if were - are:
        store.move_watermark(MIRROR, Watermark(",".join(sorted(were & are)), mark.read_until))
    if added := sorted(are - were):
        return f"fields were added since it was last reconciled: {', '.join(added)}"
    if feed is not None and feed.read_until > mark.read_until:
        return "the feed has a gap since it was last reconciled"
    return None


def reconcile(
    client: MarketoClient,
    warehouse: Warehouse,
    mirror: Mirror,
    fields: SyncFields,
    config: LeadSyncConfig,
    *,
    run_id: str,
    exclusive: Callable[[], AbstractContextManager[None]],
    catch_up: Callable[[], object],
    folder: Path,
    poll_seconds: float,
    calls: int,
) -> Reconciled:
    """Bring the mirror to what Marketo has, whatever it has now.

    `exclusive` is held while a page is compared and written. `catch_up` reads the feed and applies it, so that what it
    is about to tell is not taken for drift; it is called outside `exclusive`. One run at a time. Raises what the client
    raises: what is repaired by then stays, and the mirror counts as complete only after a whole run.
    """
    started = utc_now(client.clock).replace(microsecond=0)
    store, columns = ActivityStore(warehouse, run_id, client.clock), columns_for(fields.names)
    jobs = ExportJobs(warehouse, run_id, client.clock)
    exports = Exports(client, jobs, all_leads(columns, started), folder, poll_seconds)
    windows, feed = windows_until(config.start, started), store.watermark(CONTINUOUS)
    abandon_useless_jobs(exports, windows, feed.read_until if feed else None)
    counts = Reconciled(is_first=store.watermark(MIRROR) is None)
    comparison = _Comparison(client, warehouse, mirror, exclusive, counts, calls)
    begins = [_naive(started)]

    def take(file: ExportedFile) -> None:
        # A job that does not tell its age is as old as one that is found again may be.
        created_at = file.job.created_at or utc_now(client.clock) - timedelta(seconds=KEPT_SECONDS)
        begins.append(_naive(created_at))
        if not counts.is_first:
            catch_up()
        comparison.exported(read_leads(file.path, columns, rows=file.job.record_count), begins[-1])
        file.path.unlink()
        counts.jobs += 1
        counts.byte_count += file.job.file_size or 0

    for _ in windows_taken(exports, windows, take, LeadFileError):
        pass
    counts.exported = len(comparison.seen)
    if config.deletes != "ignore":
        comparison.settle_gone(min(begins), catch_up, is_flagged=config.deletes == "flag")
    with store.transaction():
        store.move_watermark(MIRROR, Watermark(",".join(sorted(fields.names)), min(begins).replace(tzinfo=UTC)))
        jobs.compared(exports.order.name)
    return counts


class _Comparison:
    """Marketo's leads against the mirror's, page by page."""

    def __init__(
        self,
        client: MarketoClient,
        warehouse: Warehouse,
        mirror: Mirror,
        exclusive: Callable[[], AbstractContextManager[None]],
        counts: Reconciled,
        calls: int,
    ) -> None:
        self._client = client
        self._warehouse = warehouse
        self._mirror = mirror
        self._exclusive = exclusive
        self._counts = counts
        self._calls = calls
        self._seen: list[npt.NDArray[np.int64]] = []

    @property
    def seen(self) -> npt.NDArray[np.int64]:
        """Ids of the leads that are in the files, each once, ascending: 8 bytes a lead."""
        self._seen = [np.unique(np.concatenate(self._seen))] if self._seen else [np.empty(0, np.int64)]
        return self._seen[0]

    def exported(self, leads: Iterator[ExportedLead], as_of: datetime) -> None:
        """Leads of one file, as they were at a time just before its job was made."""
        while page := list(islice(leads, LEADS_AT_ONCE)):
            readable = [self._mirror.from_marketo(each.values, as_of) for each in page if each.values is not None]
            self._compare({lead.lead_id: lead for lead in readable}, as_of)
            self._seen.append(np.array([lead.lead_id for lead in readable], np.int64))
            unread = [each.lead_id for each in page if each.values is None]
            self._seen.append(np.array(self._read(unread), np.int64))

    def settle_gone(self, since: datetime, catch_up: Callable[[], object], *, is_flagged: bool) -> None:
        """Leads of the mirror that Marketo has no longer: deleted as of `since`, if nothing was heard of them later."""
        seen, is_caught_up = self.seen, False
        for ids in self._live_ids(since):
            missing = np.setdiff1d(ids, seen, assume_unique=True).tolist()
            if missing and not is_caught_up:
                catch_up()
                is_caught_up = True
            for start in range(0, len(missing), LEADS_AT_ONCE):
                page = missing[start : start + LEADS_AT_ONCE]
                self._end({*page} - {*self._read(page)}, since, is_flagged=is_flagged)

    def _read(self, ids: Collection[int]) -> list[int]:
        """Compare these leads as Marketo has them now; the ids of those that it has."""
        if not ids:
            return []
        asked_at = _naive(utc_now(self._client.clock).replace(microsecond=0))
        found = self._mirror.read(ids, calls=self._calls)
        self._counts.read_by_id += len(found)
        self._compare(found, asked_at)
        return list(found)

    def _compare(self, found: Mapping[int, Lead], as_of: datetime) -> None:
        with self._exclusive():
            known = self._mirror.leads(found)
            is_settled = all(lead_id in known and known[lead_id].is_live for lead_id in found)
            ended = frozenset[int]() if is_settled else self._ended_since(as_of)
            verdicts = [judge(known.get(lead_id), lead, as_of, ended) for lead_id, lead in found.items()]
            changed = [verdict.lead for verdict in verdicts if verdict.lead is not None]
            if changed:
                self._mirror.replace(changed)
        for verdict in verdicts:
            self._counts.add(verdict)

    def _ended_since(self, as_of: datetime) -> frozenset[int]:
        """Leads deleted or merged since: what is older must not bring them (back) to life."""
        rows = self._warehouse.rows(
            "select lead_id, activity_type_id, losers from LEAD_CHANGES"
            " where activity_type_id in (%(delete)s, %(merge)s) and activity_date >= %(since)s::timestamp_ntz",
            delete=DELETE,
            merge=MERGE,
            since=as_of,
        )
        deleted = {int(row["lead_id"]) for row in rows if int(row["activity_type_id"]) == DELETE}
        return frozenset(deleted.union(*(map(int, filter(None, row["losers"].split(","))) for row in rows)))

    def _live_ids(self, since: datetime) -> Iterator[npt.NDArray[np.int64]]:
        """Ids of live leads that nothing was heard of since, ascending."""
        last = 0
        while True:
            rows = self._warehouse.arrow(
                "select lead_id from LEADS where merged_into is null and deleted_at is null"
                " and as_of < %(since)s::timestamp_ntz and lead_id > %(last)s"
                f" order by lead_id limit {_IDS_AT_ONCE}",
                since=since,
                last=last,
            )
            if not rows.num_rows:
                return
            ids = rows["lead_id"].to_numpy().astype(np.int64)
            last = int(ids[-1])
            yield ids

    def _end(self, ids: Collection[int], since: datetime, *, is_flagged: bool) -> None:
        with self._exclusive():
            known = self._mirror.leads(ids)
            gone = [known[each] for each in ids if each in known]
            gone = [lead for lead in gone if lead.is_live and unchanged_since(lead, since)]
            for lead in gone:
                lead.deleted_at = since
            if gone:
                self._mirror.replace(
                    gone if is_flagged else (), dropped=() if is_flagged else [each.lead_id for each in gone]
                )
        self._counts.gone += len(gone)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
