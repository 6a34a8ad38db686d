"""What companies and custom objects are linked to: whether it is there, and what becomes of it when leads are merged.

A link is a value: the record belongs to whoever has that value in the linked field, to several leads if several have
it, to nobody once nobody has. UNCONFIRMED, all of it, but that a row is skipped where nobody has it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from marketo_assets.sandbox.marketo.fields import Field
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lead_reads import find_leads, lookup_key
from marketo_assets.sandbox.marketo.object_types import COMPANY, LEAD, ObjectLink, ObjectType, company_type
from marketo_assets.sandbox.marketo.record_rows import RowReader, Search, identity, normal
from marketo_assets.sandbox.marketo.record_store import StoredRecord, by_field
from marketo_assets.sandbox.marketo.store import StoredLead
from marketo_assets.sandbox.marketo.values import BadValueError
from marketo_assets.sandbox.marketo.wire import RowProblem

_NO_LEAD = RowProblem("1004", "Lead not found")
_NO_RECORD = RowProblem("1013", "Object not found")


def find_type(instance: Instance, name: str) -> ObjectType | None:
    """The type of the companies, or the custom objects of that name."""
    return company_type(instance.fields) if name == COMPANY else instance.object_types.get(name)


def no_target(link: ObjectLink) -> RowProblem:
    """Why a row is skipped that is linked to nobody: 1004 is documented of leads, 1013 a choice."""
    return _NO_LEAD if link.to == LEAD else _NO_RECORD


def held_values(instance: Instance, link: ObjectLink, values: Iterable[Any]) -> set[str]:
    """Those of the values (as `normal` has them) that somebody has in the linked field."""
    wanted = list(values)
    if link.to == LEAD:
        field = instance.fields.get(link.to_field)
        return set() if field is None else _held_by_leads(instance, field, wanted)
    target = find_type(instance, link.to)
    if target is None:
        return set()
    reader = RowReader(target)
    search = reader.search_of((link.to_field,))
    keys = {normal(value): _key(reader, search, value) for value in wanted}
    found = instance.store.find_records(target.name, search.by, {key for key in keys.values() if key is not None})
    there = {identity(search, record) for record in found}
    return {text for text, key in keys.items() if key in there}


def move_links(instance: Instance, losers: Sequence[StoredLead], winner: StoredLead) -> None:
    """After a merge: records that were the losers' are the winner's, unless yet another lead has the value too.

    A record that is then the same as one of the winner's, by its dedupe fields, is gone.
    """
    for object_type in instance.object_types:
        for link in object_type.links:
            field = instance.fields.get(link.to_field) if link.to == LEAD else None
            if field is None:
                continue
            position = instance.fields.position[field.name]
            lost = {lead.values[position] for lead in losers} - {None}
            texts = {normal(value) for value in lost} - _held_by_leads(instance, field, list(lost))
            if texts and winner.values[position] is not None:
                records = instance.store.find_records(object_type.name, by_field(link.field), texts)
                _relink(instance, object_type, link.field, records, winner.values[position])


def _relink(
    instance: Instance, object_type: ObjectType, name: str, records: Iterable[StoredRecord], value: Any
) -> None:
    reader = RowReader(object_type)
    try:
        given = reader.read({name: value}, has_id=False)
    except BadValueError:  # the winner's value is none that these records can hold
        return
    by_key = reader.search_of(object_type.dedupe_fields)
    for record in records:
        record.values |= given
        record.updated = instance.now()
        key = str(reader.key(by_key, record.values))
        if key != record.key and instance.store.find_records(object_type.name, by_key.by, [key]):
            instance.store.delete_records([record.number])
        else:
            record.key = key
            instance.store.update_records([record])


def _held_by_leads(instance: Instance, field: Field, values: list[Any]) -> set[str]:
    found = find_leads(instance, field, values)
    return {normal(value) for value in values if lookup_key(field, value) in found}


def _key(reader: RowReader, search: Search, value: Any) -> str | int | None:
    try:
        return reader.key(search, {search.names[0]: value})
    except BadValueError:
        return None
