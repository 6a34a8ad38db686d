"""One emulated Marketo instance: what the endpoints of all themes share.

No endpoint belongs here; each theme's module takes an Instance.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.activity_types import ActivityTypes
from marketo_assets.sandbox.marketo.fields import Field, FieldTable
from marketo_assets.sandbox.marketo.object_types import ObjectTypes
from marketo_assets.sandbox.marketo.options import MAX_ROWS, EmulatorOptions
from marketo_assets.sandbox.marketo.store import Store, StoredLead
from marketo_assets.sandbox.marketo.wire import ApiError, Call, stamp

_FIELD_ORDER, _CHANGED_FIELDS = "field_order", "changed_fields"
_ID = re.compile(r"\d{1,15}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Instance:
    """State, fields, types, options and time."""

    store: Store
    fields: FieldTable
    activity_types: ActivityTypes
    object_types: ObjectTypes
    options: EmulatorOptions
    clock: Clock

    def now(self) -> int:
        """Whole seconds since the epoch: Marketo keeps no fractions."""
        return int(self.clock.now())


def open_instance(options: EmulatorOptions, clock: Clock) -> Instance:
    """Open or make the state; the field order it was made with is kept for good, and so are changed fields."""
    store = Store(options.state)
    stored_order, changed = store.meta(_FIELD_ORDER), store.meta(_CHANGED_FIELDS)
    fields = FieldTable(
        orjson.loads(stored_order) if stored_order else [],
        [Field(**field) for field in orjson.loads(changed)] if changed else [],
    )
    types = ObjectTypes(options.custom_objects, int(clock.now()))
    instance = Instance(store, fields, ActivityTypes(options.custom_activity_types), types, options, clock)
    keep_fields(instance)
    return instance


def keep_fields(instance: Instance) -> None:
    """Remember in the state what the lead fields are."""
    store, fields = instance.store, instance.fields
    store.blank = fields.blank
    store.set_meta(_FIELD_ORDER, orjson.dumps([field.name for field in fields.fields]).decode())
    store.set_meta(_CHANGED_FIELDS, orjson.dumps([asdict(field) for field in fields.changed()]).decode())


def show_lead(instance: Instance, lead: StoredLead, names: Iterable[str]) -> dict[str, object]:
    """The lead as replies show it: every asked field, null where empty, `id` always."""
    position = instance.fields.position
    shown: dict[str, object] = {"id": lead.id}
    for name in names:
        if name == "createdAt":
            shown[name] = stamp(lead.created)
        elif name == "updatedAt":
            shown[name] = stamp(lead.updated)
        elif name == "mktoName":
            shown[name] = full_name(instance, lead)
        else:
            place = position.get(name)  # None: renamed since an export job was made
            shown[name] = None if place is None else lead.values[place]
    return shown


def full_name(instance: Instance, lead: StoredLead) -> str | None:
    """First and last name; None where both are empty."""
    parts = (lead.values[instance.fields.position[name]] for name in ("firstName", "lastName"))
    return " ".join(part for part in parts if part) or None


def asked_fields(instance: Instance, call: Call, default: Iterable[str]) -> list[str]:
    """The names in `fields`, or the default; 1006 at response level for an unknown one (a choice)."""
    names = [name.strip() for name in call.listed("fields")] or list(default)
    for name in names:
        if instance.fields.get(name) is None:
            raise ApiError("1006", f"Field '{name}' not found")
    return names


def searchable_field(instance: Instance, name: str) -> Field:
    """The filter or lookup field of that name: unknown 1006, not usable 1011."""
    field = instance.fields.get(name)
    if field is None:
        raise ApiError("1006", f"Lookup field '{name}' not found")
    if not instance.fields.searchable(field):
        raise ApiError("1011", f"Lookup field '{name}' not supported")
    return field


def page_size(call: Call) -> int:
    """`batchSize`, 1 to 300, default 300; 1001 for what is no number, larger ones are cut to 300 (a choice)."""
    text = call.text("batchSize")
    if text is None:
        return MAX_ROWS
    if not _ID.fullmatch(text) or int(text) < 1:
        raise ApiError("1001", f"Invalid value '{text}'. Required of type 'Integer'")
    return min(int(text), MAX_ROWS)


def asked_lead_ids(call: Call, names: tuple[str, ...] = ("id",)) -> list[int]:
    """Lead ids of a call: parameters (repeated or with commas), or `input` of a JSON body. 1003 for none."""
    listed = [text for name in names for text in call.listed(name)]
    if listed:
        ids = [lead_id(text) for text in listed]
        if len(ids) > call.max_rows:
            raise ApiError("1003", f"Too many records in input: {len(ids)}, the limit is {call.max_rows}")
    elif call.request.body:
        ids = [lead_id(row.get("id")) for row in call.rows(call.json())]
    else:
        raise ApiError("1003", "Lead ids not specified")
    return ids


def asked_numbers(call: Call, name: str) -> set[int]:
    """The ids in a parameter (repeated or with commas); 1001 for anything else."""
    return {lead_id(text.strip()) for text in call.listed(name)}


def lead_id(value: object) -> int:
    """An id as sent: a number or its digits; 1001 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _ID.fullmatch(value):
        return int(value)
    raise ApiError("1001", f"Invalid value '{value}'. Required of type 'Integer'")


def read_time(text: object) -> int | None:
    """Epoch seconds of a date, or of a time with offset, Z or neither (UTC); None for anything else."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # the 30th of February
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
