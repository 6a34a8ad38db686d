"""The feed's changes applied to the mirror, in the order of their dates and ids."""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from marketo_assets.sync import feed
from marketo_assets.sync.fields import COMPANY_LINK
from marketo_assets.sync.mirror import Lead, Mirror
from marketo_assets.warehouse.session import Row


@dataclass
class Applied:
    """What applying the changes did."""

    changes: int = 0
    read: int = 0
    """Leads read whole: new ones, winners of merges, and such as the mirror did not have."""
    merged: int = 0
    deleted: int = 0
    company_changes: int = 0
    unknown_fields: set[str] = field(default_factory=set)
    """Names that Describe Lead does not have."""


def apply_changes(
    mirror: Mirror,
    deletes: Literal["flag", "delete", "ignore"],
    company_fields: Container[str],
    *,
    calls: int,
) -> Applied:
    """Apply all that is not applied yet. `company_fields`: those that a linked lead has from its company.

    Raises what the client raises; what is applied by then stays applied.
    """
    counts = Applied()
    while rows := mirror.unapplied():
        fold = _Fold(mirror, deletes, company_fields, counts)
        fold.take(rows)
        fold.store([row["marketo_guid"] for row in rows], calls=calls)
        counts.changes += len(rows)
    return counts


class _Fold:
    """Some changes and the leads that they touch."""

    def __init__(self, mirror: Mirror, deletes: str, company_fields: Container[str], counts: Applied) -> None:
        self._mirror = mirror
        self._deletes = deletes
        self._company_fields = company_fields
        self._counts = counts
        self._leads: dict[int, Lead] = {}
        self._touched: set[int] = set()
        self._queue: set[int] = set()
        self._dropped: set[int] = set()
        self._company_changes: list[dict[str, Any]] = []

    def take(self, rows: Collection[Row]) -> None:
        """In their order."""
        losers = [loser for row in rows for loser in _losers(row)]
        self._leads = self._mirror.leads([*losers, *(int(row["lead_id"]) for row in rows)])
        for row in rows:
            lead_id = int(row["lead_id"])
            match int(row["activity_type_id"]):
                case feed.NEW_LEAD:
                    self._queue.add(lead_id)
                case feed.CHANGE:
                    self._change(lead_id, row)
                case feed.MERGE:
                    self._merge(lead_id, row)
                case feed.DELETE:
                    self._delete(lead_id, row)

    def store(self, guids: list[str], *, calls: int) -> None:
        """Read what is queued and write it all."""
        read = self._mirror.read(self._queue - self._dropped, calls=calls)
        self._counts.read += len(read)
        for lead_id, lead in read.items():
            _carry_times(self._leads.get(lead_id), lead)
            self._leads[lead_id] = lead
            self._touched.add(lead_id)
        leads = [self._leads[lead_id] for lead_id in sorted(self._touched - self._dropped)]
        self._counts.company_changes += len(self._company_changes)
        self._mirror.replace(leads, dropped=self._dropped, applied=guids, company_changes=self._company_changes)

    def _change(self, lead_id: int, row: Row) -> None:
        changes = self._mirror.changed_fields(row["fields"], self._counts.unknown_fields)
        lead = self._leads.get(lead_id)
        if lead is None or COMPANY_LINK in changes:
            # Another company brings other values, which need not be told one by one.
            self._queue.add(lead_id)
        if lead is None or row["activity_date"] < lead.as_of:
            return
        company = lead.fields.get(COMPANY_LINK)
        for name, value in changes.items():
            lead.fields[name] = value
            lead.field_times[name] = row["activity_date"].isoformat()
            if company and name in self._company_fields:
                self._company_changes.append(_company_change(company, name, value, row))
        self._touched.add(lead_id)

    def _merge(self, winner: int, row: Row) -> None:
        last = self._leads[winner].merged_into if winner in self._leads else None
        last = winner if last is None else last
        for loser in _losers(row):
            if loser == last:
                continue
            lead = self._leads.setdefault(loser, Lead(loser, {}, row["activity_date"]))
            self._counts.merged += lead.merged_into is None
            for each in (lead, *(lead for lead in self._leads.values() if lead.merged_into == loser)):
                each.merged_into = last
                self._touched.add(each.lead_id)
            self._queue.discard(loser)
        self._queue.add(last)

    def _delete(self, lead_id: int, row: Row) -> None:
        if self._deletes == "ignore":
            return
        self._queue.discard(lead_id)
        lead = self._leads.get(lead_id)
        if lead is None or lead.deleted_at is not None:
            return
        self._counts.deleted += 1
        if self._deletes == "delete":
            self._dropped.add(lead_id)
            return
        lead.deleted_at = row["activity_date"]
        self._touched.add(lead_id)


def _losers(row: Row) -> Iterable[int]:
    return [int(each) for each in row["losers"].split(",") if each]


def _company_change(company: str, name: str, value: str | None, row: Row) -> dict[str, Any]:
    return {
        "external_company_id": company,
        "field": name,
        "new_value": value,
        "lead_id": int(row["lead_id"]),
        "marketo_guid": row["marketo_guid"],
        "changed_at": row["activity_date"],
    }


def _carry_times(before: Lead | None, now: Lead) -> None:
    """What a lead read whole has in other values than before has changed by then."""
    known = before.fields if before else {}
    now.field_times = dict(before.field_times) if before else {}
    for name, value in now.fields.items():
        if name in known and known[name] != value:
            now.field_times[name] = now.as_of.isoformat()
