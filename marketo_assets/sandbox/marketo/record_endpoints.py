"""The endpoints of companies and custom objects, which are one kind of thing: describe, find, sync, delete.

How rows are read and written is in record_rows.py and records.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from marketo_assets.sandbox.marketo.company_leads import CompanyLinks
from marketo_assets.sandbox.marketo.instance import Instance, page_size
from marketo_assets.sandbox.marketo.object_types import (
    COMPANY,
    ObjectType,
    company_type,
    show_company_type,
    show_fields,
)
from marketo_assets.sandbox.marketo.options import MAX_ROWS
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.record_rows import DEDUPE_FIELDS, RowReader, Search
from marketo_assets.sandbox.marketo.record_store import StoredRecord
from marketo_assets.sandbox.marketo.records import delete, record_id, upsert
from marketo_assets.sandbox.marketo.values import BadValueError
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, is_json, stamp

OBJECT = "object"
"""The place in a path that names a custom object; without it, a path is about companies."""


class Records:
    """The companies and custom objects of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._companies = CompanyLinks(instance)

    def types(self, call: Call) -> Answer:
        """GET customobjects.json: the types, all or those with the given `names`, without their fields."""
        names, types = call.listed("names"), self._instance.object_types
        return Answer([types.show(each) for each in types if not names or each.name in names])

    def describe(self, call: Call) -> Answer:
        """GET companies/describe.json, customobjects/{name}/describe.json."""
        object_type = self._asked_type(call)
        is_company = object_type.name == COMPANY
        head = show_company_type(object_type) if is_company else self._instance.object_types.show(object_type)
        return Answer([head | {"fields": show_fields(object_type)}])

    def find(self, call: Call) -> Answer:
        """GET companies.json, customobjects/{name}.json: by up to 300 values of a field, or by `input`, in pages."""
        object_type = self._asked_type(call)
        call, rows = _with_body(call)
        filter_type = call.text("filterType") or (call.required("filterType") if rows is None else DEDUPE_FIELDS)
        reader = RowReader(object_type)
        search = reader.search(filter_type)
        if rows is None:
            rows = _asked_rows(call, search)
        elif any(reader.lacks(search, row) for row in rows):
            raise ApiError("1003", f"Every element of 'input' needs {', '.join(search.names)}")
        keys = sorted(_keys(reader, search, rows), key=str)
        names, size = _asked_fields(object_type, call), page_size(call)
        question = f"{object_type.name}:{filter_type}={keys}"
        after = read_token(call, question)
        found = self._instance.store.find_records(object_type.name, search.by, keys, after, size + 1)
        shown = [{"seq": seq, **show_record(object_type, record, names)} for seq, record in enumerate(found[:size])]
        if len(found) <= size:
            return Answer(shown)
        return Answer(shown, make_token(question, found[size - 1].number), more_result=True)

    def sync(self, call: Call) -> Answer:
        """POST companies.json, customobjects/{name}.json: create and update, row by row."""
        object_type, document = self._writable_type(call), call.json()
        action, by = document.get("action") or "createOrUpdate", document.get("dedupeBy") or DEDUPE_FIELDS
        return Answer(self.write(object_type, call.rows(document), call.request_id, action=str(action), by=str(by)))

    def delete(self, call: Call) -> Answer:
        """POST companies/delete.json, customobjects/{name}/delete.json: each is deleted or skipped (1013)."""
        object_type, document = self._writable_type(call), call.json()
        by = document.get("deleteBy") or DEDUPE_FIELDS
        return Answer(self.remove(object_type, call.rows(document), call.request_id, by=str(by)))

    def write(
        self, object_type: ObjectType, rows: Iterable[dict[str, Any]], request_id: str, **how: str
    ) -> list[dict[str, Any]]:
        """Create and update records (see records.upsert); the leads of changed companies change with them."""
        written = upsert(self._instance, object_type, rows, **how)
        if object_type.name == COMPANY:
            self._companies.tell(written.touched, request_id)
        return written.result

    def remove(
        self, object_type: ObjectType, rows: Iterable[dict[str, Any]], request_id: str, by: str = DEDUPE_FIELDS
    ) -> list[dict[str, Any]]:
        """Delete records (see records.delete); the leads of deleted companies lose their link."""
        gone = delete(self._instance, object_type, rows, by)
        if object_type.name == COMPANY:
            self._companies.let_go(gone.touched, request_id)
        return gone.result

    def _asked_type(self, call: Call) -> ObjectType:
        name = call.path_values.get(OBJECT)
        object_type = company_type(self._instance.fields) if name is None else self._instance.object_types.get(name)
        if object_type is None:
            raise ApiError("1013", "Object not found")
        return object_type

    def _writable_type(self, call: Call) -> ObjectType:
        object_type = self._asked_type(call)
        if object_type.name == COMPANY and self._instance.options.native_crm:
            raise ApiError("1018", "CRM Enabled")
        return object_type


def show_record(object_type: ObjectType, record: StoredRecord, names: Iterable[str]) -> dict[str, Any]:
    """A record as replies have it: its id, and the named fields that are not empty."""
    values = record.values | {"createdAt": stamp(record.created), "updatedAt": stamp(record.updated)}
    named = {name: values[name] for name in names if values.get(name) is not None}
    return record_id(object_type, record) | named


def _with_body(call: Call) -> tuple[Call, list[dict[str, Any]] | None]:
    """A read whose body is JSON: parameters in it count as more of the query, its `input` are rows to look for."""
    if not call.request.body or not is_json(call.request):
        return call, None
    document = call.json()
    given = {name: _texts(value) for name, value in document.items() if name != "input" and value}
    rows = call.rows(document) if "input" in document else None
    return replace(call, parameters={**given, **call.parameters}), rows


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _asked_rows(call: Call, search: Search) -> list[dict[str, Any]]:
    """`filterValues` as rows of the one field that is searched by."""
    call.required("filterValues")
    values = [value.strip() for value in call.listed("filterValues") if value.strip()]
    if len(values) > MAX_ROWS:
        raise ApiError("1003", f"Too many filterValues: {len(values)}, the limit is {MAX_ROWS}")
    if len(search.names) > 1:
        raise ApiError("1003", f"A key of {', '.join(search.names)} goes with 'input', not with 'filterValues'")
    return [{search.names[0]: value} for value in values]


def _keys(reader: RowReader, search: Search, rows: Iterable[Mapping[str, Any]]) -> Iterator[str | int]:
    """What to look for; a value that the field cannot hold matches nothing."""
    for row in rows:
        try:
            key = reader.key(search, row)
        except BadValueError:
            continue
        if key is not None:
            yield key


def _asked_fields(object_type: ObjectType, call: Call) -> list[str]:
    """The names in `fields`, or the documented default; 1006 for an unknown one (a choice)."""
    reader = RowReader(object_type)
    names = [name.strip() for name in call.listed("fields")]
    for name in names:
        if name not in object_type.visible and name not in object_type.system_fields and not reader.is_id(name):
            raise ApiError("1006", f"Field '{name}' not found")
    return names or [*object_type.dedupe_fields, "createdAt", "updatedAt"]
