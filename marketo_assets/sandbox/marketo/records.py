"""Writing companies and custom objects: create, update and delete by dedupe fields or id, row by row.

A key is unique, so that which record a row means is decided at the end of the call, with the write. UNCONFIRMED: where
a key comes twice in one call the first row counts, the others are skipped (1036).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.object_types import COMPANY, ObjectType
from marketo_assets.sandbox.marketo.record_links import held_values, no_target
from marketo_assets.sandbox.marketo.record_rows import DEDUPE_FIELDS, ID_FIELD, RowReader, Search, identity, normal
from marketo_assets.sandbox.marketo.record_store import BY_KEY, StoredRecord
from marketo_assets.sandbox.marketo.values import BadValueError
from marketo_assets.sandbox.marketo.wire import ApiError, RowProblem

RecordAction = Literal["createOrUpdate", "createOnly", "updateOnly"]
_EXISTS = RowProblem("1017", "Object already exists")
_TWICE = RowProblem("1036", "Duplicate object found in input")


@dataclass(slots=True)
class _Row:
    """One row: what it says, which record it is about, what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    key: str | int | None = None
    record: StoredRecord | None = None
    problem: RowProblem | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: the rows of its result, and the records that were there before and are not the same now."""

    result: list[dict[str, Any]]
    touched: list[StoredRecord]


def upsert(
    instance: Instance,
    object_type: ObjectType,
    rows: Iterable[dict[str, Any]],
    action: str = "createOrUpdate",
    by: str = DEDUPE_FIELDS,
) -> Written:
    """Create and update records; ApiError for an action or key that cannot be."""
    if action not in get_args(RecordAction):
        raise ApiError("1001", f"Invalid value '{action}'. Required of type 'action'")
    if by == ID_FIELD and action != "updateOnly":
        raise ApiError("1003", "Invalid data. dedupeBy idField goes with updateOnly")
    search = _search(object_type, "dedupeBy", by)
    plans = _read(object_type, search, rows)
    _find(instance, object_type, search, plans)
    _check_links(instance, object_type, plans)
    for plan in plans:
        plan.problem = plan.problem or _refusal(object_type, plan, action)
    return _write(instance, object_type, plans)


def delete(instance: Instance, object_type: ObjectType, rows: Iterable[dict[str, Any]], by: str) -> Written:
    """Delete records; whatever else than the key is in a row does not matter."""
    search = _search(object_type, "deleteBy", by)
    reader = RowReader(object_type)
    plans = [_plan(reader, search, row, {}) for row in rows]
    _find(instance, object_type, search, plans)
    result, gone = [], []
    for seq, plan in enumerate(plans):
        if plan.problem is None and plan.record is not None:
            gone.append(plan.record)
            result.append(_done(object_type, seq, plan.record, "deleted"))
        else:
            result.append(_skipped(seq, plan.problem or _not_found(object_type)))
    instance.store.delete_records(record.number for record in gone)
    return Written(result, gone)


def record_id(object_type: ObjectType, record: StoredRecord) -> dict[str, Any]:
    """The id as replies have it: a company's is a number."""
    return {object_type.id_field: record.number if object_type.name == COMPANY else record.guid}


def _search(object_type: ObjectType, parameter: str, by: str) -> Search:
    if by not in {DEDUPE_FIELDS, ID_FIELD}:
        raise ApiError("1003", f"Invalid value '{by}' for '{parameter}'")
    return RowReader(object_type).search(by)


def _read(object_type: ObjectType, search: Search, rows: Iterable[dict[str, Any]]) -> list[_Row]:
    reader = RowReader(object_type)
    plans = []
    for row in rows:
        try:
            values = reader.read(row, has_id=search.by != BY_KEY)
        except BadValueError as error:
            plans.append(_Row(problem=error.problem))
        else:
            plans.append(_plan(reader, search, row, values))
    return plans


def _plan(reader: RowReader, search: Search, row: dict[str, Any], values: dict[str, Any]) -> _Row:
    try:
        key = reader.key(search, row)
    except BadValueError as error:
        return _Row(problem=error.problem)
    if key is None:
        return _Row(problem=RowProblem("1003", f"Value for field '{', '.join(search.names)}' not found"))
    return _Row(values, key)


def _find(instance: Instance, object_type: ObjectType, search: Search, plans: Sequence[_Row]) -> None:
    """Give each row its record; a key that came before is the row's problem."""
    keys = {plan.key for plan in plans if plan.key is not None}
    found = {
        identity(search, record): record for record in instance.store.find_records(object_type.name, search.by, keys)
    }
    for plan in plans:
        if plan.key is None:
            continue
        if plan.key not in keys:
            plan.problem = _TWICE
        keys.discard(plan.key)
        plan.record = found.get(plan.key)


def _check_links(instance: Instance, object_type: ObjectType, plans: Sequence[_Row]) -> None:
    for link in object_type.links:
        named = [plan for plan in plans if plan.problem is None and plan.values.get(link.field) is not None]
        held = held_values(instance, link, [plan.values[link.field] for plan in named]) if named else set()
        for plan in named:
            if normal(plan.values[link.field]) not in held:
                plan.problem = no_target(link)


def _refusal(object_type: ObjectType, plan: _Row, action: str) -> RowProblem | None:
    if plan.record is None:
        return _not_found(object_type) if action == "updateOnly" else None
    if action == "createOnly":
        return _EXISTS
    for name in object_type.dedupe_fields:
        if name in plan.values and normal(plan.values[name]) != normal(plan.record.values[name]):
            return RowProblem("1003", f"Invalid data. Field '{name}' is set when the record is created")
    return None


def _write(instance: Instance, object_type: ObjectType, plans: Sequence[_Row]) -> Written:
    now = instance.now()
    good = [plan for plan in plans if plan.problem is None]
    numbers = instance.store.new_record_numbers(sum(plan.record is None for plan in good))
    created, touched, result = [], [], []
    for seq, plan in enumerate(plans):
        if plan.problem is not None:
            result.append(_skipped(seq, plan.problem))
            continue
        if plan.record is None:
            values = {name: value for name, value in plan.values.items() if value is not None}
            created.append(StoredRecord(next(numbers), str(uuid.uuid4()), str(plan.key), now, now, values))
            result.append(_done(object_type, seq, created[-1], "created"))
            continue
        if _update(object_type, plan.record, plan.values):
            plan.record.updated = now
            touched.append(plan.record)
        result.append(_done(object_type, seq, plan.record, "updated"))
    instance.store.insert_records(object_type.name, created)
    instance.store.update_records(touched)
    return Written(result, touched)


def _update(object_type: ObjectType, record: StoredRecord, values: dict[str, Any]) -> bool:
    """Whether anything is another value now. Dedupe fields keep their spelling."""
    before = dict(record.values)
    for name, value in values.items():
        if value is None:
            record.values.pop(name, None)
        elif name not in object_type.dedupe_fields:
            record.values[name] = value
    return record.values != before


def _not_found(object_type: ObjectType) -> RowProblem:
    return RowProblem("1013", "Record not found" if object_type.name == COMPANY else "Object not found")


def _done(object_type: ObjectType, seq: int, record: StoredRecord, status: str) -> dict[str, Any]:
    return {"seq": seq, "status": status, **record_id(object_type, record)}


def _skipped(seq: int, problem: RowProblem) -> dict[str, Any]:
    return {"seq": seq, **problem.row()}
