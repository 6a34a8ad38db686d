"""POST leads.json: create and update leads, row by row.

In two steps, as Marketo's own timing has it: which lead a row means is decided when the call arrives, the write happens
at its end. Two overlapping calls with one new key therefore make two leads, and nothing prevents it: e-mail is not
unique. Within one call rows are taken in order (UNCONFIRMED).
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from marketo_assets.sandbox.marketo import activities
from marketo_assets.sandbox.marketo.company_leads import CompanyLinks
from marketo_assets.sandbox.marketo.fields import COMPANY_LINK, Field, ReadRow
from marketo_assets.sandbox.marketo.instance import Instance, searchable_field
from marketo_assets.sandbox.marketo.lead_reads import find_leads, lookup_key
from marketo_assets.sandbox.marketo.lead_values import change_lead
from marketo_assets.sandbox.marketo.record_store import StoredRecord
from marketo_assets.sandbox.marketo.store import StoredLead
from marketo_assets.sandbox.marketo.values import BadValueError
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, RowProblem

Action = Literal["createOrUpdate", "createOnly", "updateOnly", "createDuplicate"]
METHOD = "syncLeads"
_NOT_FOUND = RowProblem("1004", "Lead not found")
_EXISTS = RowProblem("1005", "Lead already exists")
_UNKNOWN_FIELD = "1006"
_SEVERAL = RowProblem("1007", "Multiple lead match lookup criteria")


@dataclass(slots=True)
class RowPlan:
    """What one row will do. `lead_id` of an update; `slot` of a create, or of an update of a lead made in this call."""

    read: ReadRow | None = None
    """None where the row has a problem."""
    lookup_value: Any = None
    problem: RowProblem | None = None
    lead_id: int | None = None
    slot: int | None = None
    creates: bool = False
    company_name: str | None = None
    company: int | None = None
    """The company that the lead is to be linked to."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a call will do at its end."""

    rows: list[RowPlan]
    creates: int
    partition_id: int | None


@dataclass(slots=True)
class _Writes:
    """What is to be stored when all rows are done."""

    now: int
    new: list[StoredLead]
    companies: dict[int, StoredRecord]
    """Those that rows name, as far as they are (still) there."""
    updated: dict[int, StoredLead] = field(default_factory=dict)
    new_emails: dict[int, StoredLead] = field(default_factory=dict)
    events: list[activities.Event] = field(default_factory=list)
    links: dict[int, int] = field(default_factory=dict)
    """Company of each lead that gets one."""


class LeadSync:
    """The sync endpoint of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._companies = CompanyLinks(instance)
        self._email = instance.fields.position["email"]
        self._partition = instance.fields.position["leadPartitionId"]
        self._id = instance.fields.position["id"]

    def arrive(self, call: Call) -> SyncPlan:
        """Check the call and its rows and decide, for each, which lead it means."""
        document = call.json()
        action: Action = document.get("action") or "createOrUpdate"
        if action not in get_args(Action):
            raise ApiError("1001", f"Invalid value '{action}'. Required of type 'action'")
        partition_id = self._asked_partition(document.get("partitionName"), action)
        lookup = searchable_field(self._instance, str(document.get("lookupField") or "email"))
        rows = [self._read_row(row, action, lookup) for row in call.rows(document)]
        self._find_companies(rows)
        return SyncPlan(rows, self._match(rows, action, lookup), partition_id)

    def finish(self, call: Call) -> Answer:
        """Write what was decided."""
        plan: SyncPlan = call.plan
        instance = self._instance
        now = instance.now()
        known = instance.store.leads([row.lead_id for row in plan.rows if row.lead_id is not None])
        companies = self._companies.numbered({row.company for row in plan.rows if row.company is not None})
        writes = _Writes(now, self._blank_leads(plan, now), companies)
        result = [self._write_row(row, plan, known, writes, call) for row in plan.rows]
        if writes.new:
            instance.store.insert_leads(writes.new, self._email)
        if writes.updated:
            instance.store.update_leads(writes.updated.values())
        if writes.new_emails:
            instance.store.set_email_keys(writes.new_emails.values(), self._email)
        instance.store.link_leads(writes.links)
        instance.store.add_activities(now, writes.events)
        return Answer(result)

    def _asked_partition(self, name: Any, action: Action) -> int | None:
        if name is None:
            return None
        if action not in {"createOnly", "createOrUpdate"}:
            raise ApiError("1003", f"Invalid data. partitionName does not go with action '{action}'")
        if name not in self._instance.options.partitions:
            raise ApiError("1008", f"Access denied to partition '{name}'")
        return self._instance.options.partitions.index(name) + 1

    def _read_row(self, row: dict[str, Any], action: Action, lookup: Field) -> RowPlan:
        try:
            read = self._instance.fields.read(row)
        except BadValueError as error:
            if error.problem.code == _UNKNOWN_FIELD and self._instance.options.unknown_row_field == "response":
                raise ApiError(*error.problem) from None
            return RowPlan(problem=error.problem)
        if "id" in row and (action != "updateOnly" or lookup.name != "id"):
            return RowPlan(
                problem=RowProblem("1003", "Invalid data. Field 'id' goes with updateOnly and lookupField id")
            )
        lookup_value = read.values[list(row).index(lookup.name)] if lookup.name in row else None
        if action != "createDuplicate" and lookup_value is None:
            return RowPlan(problem=RowProblem("1003", f"Value for lookup field '{lookup.name}' not found"))
        if COMPANY_LINK not in row:
            return RowPlan(read, lookup_value)
        company_name = read.values[list(row).index(COMPANY_LINK)]  # None: the link cannot be unset
        return RowPlan(self._companies.without_link(read), lookup_value, company_name=company_name)

    def _find_companies(self, rows: list[RowPlan]) -> None:
        """UNCONFIRMED: a row that names a company which is not there is skipped, or the name in it ignored."""
        named = {row.company_name for row in rows if row.company_name is not None}
        found = self._companies.named(named) if named else {}
        for row in rows:
            if row.company_name in found:
                row.company = found[row.company_name].number
            elif row.company_name is not None and self._instance.options.unknown_company == "skip":
                row.problem = RowProblem("1013", f"Company '{row.company_name}' not found")

    def _match(self, rows: list[RowPlan], action: Action, lookup: Field) -> int:
        """Decide every row; the number of leads to make."""
        keys = [None if row.lookup_value is None else lookup_key(lookup, row.lookup_value) for row in rows]
        found: dict[Any, list[int]] = {}
        if action != "createDuplicate":
            found = find_leads(self._instance, lookup, [key for key in keys if key is not None])
        made: dict[Any, list[int]] = {}
        creates = 0
        for row, key in zip(rows, keys, strict=True):
            if row.problem is not None:
                continue
            old, new = found.get(key, []), made.get(key, [])
            matches = 0 if action == "createDuplicate" else len(old) + len(new)
            row.problem = _match_problem(action, matches)
            if row.problem is not None:
                continue
            if old:
                row.lead_id = old[0]
            elif matches:
                row.slot = new[0]
            else:
                row.creates, row.slot = True, creates
                made.setdefault(key, []).append(creates)
                creates += 1
        return creates

    def _blank_leads(self, plan: SyncPlan, now: int) -> list[StoredLead]:
        leads = []
        if plan.creates:
            for lead_id in self._instance.store.new_lead_ids(plan.creates):
                values: list[Any] = list(self._instance.fields.blank)
                values[self._id] = lead_id
                values[self._partition] = plan.partition_id or 1
                leads.append(StoredLead(lead_id, now, now, now, values))
        return leads

    def _write_row(
        self, row: RowPlan, plan: SyncPlan, known: dict[int, StoredLead], writes: _Writes, call: Call
    ) -> dict[str, Any]:
        if row.problem is not None or row.read is None:
            return (row.problem or _NOT_FOUND).row()
        lead = known.get(row.lead_id) if row.lead_id is not None else writes.new[row.slot or 0]
        if lead is None:
            return _NOT_FOUND.row()  # deleted since the call arrived
        company = None if row.company is None else writes.companies.get(row.company)
        read = row.read
        if company is not None or self._companies.is_linked(lead):
            read = self._companies.row_for(lead, read, company)
        if not row.creates and plan.partition_id not in {None, lead.values[self._partition]}:
            return RowProblem("1010", "Partition update not allowed").row()
        if company is not None:
            writes.links[lead.id] = company.number
        if row.creates:
            for position, value in zip(read.positions, read.values, strict=True):
                lead.values[position] = value
            writes.events.append(activities.new_lead(lead.id, call.request_id, METHOD))
            return {"id": lead.id, "status": "created"}
        self._update(lead, read, writes, call, stored=row.lead_id is not None)
        return {"id": lead.id, "status": "updated"}

    def _update(self, lead: StoredLead, row: ReadRow, writes: _Writes, call: Call, *, stored: bool) -> None:
        change = change_lead(self._instance, lead, row, writes.now)
        if change is None:
            return
        writes.events.append(activities.changed_values(lead.id, call.request_id, METHOD, *change))
        if stored:
            writes.updated[lead.id] = lead
            if self._email in change.positions:
                writes.new_emails[lead.id] = lead


def _match_problem(action: Action, matches: int) -> RowProblem | None:
    if action == "updateOnly" and matches == 0:
        return _NOT_FOUND
    if action == "createOnly" and matches > 0:
        return _EXISTS
    return _SEVERAL if matches > 1 else None
