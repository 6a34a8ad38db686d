"""Static lists: showing them, their leads, adding, removing, asking for membership. Lists come from the options."""

from typing import Any

from marketo_assets.sandbox.marketo import activities
from marketo_assets.sandbox.marketo.fields import DEFAULT_FIELDS
from marketo_assets.sandbox.marketo.instance import Instance, asked_fields, asked_lead_ids, page_size
from marketo_assets.sandbox.marketo.lead_reads import show_leads
from marketo_assets.sandbox.marketo.lead_removal import NOT_FOUND
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, RowProblem, stamp

FIRST_LIST_ID = 1001
_MADE = 1_600_000_000
"""When every list was made: 2020-09-13."""
_NOT_IN_LIST = RowProblem("1015", "Lead not in list")


class StaticLists:
    """The list endpoints of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._names = dict(enumerate(instance.options.lists, FIRST_LIST_ID))

    def find(self, call: Call) -> Answer:
        """GET lists.json: all lists, or those with the given id, name or workspaceName, in pages."""
        ids, names, workspaces = call.listed("id"), call.listed("name"), call.listed("workspaceName")
        found = [
            self._show(list_id)
            for list_id, name in self._names.items()
            if (not ids or str(list_id) in ids)
            and (not names or name in names)
            and (not workspaces or "Default" in workspaces)
            and not call.listed("programName")
        ]
        question, size = f"lists={ids},{names},{workspaces}", page_size(call)
        start = read_token(call, question)
        page = found[start : start + size]
        more = start + size < len(found)
        return Answer(page, make_token(question, start + size) if more else None)

    def by_id(self, call: Call) -> Answer:
        """GET lists/{id}.json."""
        return Answer([self._show(self._list_id(call))])

    def leads(self, call: Call) -> Answer:
        """GET lists/{id}/leads.json: the members, in pages; no moreResult, as the documented examples have it."""
        list_id, size = self._list_id(call), page_size(call)
        names = asked_fields(self._instance, call, DEFAULT_FIELDS)
        question = f"list={list_id}"
        ids = self._instance.store.members(list_id, read_token(call, question), size + 1)
        shown = show_leads(self._instance, ids[:size], names)
        return Answer(shown, make_token(question, ids[size - 1]) if len(ids) > size else None)

    def add(self, call: Call) -> Answer:
        """POST lists/{id}/leads.json: `added` for members too, 1004 for no lead; an activity where it is news."""
        list_id, ids = self._list_id(call), asked_lead_ids(call)
        existing = self._instance.store.existing_ids(ids)
        news = existing - self._instance.store.members_among(list_id, ids)
        self._instance.store.add_members(list_id, sorted(news), self._instance.now())
        self._record(sorted(news), activities.ADD_TO_LIST, list_id)
        return Answer([_row(lead_id, None if lead_id in existing else NOT_FOUND, "added") for lead_id in ids])

    def remove(self, call: Call) -> Answer:
        """DELETE lists/{id}/leads.json: 1015 for a lead not on the list, 1004 for no lead."""
        list_id, ids = self._list_id(call), asked_lead_ids(call)
        existing = self._instance.store.existing_ids(ids)
        members = self._instance.store.members_among(list_id, ids)
        self._instance.store.remove_members(list_id, members)
        self._record(sorted(members), activities.REMOVE_FROM_LIST, list_id)
        result = []
        for lead_id in ids:
            problem = None if lead_id in members else _NOT_IN_LIST if lead_id in existing else NOT_FOUND
            result.append(_row(lead_id, problem, "removed"))
        return Answer(result)

    def is_member(self, call: Call) -> Answer:
        """GET lists/{id}/leads/ismember.json."""
        list_id, ids = self._list_id(call), asked_lead_ids(call)
        existing = self._instance.store.existing_ids(ids)
        members = self._instance.store.members_among(list_id, ids)
        return Answer(
            [
                _row(
                    lead_id,
                    None if lead_id in existing else NOT_FOUND,
                    "memberof" if lead_id in members else "notmemberof",
                )
                for lead_id in ids
            ]
        )

    def _list_id(self, call: Call) -> int:
        list_id = int(call.path_values["id"])
        if list_id not in self._names:
            raise ApiError("1013", "Object not found")
        return list_id

    def _show(self, list_id: int) -> dict[str, Any]:
        made = stamp(_MADE)
        return {
            "id": list_id,
            "name": self._names[list_id],
            "createdAt": made,
            "updatedAt": made,
            "workspaceName": "Default",
        }

    def _record(self, lead_ids: list[int], type_id: int, list_id: int) -> None:
        name = self._names[list_id]
        self._instance.store.add_activities(
            self._instance.now(), [activities.list_change(lead_id, type_id, list_id, name) for lead_id in lead_ids]
        )


def _row(lead_id: int, problem: RowProblem | None, status: str) -> dict[str, Any]:
    return problem.row(lead_id) if problem is not None else {"id": lead_id, "status": status}
