"""Reading leads: describe, by filter, by id."""

from typing import Any

from marketo_assets.sandbox.marketo.fields import (
    DEFAULT_FIELDS,
    SEARCHABLE_UNUSED,
    Field,
    describe,
    describe2,
)
from marketo_assets.sandbox.marketo.instance import (
    Instance,
    asked_fields,
    page_size,
    searchable_field,
    show_lead,
)
from marketo_assets.sandbox.marketo.options import MAX_MATCHES, MAX_ROWS
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.values import folded
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call

_LARGEST_KEY = 2**53


class LeadReads:
    """The endpoints that show leads and their fields."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance

    def describe(self, _call: Call) -> Answer:
        """GET leads/describe.json."""
        return Answer(describe(self._instance.fields.visible))

    def describe2(self, _call: Call) -> Answer:
        """GET leads/describe2.json."""
        return Answer(describe2(self._instance.fields))

    def by_id(self, call: Call) -> Answer:
        """GET lead/{id}.json. UNCONFIRMED: a missing lead gives an empty result."""
        names = asked_fields(self._instance, call, DEFAULT_FIELDS)
        return Answer(show_leads(self._instance, [int(call.path_values["id"])], names))

    def by_filter(self, call: Call) -> Answer:
        """GET leads.json: up to 300 values of one field, at most 1,000 matching leads, in pages."""
        filter_type = call.required("filterType")
        values = [value.strip() for value in call.required("filterValues").split(",") if value.strip()]
        if len(values) > MAX_ROWS:
            raise ApiError("1003", f"Too many filterValues: {len(values)}, the limit is {MAX_ROWS}")
        names = asked_fields(self._instance, call, DEFAULT_FIELDS)
        size = page_size(call)
        question = f"{filter_type}={','.join(values)}"
        after = read_token(call, question)
        if filter_type in SEARCHABLE_UNUSED:
            return Answer([])
        found = find_leads(self._instance, searchable_field(self._instance, filter_type), values)
        ids = sorted({lead_id for lead_ids in found.values() for lead_id in lead_ids})
        if len(ids) > MAX_MATCHES:
            raise ApiError("1003", "Too many results match the filter")
        page = [lead_id for lead_id in ids if lead_id > after][: size + 1]
        shown = show_leads(self._instance, page[:size], names)
        if len(page) <= size:
            return Answer(shown)
        return Answer(shown, make_token(question, page[size - 1]), more_result=True)


def show_leads(instance: Instance, lead_ids: list[int], names: list[str]) -> list[dict[str, Any]]:
    """The leads that exist among these ids, ascending, with the named fields."""
    leads = instance.store.leads(lead_ids)
    return [show_lead(instance, lead, names) for lead in leads.values()]


def find_leads(instance: Instance, field: Field, values: list[Any]) -> dict[Any, list[int]]:
    """Lead ids by lookup key (see lookup_key); values that cannot be keys match nothing."""
    keys = {key for value in values if (key := lookup_key(field, value)) is not None}
    if field.name == "email":
        return instance.store.ids_by_email(keys)
    if field.name == "id":
        return {lead_id: [lead_id] for lead_id in instance.store.existing_ids(keys)}
    position = instance.fields.position[field.name]
    return instance.store.ids_by_position(position, keys, text=field.data_type in {"string", "email"})


def lookup_key(field: Field, value: Any) -> Any:
    """How values of a lookup field are compared: texts in any case, numbers as numbers. None for no key."""
    if field.data_type not in {"integer", "reference"}:
        return folded(value) if isinstance(value, str) and value else None
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) <= _LARGEST_KEY else None
