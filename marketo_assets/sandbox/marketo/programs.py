"""Programs: which leads are members, and with which status. Programs come from the options, members from a test."""

from collections.abc import Iterable
from typing import Any

from marketo_assets.sandbox.marketo.activities import Event, any_activity
from marketo_assets.sandbox.marketo.fields import DEFAULT_FIELDS
from marketo_assets.sandbox.marketo.instance import Instance, asked_fields, page_size, show_lead
from marketo_assets.sandbox.marketo.membership_store import ProgramMember
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, stamp

FIRST_PROGRAM_ID = 2001
CHANGE_STATUS_IN_PROGRESSION = 104


class Programs:
    """The programs of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._names = dict(enumerate(instance.options.programs, FIRST_PROGRAM_ID))

    def leads(self, call: Call) -> Answer:
        """GET leads/programs/{id}.json: members with their `membership`, in pages; no moreResult, as with lists."""
        program_id, size = int(call.path_values["id"]), page_size(call)
        if program_id not in self._names:
            raise ApiError("1013", "Object not found")
        names = asked_fields(self._instance, call, DEFAULT_FIELDS)
        question = f"program={program_id}"
        members = self._instance.store.program_members(program_id, read_token(call, question), size + 1)
        leads = self._instance.store.leads(member.lead_id for member in members[:size])
        shown = [
            show_lead(self._instance, leads[member.lead_id], names) | {"membership": _membership(member)}
            for member in members[:size]
        ]
        return Answer(shown, make_token(question, members[size - 1].lead_id) if len(members) > size else None)

    def put_members(self, program_id: int, lead_ids: Iterable[int], status: str, *, is_success: bool) -> None:
        """Make leads members, or give members another status: one activity each where that is news.

        KeyError for a program or lead that is not there.
        """
        store, now, name = self._instance.store, self._instance.now(), self._names[program_id]
        events: list[Event] = []
        for lead_id in lead_ids:
            if not store.existing_ids([lead_id]):
                raise KeyError(lead_id)
            before = self._member(program_id, lead_id)
            if before is not None and (before.status, before.is_success) == (status, is_success):
                continue
            store.put_program_member(program_id, lead_id, status, now, is_success=is_success)
            member = self._member(program_id, lead_id)
            attributes = {
                "New Status": status,
                "Old Status": before.status if before is not None else None,
                "Success": is_success,
                "Acquired By": False,
                "Program Member ID": member.id if member is not None else None,
            }
            given = {key: value for key, value in attributes.items() if value is not None}
            detail = any_activity(given, name, program_id, None)
            events.append((lead_id, CHANGE_STATUS_IN_PROGRESSION, 1, detail))
        store.add_activities(now, events)

    def _member(self, program_id: int, lead_id: int) -> ProgramMember | None:
        found = self._instance.store.program_members(program_id, lead_id - 1, 1)
        return found[0] if found and found[0].lead_id == lead_id else None


def _membership(member: ProgramMember) -> dict[str, Any]:
    return {
        "id": member.id,
        "progressionStatus": member.status,
        "isExhausted": False,
        "acquiredBy": False,
        "reachedSuccess": member.is_success,
        "membershipDate": stamp(member.since),
        "updatedAt": stamp(member.updated),
    }
