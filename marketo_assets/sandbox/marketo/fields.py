"""The lead fields of an instance: what they are, how Describe shows them, how a row of them is checked.

The field rows themselves are data (standard_fields.py, custom_fields.py); single values are read in values.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from marketo_assets.sandbox.marketo.custom_fields import CUSTOM_FIELDS
from marketo_assets.sandbox.marketo.standard_fields import STANDARD_FIELDS
from marketo_assets.sandbox.marketo.values import BadValueError, make_reader
from marketo_assets.sandbox.marketo.wire import RowProblem

DEFAULT_FIELDS = ("id", "email", "updatedAt", "createdAt", "lastName", "firstName")
"""What a read returns when `fields` names none."""
FIRST_CUSTOM_ID = 1001
CUSTOM_LENGTH = 255
SEARCHABLE_STANDARD = ("cookies", "email", "id", "leadPartitionId")
"""Standard fields usable as filter and lookup field; so is every custom string, email or integer field."""
SEARCHABLE_UNUSED = frozenset(
    {
        "facebookId",
        "linkedInId",
        "twitterId",
        "sfdcAccountId",
        "sfdcContactId",
        "sfdcLeadId",
        "sfdcLeadOwnerId",
        "sfdcOpptyId",
    }
)
"""Documented filter fields of channels this instance has nothing of: they match no lead."""
_LAYOUTS_KEPT = 64
"""Few: they are for clients whose rows all have the same keys. Of others each is used once, and the garbage collector
looks through all that are kept again and again."""

Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One lead field. `length`: characters, None where the type has no size."""

    id: int
    name: str
    display_name: str
    data_type: str
    length: int | None
    read_only: bool
    soap_name: str | None
    custom: bool


@dataclass(frozen=True, slots=True)
class RowLayout:
    """How rows with one sequence of keys are read: computed once, used for every row that has it.

    A slot is a place in the row, a position is a place in the stored lead.
    """

    positions: tuple[int, ...]
    pick: Callable[[list[Any]], tuple[Any, ...]]
    """The values at `positions` of a stored lead."""
    slots: dict[str, int]
    strings: tuple[tuple[int, int], ...]
    """Slot and length."""
    booleans: tuple[int, ...]
    others: tuple[tuple[int, Reader], ...]
    readers: tuple[Reader, ...]
    """By slot: for what the short cuts for strings and booleans do not take as it is."""
    problem: RowProblem | None
    unknown_field: bool

    def read(self, row: dict[str, Any]) -> list[Any]:
        """The row's values as they are kept, by slot; BadValueError for the first that is refused."""
        if self.problem is not None:
            raise BadValueError(self.problem)
        values = list(row.values())
        for slot, length in self.strings:
            value = values[slot]
            if value.__class__ is not str or not 0 < len(value) <= length:
                values[slot] = self.readers[slot](value)
        for slot in self.booleans:
            value = values[slot]
            if value is not True and value is not False:
                values[slot] = self.readers[slot](value)
        for slot, read in self.others:
            values[slot] = read(values[slot])
        return values


class _Reading(NamedTuple):
    """How one field of a row is read."""

    reader: Reader
    string_length: int
    """0 where it is no short text."""
    is_boolean: bool
    problem: RowProblem | None
    """Why no row may hold it."""


class FieldTable:
    """All lead fields, each with a fixed position in stored leads."""

    def __init__(self, stored_names: Sequence[str]) -> None:
        """`stored_names`: the order in which the state file already keeps values; newer fields come after."""
        known = {field.name: field for field in sorted(known_fields(), key=_storage_rank)}
        missing = [name for name in stored_names if name not in known]
        if missing:
            raise ValueError(f"the state holds lead fields this version does not know: {', '.join(missing)}")
        names = [*stored_names, *(name for name in known if name not in set(stored_names))]
        self.fields = tuple(known[name] for name in names)
        self.position = {name: place for place, name in enumerate(names)}
        self.by_id = {field.id: field for field in self.fields}
        self.standard = frozenset(place for place, field in enumerate(self.fields) if not field.custom)
        self._readings = tuple(map(_reading, self.fields))
        self.blank: tuple[Any, ...] = tuple(False if field.data_type == "boolean" else None for field in self.fields)
        self._layouts: dict[tuple[str, ...], RowLayout] = {}

    def get(self, name: str) -> Field | None:
        """The field of that REST name."""
        place = self.position.get(name)
        return None if place is None else self.fields[place]

    def searchable(self, field: Field) -> bool:
        """Whether leads can be looked up by it."""
        if field.custom:
            return field.data_type in {"string", "email", "integer"}
        return field.name in SEARCHABLE_STANDARD

    def layout(self, row: dict[str, Any]) -> RowLayout:
        """How to read this row."""
        keys = tuple(row)
        layout = self._layouts.get(keys)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            layout = self._layouts[keys] = self._make_layout(keys)
        return layout

    def _make_layout(self, keys: tuple[str, ...]) -> RowLayout:
        # One pass: where rows leave out what is null, nearly every row has keys of its own.
        unknown: str | None = None
        problem: RowProblem | None = None
        slots: dict[str, int] = {}
        positions: list[int] = []
        strings: list[tuple[int, int]] = []
        booleans: list[int] = []
        others: list[tuple[int, Reader]] = []
        readers: list[Reader] = []
        for key in keys:
            place = self.position.get(key)
            if place is None:
                unknown = unknown or key
                continue
            slot = slots[key] = len(positions)
            reading, problem = self._readings[place], problem or self._readings[place].problem
            positions.append(place)
            readers.append(reading.reader)
            if reading.string_length:
                strings.append((slot, reading.string_length))
            elif reading.is_boolean:
                booleans.append(slot)
            else:
                others.append((slot, reading.reader))
        return RowLayout(
            positions=tuple(positions),
            pick=itemgetter(*positions) if len(positions) > 1 else lambda values: tuple(values[p] for p in positions),
            slots=slots,
            strings=tuple(strings),
            booleans=tuple(booleans),
            others=tuple(others),
            readers=tuple(readers),
            problem=problem if unknown is None else RowProblem("1006", f"Field '{unknown}' not found"),
            unknown_field=unknown is not None,
        )


def _storage_rank(field: Field) -> int:
    """Fields that are hardly ever null come first: a lead is stored up to its last value."""
    if field.data_type == "boolean" or field.name in DEFAULT_FIELDS or field.name in SEARCHABLE_STANDARD:
        return 0
    return 1 if field.custom else 2


def _reading(field: Field) -> _Reading:
    problem = None
    if field.read_only:
        problem = RowProblem("1003", f"Invalid data. Field '{field.name}' is read only")
    elif field.name == "leadPartitionId":
        problem = RowProblem("1010", "Partition update not allowed")
    is_string = field.data_type in {"string", "phone", "url"}
    return _Reading(
        make_reader(field.name, field.data_type, field.length),
        (field.length or CUSTOM_LENGTH) if is_string else 0,
        field.data_type == "boolean",
        problem,
    )


def known_fields() -> list[Field]:
    """Standard fields, then the custom ones with ids from FIRST_CUSTOM_ID."""
    standard = [
        Field(field_id, name, display_name, data_type, length, read_only, soap_name, custom=False)
        for field_id, name, display_name, data_type, length, read_only, soap_name in STANDARD_FIELDS
    ]
    custom = [
        Field(
            id=field_id,
            name=name,
            display_name=display_name,
            data_type=data_type,
            length=CUSTOM_LENGTH if data_type == "string" else None,
            read_only=False,
            soap_name=name,
            custom=True,
        )
        for field_id, (display_name, name, data_type) in enumerate(CUSTOM_FIELDS, start=FIRST_CUSTOM_ID)
    ]
    return standard + custom


def describe(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """`result` of leads/describe.json: by field id, `length` and `soap` only where there is one."""
    result = []
    for field in sorted(fields, key=lambda field: field.id):
        entry: dict[str, Any] = {"id": field.id, "displayName": field.display_name, "dataType": field.data_type}
        if field.length is not None:
            entry["length"] = field.length
        entry["rest"] = {"name": field.name, "readOnly": field.read_only}
        if field.soap_name is not None:
            entry["soap"] = {"name": field.soap_name, "readOnly": False}
        result.append(entry)
    return result


def describe2(table: FieldTable) -> list[dict[str, Any]]:
    """`result` of leads/describe2.json: one element that names the searchable fields and all fields."""
    fields = []
    for field in sorted(table.fields, key=lambda field: field.id):
        entry: dict[str, Any] = {"name": field.name, "displayName": field.display_name, "dataType": field.data_type}
        if field.length is not None:
            entry["length"] = field.length
        entry["updateable"] = not field.read_only
        entry["crmManaged"] = False
        fields.append(entry)
    searchable = [[field.name] for field in table.fields if table.searchable(field)]
    return [{"name": "API Lead", "searchableFields": searchable, "fields": fields}]
