"""Deleting and merging leads, and moving them between lead partitions."""

from typing import Any

from marketo_assets.sandbox.marketo import activities
from marketo_assets.sandbox.marketo.company_leads import CompanyLinks
from marketo_assets.sandbox.marketo.fields import ReadRow
from marketo_assets.sandbox.marketo.instance import Instance, asked_lead_ids, full_name, lead_id
from marketo_assets.sandbox.marketo.lead_values import change_lead
from marketo_assets.sandbox.marketo.options import MAX_LOSERS
from marketo_assets.sandbox.marketo.record_links import move_links
from marketo_assets.sandbox.marketo.record_store import StoredRecord
from marketo_assets.sandbox.marketo.store import StoredLead
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, RowProblem

NOT_FOUND = RowProblem("1004", "Lead not found")


class LeadRemoval:
    """The endpoints that take leads away or elsewhere."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._companies = CompanyLinks(instance)

    def delete(self, call: Call) -> Answer:
        """POST leads/delete.json, DELETE leads.json: each id is deleted or skipped (1004)."""
        ids = asked_lead_ids(call)
        leads = self._instance.store.leads(ids)
        result: list[dict[str, Any]] = []
        events = []
        for number in ids:
            lead = leads.pop(number, None)
            if lead is None:
                result.append(NOT_FOUND.row(number))
                continue
            events.append(activities.deleted(number, full_name(self._instance, lead)))
            result.append({"id": number, "status": "deleted"})
        self._instance.store.delete_leads([event[0] for event in events])
        self._instance.store.add_activities(self._instance.now(), events)
        return Answer(result)

    def merge(self, call: Call) -> Answer:
        """POST leads/{id}/merge.json: the losers' values fill what is empty in the winner, then the losers are gone.

        At most 25 losers (1080); a lead that is missing fails the call (1004, a choice). The losers' memberships,
        activities and custom objects become the winner's. `mergeInCRM` has no effect: there is no CRM.
        """
        winner_id = int(call.path_values["id"])
        loser_ids = list(dict.fromkeys(asked_lead_ids(call, ("leadId", "leadIds"))))
        if len(loser_ids) > MAX_LOSERS:
            raise ApiError("1080", f"Too many leads to merge: {len(loser_ids)}, the limit is {MAX_LOSERS}")
        if winner_id in loser_ids:
            raise ApiError("1003", "Invalid data. A lead cannot be merged with itself")
        store = self._instance.store
        leads = store.leads([winner_id, *loser_ids])
        if len(leads) != 1 + len(loser_ids):
            raise ApiError("1004", "Lead not found")
        winner = leads[winner_id]
        events = self._take_values(winner, [leads[loser_id] for loser_id in loser_ids], call.request_id)
        events.append(activities.merged(winner_id, loser_ids, winner_changed=bool(events)))
        for loser_id in loser_ids:
            store.hand_over(loser_id, winner_id)
        store.delete_leads(loser_ids)
        move_links(self._instance, [leads[loser_id] for loser_id in loser_ids], winner)
        store.add_activities(self._instance.now(), events)
        return Answer()

    def partitions(self, _call: Call) -> Answer:
        """GET leads/partitions.json."""
        names = self._instance.options.partitions
        return Answer(
            [
                {"id": number, "name": name, "description": f"{name} lead partition"}
                for number, name in enumerate(names, 1)
            ]
        )

    def move_to_partition(self, call: Call) -> Answer:
        """POST leads/partitions.json: `input` of id and partitionName; 1002, 1004 and 1008 by row."""
        rows = call.rows(call.json())
        position = self._instance.fields.position["leadPartitionId"]
        names = self._instance.options.partitions
        ids = [lead_id(row.get("id")) for row in rows]
        leads = self._instance.store.leads(ids)
        result = []
        for number, row in zip(ids, rows, strict=True):
            lead, name = leads.get(number), row.get("partitionName")
            if lead is None:
                result.append(NOT_FOUND.row(number))
            elif not name:
                result.append(
                    RowProblem("1002", "Missing value for the required parameter 'partitionName'").row(number)
                )
            elif name not in names:
                result.append(RowProblem("1008", f"Access denied to partition '{name}'").row(number))
            else:
                lead.values[position] = names.index(name) + 1
                lead.changed = self._instance.now()
                result.append({"id": number, "status": "updated"})
        self._instance.store.update_leads(leads.values())
        return Answer(result)

    def _take_values(self, winner: StoredLead, losers: list[StoredLead], request_id: str) -> list[activities.Event]:
        """What is empty in the winner comes from the first loser that has it, and so does its company."""
        fields, now, store = self._instance.fields, self._instance.now(), self._instance.store
        taken: dict[int, Any] = {}
        for position, value in enumerate(winner.values):
            if value is None:
                taken[position] = next(
                    (lead.values[position] for lead in losers if lead.values[position] is not None), None
                )
        row = ReadRow(list(taken), list(taken.values()))
        row, company = self._companies.without_link(row), self._company_of(winner, losers)
        change = change_lead(self._instance, winner, self._companies.row_for(winner, row, company), now)
        if change is None:
            return []
        store.update_leads([winner])
        if fields.position["email"] in change.positions:
            store.set_email_keys([winner], fields.position["email"])
        if company is not None:
            store.link_leads({winner.id: company.number})
        return [activities.changed_values(winner.id, request_id, "mergeLeads", *change)]

    def _company_of(self, winner: StoredLead, losers: list[StoredLead]) -> StoredRecord | None:
        """The first loser's company, for a winner that has none."""
        of_lead = self._instance.store.companies_of([winner.id, *(lead.id for lead in losers)])
        number = next((of_lead[lead.id] for lead in losers if lead.id in of_lead), None)
        return None if number is None or winner.id in of_lead else self._companies.numbered([number])[number]
