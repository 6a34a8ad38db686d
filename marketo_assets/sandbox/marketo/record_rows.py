"""What a row sent for a company or custom object means: which values it has, and which record it is about.

Values are read as those of leads are (values.py), but null and the empty text are nothing in every type of field.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from marketo_assets.sandbox.marketo.object_types import COMPANY, ObjectType
from marketo_assets.sandbox.marketo.record_store import BY_GUID, BY_KEY, BY_NUMBER, StoredRecord, by_field
from marketo_assets.sandbox.marketo.values import BadValueError, folded, make_reader
from marketo_assets.sandbox.marketo.wire import ApiError, RowProblem

DEDUPE_FIELDS: Final = "dedupeFields"
ID_FIELD: Final = "idField"
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True, slots=True)
class Search:
    """What records are looked up by: fields of theirs, and how the store finds them."""

    names: tuple[str, ...]
    by: str


class RowReader:
    """Reads rows for one type of records."""

    def __init__(self, object_type: ObjectType) -> None:
        """As the type is now."""
        self._type = object_type
        self._readers: dict[str, Callable[[Any], Any]] = {
            field.name: make_reader(field.name, field.data_type, field.size) for field in object_type.visible.values()
        }

    def search(self, filter_type: str) -> Search:
        """The search for a `filterType`, `dedupeBy` or `deleteBy`: unknown 1006, not usable 1011."""
        if filter_type in {DEDUPE_FIELDS, ID_FIELD}:
            return self.search_of(self._type.dedupe_fields if filter_type == DEDUPE_FIELDS else (self._type.id_field,))
        names = (self._type.id_field if self.is_id(filter_type) else filter_type,)
        if filter_type not in self._readers and names[0] not in self._type.system_fields:
            raise ApiError("1006", f"Lookup field '{filter_type}' not found")
        if names not in self._type.searchable:
            raise ApiError("1011", f"Lookup field '{filter_type}' not supported")
        return self.search_of(names)

    def search_of(self, names: tuple[str, ...]) -> Search:
        """The search by all dedupe fields, or by any single field."""
        if names == self._type.dedupe_fields:
            return Search(names, BY_KEY)
        if names == (self._type.id_field,):
            return Search(names, BY_NUMBER if self._type.name == COMPANY else BY_GUID)
        return Search(names, by_field(names[0]))

    def is_id(self, name: str) -> bool:
        """Whether it is the id field: documented requests write marketoGuid as well as marketoGUID."""
        return name.lower() == self._type.id_field.lower()

    def read(self, row: Mapping[str, Any], *, has_id: bool) -> dict[str, Any]:
        """The row's values as they are kept, None for an empty one; BadValueError for the first that is refused.

        `has_id`: the row says by its id which record it is about. The id is not among the values.
        """
        values = {}
        for name, value in row.items():
            if has_id and self.is_id(name):
                continue
            if name in self._type.system_fields or self.is_id(name):
                raise BadValueError(RowProblem("1003", f"Invalid data. Field '{name}' is read only"))
            if name not in self._readers:
                raise BadValueError(RowProblem("1006", f"Field '{name}' not found"))
            values[name] = self._value(name, value)
        return values

    def key(self, search: Search, row: Mapping[str, Any]) -> str | int | None:
        """What the store finds the row's record by; None where a part is missing. BadValueError for a bad value."""
        if search.by == BY_NUMBER:
            return _number(self._id(row))
        if search.by == BY_GUID:
            guid = self._id(row)
            return folded(guid) if isinstance(guid, str) and guid else None
        parts = [self._value(name, row.get(name)) for name in search.names]
        if None in parts:
            return None
        return key_of(parts) if search.by == BY_KEY else normal(parts[0])

    def lacks(self, search: Search, row: Mapping[str, Any]) -> bool:
        """Whether the row has no value for something that is searched by."""
        if search.by in {BY_NUMBER, BY_GUID}:
            return self._id(row) is None
        return any(row.get(name) in (None, "") for name in search.names)

    def _id(self, row: Mapping[str, Any]) -> Any:
        return next((value for name, value in row.items() if self.is_id(name)), None)

    def _value(self, name: str, value: Any) -> Any:
        return None if value is None or value == "" else self._readers[name](value)


def identity(search: Search, record: StoredRecord) -> str | int:
    """The key by which the store found a record."""
    if search.by == BY_NUMBER:
        return record.number
    if search.by == BY_GUID:
        return record.guid
    return record.key if search.by == BY_KEY else normal(record.values[search.names[0]])


def key_of(values: Iterable[Any]) -> str:
    """The `key` of a stored record with these dedupe values."""
    return orjson.dumps(list(map(normal, values))).decode()


def normal(value: Any) -> str:
    """A value as it is compared with others: text, as SQLite makes one of the JSON value."""
    return str(int(value)) if value.__class__ is bool else folded(str(value))


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_NUMBER else None
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    return int(value) if digits and len(value) <= len(str(_LARGEST_NUMBER)) - 1 else None
