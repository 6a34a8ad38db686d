"""What an administrator does to an instance while it runs: fields of leads and companies, types of custom objects.

UNCONFIRMED, all of it; a client should cope with either way. Here values stay where their field is renamed or hidden,
a value that a new type cannot hold is cleared without any activity, and a field or type that is taken away is gone with
all its values.
"""

from collections.abc import Callable
from typing import Any

from marketo_assets.sandbox.marketo.fields import Field
from marketo_assets.sandbox.marketo.instance import Instance, keep_fields
from marketo_assets.sandbox.marketo.object_types import COMPANY, ObjectType
from marketo_assets.sandbox.marketo.values import BadValueError, make_reader

_PAGE = 5_000

Convert = Callable[[Any], Any]


def put_lead_field(instance: Instance, field: Field) -> None:
    """Add a lead field, or change the one with its id; ValueError for what cannot be (see FieldTable.put)."""
    before = instance.fields.by_id.get(field.id)
    instance.fields.put(field)
    keep_fields(instance)
    if before is None:
        return
    convert = _converter(field.name, field.data_type, field.length)
    is_retyped = (before.data_type, before.length) != (field.data_type, field.length)
    if is_retyped:
        _convert_leads(instance, instance.fields.position[field.name], convert)
    if field.of_company and (is_retyped or before.name != field.name):
        _change_records(instance, COMPANY, before.name, field.name, convert)


def put_object_type(instance: Instance, object_type: ObjectType) -> None:
    """Add a type of custom objects, or change the one with its name.

    ValueError for other dedupe fields, or another type of one, while the type is there: records are told apart by them.
    """
    before = instance.object_types.get(object_type.name)
    if before is not None and _keys(before) != _keys(object_type):
        raise ValueError(f"{object_type.name}: the dedupe fields stay as they are")
    instance.object_types.put(object_type, instance.now())
    kept = {field.name: field for field in object_type.fields}
    for field in before.fields if before is not None else ():
        now = kept.get(field.name)
        if now is None:
            _change_records(instance, object_type.name, field.name, field.name, _nothing)
        elif (now.data_type, now.size) != (field.data_type, field.size):
            convert = _converter(now.name, now.data_type, now.size)
            _change_records(instance, object_type.name, field.name, field.name, convert)


def remove_object_type(instance: Instance, name: str) -> None:
    """Take a type of custom objects away, with its records; KeyError if there is none."""
    instance.object_types.remove(name)
    instance.store.drop_records(name)


def _keys(object_type: ObjectType) -> list[tuple[str, str]]:
    types = {field.name: field.data_type for field in object_type.fields}
    return [(name, types[name]) for name in object_type.dedupe_fields]


def _converter(name: str, data_type: str, length: int | None) -> Convert:
    """From a value of the field's old type to one of the new, None where there is none."""
    read = make_reader(name, data_type, length)

    def convert(value: Any) -> Any:
        try:
            return None if value is None else read(value)
        except BadValueError:
            return None

    return convert


def _nothing(_value: Any) -> None:
    return None


def _convert_leads(instance: Instance, position: int, convert: Convert) -> None:
    store, ids, empty = instance.store, instance.store.lead_ids(), instance.fields.blank[position]
    for start in range(0, len(ids), _PAGE):
        leads = list(store.leads(ids[start : start + _PAGE]).values())
        for lead in leads:
            value = convert(lead.values[position])
            lead.values[position] = empty if value is None else value
        store.update_leads(leads)


def _change_records(instance: Instance, object_name: str, name: str, new_name: str, convert: Convert) -> None:
    for page in instance.store.records(object_name):
        changed = [record for record in page if name in record.values]
        for record in changed:
            value = convert(record.values.pop(name))
            if value is not None:
                record.values[new_name] = value
        instance.store.update_records(changed)
