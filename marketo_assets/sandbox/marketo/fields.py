"""The lead fields of an instance: what they are, how Describe shows them, how a row of them is checked.

The field rows themselves are data (standard_fields.py, custom_fields.py); single values are read in values.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from marketo_assets.sandbox.marketo.custom_fields import CUSTOM_FIELDS
from marketo_assets.sandbox.marketo.standard_fields import COMPANY_FIELDS, STANDARD_FIELDS
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
COMPANY_LINK = "externalCompanyId"
"""The lead field that names the company whose values the lead has in its Company-type fields."""
_BOOLEAN = -1


@dataclass(frozen=True, slots=True)
class Field:
    """One lead field. `length`: characters, None where the type has no size.

    One `of_company` is of the type Company. A `hidden` one is there for no call, but keeps its values.
    """

    id: int
    name: str
    display_name: str
    data_type: str
    length: int | None = None
    read_only: bool = False
    soap_name: str | None = None
    custom: bool = True
    of_company: bool = False
    hidden: bool = False


class ReadRow(NamedTuple):
    """A row that is good to be kept: positions in stored leads, and the value at each, in the order of the row."""

    positions: list[int]
    values: list[Any]


class FieldTable:
    """All lead fields, each with a fixed position in stored leads. They may change while the instance runs."""

    def __init__(self, stored_names: Sequence[str], changed: Iterable[Field] = ()) -> None:
        """`stored_names`: the order in which the state file already keeps values; newer fields come after.

        `changed`: the fields that are not (or no more) as known_fields() has them.
        """
        by_id = {field.id: field for field in (*known_fields(), *changed)}
        known = {field.name: field for field in sorted(by_id.values(), key=_storage_rank)}
        missing = [name for name in stored_names if name not in known]
        if missing:
            raise ValueError(f"the state holds lead fields this version does not know: {', '.join(missing)}")
        names = [*stored_names, *(name for name in known if name not in set(stored_names))]
        self._arrange([known[name] for name in names])

    def put(self, field: Field) -> None:
        """Add a field, or change the one with its id.

        ValueError for a name that another one has, and for another name of a standard field: endpoints know those.
        """
        fields = list(self.fields)
        place = next((place for place, known in enumerate(fields) if known.id == field.id), len(fields))
        before = fields[place] if place < len(fields) else field
        if self.position.get(field.name, place) != place:
            raise ValueError(f"another lead field is called {field.name!r}")
        if not before.custom and before.name != field.name:
            raise ValueError(f"{before.name!r} is a standard field, which keeps its REST name")
        fields[place:] = [field, *fields[place + 1 :]]
        self._arrange(fields)

    def changed(self) -> list[Field]:
        """The fields that are not (or no more) as known_fields() has them."""
        return sorted(set(self.fields) - set(known_fields()), key=lambda field: field.id)

    def _arrange(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self.visible = tuple(field for field in fields if not field.hidden)
        self.position = {field.name: place for place, field in enumerate(fields)}
        self.by_id = {field.id: field for field in fields}
        self.standard = frozenset(place for place, field in enumerate(fields) if not field.custom)
        self.of_company = {field.name: place for place, field in enumerate(fields) if field.of_company}
        self.blank: tuple[Any, ...] = tuple(False if field.data_type == "boolean" else None for field in fields)
        self._visible = {field.name: self.position[field.name] for field in self.visible}
        self._readers = tuple(make_reader(field.name, field.data_type, field.length) for field in fields)
        self._short_cuts = tuple(map(_short_cut, fields))
        self._refusals = {place: problem for place, field in enumerate(fields) if (problem := _refusal(field))}

    def get(self, name: str) -> Field | None:
        """The field of that REST name; None for a hidden one."""
        place = self._visible.get(name)
        return None if place is None else self.fields[place]

    def searchable(self, field: Field) -> bool:
        """Whether leads can be looked up by it."""
        if field.custom:
            return field.data_type in {"string", "email", "integer"}
        return field.name in SEARCHABLE_STANDARD

    def read(self, row: dict[str, Any]) -> ReadRow:
        """The row's values as they are kept; BadValueError for the first that is refused (1006: unknown field)."""
        try:
            positions = [self._visible[name] for name in row]
        except KeyError as error:
            raise BadValueError(RowProblem("1006", f"Field '{error.args[0]}' not found")) from None
        if not self._refusals.keys().isdisjoint(positions):
            raise BadValueError(next(self._refusals[place] for place in positions if place in self._refusals))
        values = list(row.values())
        short_cuts, readers = self._short_cuts, self._readers
        for slot, place in enumerate(positions):
            value, short_cut = values[slot], short_cuts[place]
            if short_cut == _BOOLEAN:
                if value is not True and value is not False:
                    values[slot] = readers[place](value)
            elif value.__class__ is not str or not 0 < len(value) <= short_cut:
                values[slot] = readers[place](value)
        return ReadRow(positions, values)


def _storage_rank(field: Field) -> int:
    """Fields that are hardly ever null come first: a lead is stored up to its last value."""
    if field.data_type == "boolean" or field.name in DEFAULT_FIELDS or field.name in SEARCHABLE_STANDARD:
        return 0
    return 1 if field.custom else 2


def _short_cut(field: Field) -> int:
    """Up to how many characters a text may be kept as it is; _BOOLEAN where true and false may."""
    if field.data_type == "boolean":
        return _BOOLEAN
    return (field.length or CUSTOM_LENGTH) if field.data_type in {"string", "phone", "url"} else 0


def _refusal(field: Field) -> RowProblem | None:
    """Why no row may hold the field."""
    if field.read_only:
        return RowProblem("1003", f"Invalid data. Field '{field.name}' is read only")
    if field.name == "leadPartitionId":
        return RowProblem("1010", "Partition update not allowed")
    return None


def known_fields() -> list[Field]:
    """Standard fields, then the custom ones with ids from FIRST_CUSTOM_ID."""
    standard = [
        Field(field_id, name, display_name, data_type, length, read_only, soap_name, False, name in COMPANY_FIELDS)
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
    for field in sorted(table.visible, key=lambda field: field.id):
        entry: dict[str, Any] = {"name": field.name, "displayName": field.display_name, "dataType": field.data_type}
        if field.length is not None:
            entry["length"] = field.length
        entry["updateable"] = not field.read_only
        entry["crmManaged"] = False
        fields.append(entry)
    searchable = [[field.name] for field in table.visible if table.searchable(field)]
    return [{"name": "API Lead", "searchableFields": searchable, "fields": fields}]
