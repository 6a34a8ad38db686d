"""The endpoints that read activities: paging token, activities, types, lead changes, deleted leads.

A page of activities or lead changes looks at the next 300 activities of all types and all leads and keeps those asked
for. Short and empty pages with `moreResult` true are therefore normal; an empty one has no `result`.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from marketo_assets.sandbox.marketo.activities import (
    CHANGE_DATA_VALUE,
    DELETE_LEAD,
    NEW_LEAD,
    expand,
    lead_changes,
)
from marketo_assets.sandbox.marketo.activity_store import StoredActivity
from marketo_assets.sandbox.marketo.activity_tokens import asked_position, position_token, since_token
from marketo_assets.sandbox.marketo.instance import Instance, asked_fields, asked_numbers, page_size, read_time
from marketo_assets.sandbox.marketo.lists import FIRST_LIST_ID
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call

SCANNED = 300
"""Activities one call looks at."""
MAX_TYPES = 10
MAX_LEADS = 30
MAX_LIST_MEMBERS = 10_000
"""A static list with so many leads cannot be asked for."""

IsAsked = Callable[[StoredActivity], bool]
Shown = Iterable[dict[str, Any] | None]


class ActivityReads:
    """The activity endpoints of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance

    def paging_token(self, call: Call) -> Answer:
        """GET activities/pagingtoken.json: `sinceDatetime` with offset, Z or neither (UTC), or a date; 704 if bad."""
        text = call.required("sinceDatetime")
        since = read_time(text)
        if since is None:
            raise ApiError("704", f"Invalid date format '{text}'")
        return Answer(next_page_token=since_token(self._instance, since))

    def types(self, _call: Call) -> Answer:
        """GET activities/types.json."""
        return Answer(self._instance.activity_types.describe())

    def activities(self, call: Call) -> Answer:
        """GET activities.json: of 1 to 10 types, and of leads, a list or assets where asked."""
        position, size = asked_position(self._instance, call), page_size(call)
        types = self._asked_types(call)
        assets = asked_numbers(call, "assetIds")
        if assets and len(types) > 1:
            raise ApiError("1003", "assetIds goes with a single activity type")

        def show(event: StoredActivity) -> Shown:
            for activity in self._expand(event):
                yield activity if not assets or activity.get("primaryAttributeValueId") in assets else None

        return self._scan(position, size, self._filter(call, types), show)

    def lead_changes(self, call: Call) -> Answer:
        """GET activities/leadchanges.json: changes of the named `fields`, and every New Lead, of leads or a list."""
        position, size = asked_position(self._instance, call), page_size(call)
        call.required("fields")
        names = set(asked_fields(self._instance, call, ()))

        def show(event: StoredActivity) -> Shown:
            return lead_changes(event, self._instance.fields, self._instance.options.api_user, names)

        return self._scan(position, size, self._filter(call, {NEW_LEAD, CHANGE_DATA_VALUE}), show)

    def deleted_leads(self, call: Call) -> Answer:
        """GET activities/deletedleads.json: Delete Lead alone, nothing else is looked at."""
        position, size = asked_position(self._instance, call), page_size(call)
        store = self._instance.store
        events = store.deleted_leads_from(position, size + 1)
        more = len(events) > size
        page = [activity for event in events[:size] for activity in self._expand(event)]
        after = events[size].id if more else store.next_activity_id
        return Answer(page or None, position_token(self._instance, after), more)

    def _scan(self, position: int, size: int, is_asked: IsAsked, show: Callable[[StoredActivity], Shown]) -> Answer:
        """A page of at most `size` of the next activities; `show` gives each of an event's, or None to leave it out."""
        page: list[dict[str, Any]] = []
        scanned = 0
        for event in self._instance.store.activities_from(position, SCANNED + 1):
            shown = show(event) if is_asked(event) else repeat(None, event.size)
            for activity_id, activity in enumerate(shown, event.id):
                if activity_id < position:
                    continue
                if scanned == SCANNED or len(page) == size:
                    return Answer(page or None, position_token(self._instance, activity_id), True)
                scanned += 1
                if activity is not None:
                    page.append(activity)
        end = max(position, self._instance.store.next_activity_id)
        return Answer(page or None, position_token(self._instance, end), False)

    def _asked_types(self, call: Call) -> set[int]:
        types = asked_numbers(call, "activityTypeIds")
        if not types:
            raise ApiError("1002", "Missing value for the required parameter 'activityTypeIds'")
        if len(types) > MAX_TYPES:
            raise ApiError("1003", f"Too many activityTypeIds: {len(types)}, the limit is {MAX_TYPES}")
        for type_id in sorted(types):
            if type_id not in self._instance.activity_types:
                raise ApiError("1003", f"Invalid activity type id '{type_id}'")
        return types if self._instance.options.deletes_in_activities else types - {DELETE_LEAD}

    def _filter(self, call: Call, types: set[int]) -> IsAsked:
        leads = asked_numbers(call, "leadIds")
        if len(leads) > MAX_LEADS:
            raise ApiError("1003", f"Too many leadIds: {len(leads)}, the limit is {MAX_LEADS}")
        members = self._asked_members(call)
        return lambda event: (
            event.type in types
            and (not leads or event.lead_id in leads)
            and (members is None or event.lead_id in members)
        )

    def _asked_members(self, call: Call) -> set[int] | None:
        """The leads of `listId`; None where it is not given, 1013 for an unknown list, 1003 for a large one."""
        asked = asked_numbers(call, "listId")
        if not asked:
            return None
        list_id = min(asked)
        if list_id not in range(FIRST_LIST_ID, FIRST_LIST_ID + len(self._instance.options.lists)):
            raise ApiError("1013", "Object not found")
        members = self._instance.store.members(list_id, 0, MAX_LIST_MEMBERS)
        if len(members) == MAX_LIST_MEMBERS:
            raise ApiError("1003", f"List {list_id} has {MAX_LIST_MEMBERS} leads or more")
        return set(members)

    def _expand(self, event: StoredActivity) -> Iterator[dict[str, Any]]:
        return expand(event, self._instance.fields, self._instance.options.api_user)
