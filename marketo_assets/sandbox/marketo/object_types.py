"""What companies and custom objects are: fields, keys and links of a type, and how Describe shows it.

Single records are in records.py; the file that defines custom objects is read in object_file.py.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from marketo_assets.sandbox.marketo.fields import COMPANY_LINK, FieldTable
from marketo_assets.sandbox.marketo.wire import stamp

LEAD = "Lead"
COMPANY = "Company"
"""The names by which links name what is no custom object."""
MAX_TYPES = 10
MAX_FIELDS = 50
MAX_DEDUPE_FIELDS = 3
COMPANY_ID_LENGTH = 100
"""As documented of companies; leads describe the same field with 50, as recorded."""
DATA_TYPES = frozenset(
    {
        "boolean",
        "currency",
        "date",
        "datetime",
        "email",
        "float",
        "integer",
        "percent",
        "phone",
        "score",
        "string",
        "text",
        "url",
    }
)
TEXT_LENGTH = 255
_SIZED = {"email", "phone", "string", "url"}
_NAME = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)
_GUID_LENGTH = 36
_MADE = 1_600_000_000
"""When the companies of every instance were made: 2020-09-13."""


@dataclass(frozen=True, slots=True)
class ObjectField:
    """One field of a company or custom object. `length` None: the usual 255 characters, where the type has a size.

    A `hidden` one is there for no call, but keeps its values.
    """

    name: str
    display_name: str
    data_type: str = "string"
    length: int | None = None
    hidden: bool = False

    @property
    def size(self) -> int | None:
        """How many characters it holds; None where the type has no size."""
        return self.length or (TEXT_LENGTH if self.data_type in _SIZED else None)


@dataclass(frozen=True, slots=True)
class ObjectLink:
    """A field that holds the value of a field of what the record belongs to: a lead, a company or a custom object.

    Two of them, to a lead and to another custom object, make the records of one between many and many.
    """

    field: str
    to: str
    """LEAD, COMPANY or the name of a custom object."""
    to_field: str


@dataclass(frozen=True, slots=True)
class ObjectType:
    """The companies, or a type of custom objects. Raises ValueError for a definition that cannot be.

    Beside `fields` every type has its `id_field`, createdAt and updatedAt.
    """

    name: str
    display_name: str
    fields: tuple[ObjectField, ...]
    dedupe_fields: tuple[str, ...]
    links: tuple[ObjectLink, ...] = ()
    description: str = ""
    id_field: str = "marketoGUID"
    also_searchable: tuple[str, ...] = ()
    """Fields that records can be looked up by besides their id, their dedupe fields and their links."""

    def __post_init__(self) -> None:
        """See above."""
        names = [field.name for field in self.fields]
        used = [*self.dedupe_fields, *(link.field for link in self.links)]
        taken = {name for name in names if names.count(name) > 1 or name in self.system_fields}
        for wrong, problem in (
            (not all(map(_NAME.fullmatch, [self.name, *names])), "names are letters, digits and _, a letter first"),
            (bool(taken), f"a field is there already: {', '.join(sorted(taken))}"),
            (not 1 <= len(self.dedupe_fields) <= MAX_DEDUPE_FIELDS, f"1 to {MAX_DEDUPE_FIELDS} dedupe fields"),
            (not set(used) <= set(names), f"no field is called {', '.join(sorted(set(used) - set(names)))}"),
            (not set(self.dedupe_fields) <= set(self.visible), "a dedupe field cannot be hidden"),
            (
                any(field.data_type not in DATA_TYPES for field in self.fields),
                f"dataType must be one of {', '.join(sorted(DATA_TYPES))}",
            ),
        ):
            if wrong:
                raise ValueError(f"{self.name}: {problem}")

    @property
    def system_fields(self) -> tuple[str, str, str]:
        """What nobody can write."""
        return (self.id_field, "createdAt", "updatedAt")

    @property
    def visible(self) -> dict[str, ObjectField]:
        """The fields that are not hidden, by name."""
        return {field.name: field for field in self.fields if not field.hidden}

    @property
    def searchable(self) -> list[tuple[str, ...]]:
        """What records can be looked up by: the dedupe fields together, and single fields."""
        single = (self.id_field, *(link.field for link in self.links), *self.also_searchable)
        return list(dict.fromkeys([self.dedupe_fields, *((name,) for name in single)]))


class ObjectTypes:
    """The custom object types by name; they may change while the instance runs."""

    def __init__(self, types: Iterable[ObjectType], now: int) -> None:
        """`now`: when they were made, epoch seconds. ValueError for more types or fields than Marketo has."""
        self._types: dict[str, ObjectType] = {}
        self._times: dict[str, tuple[int, int]] = {}
        for object_type in types:
            self.put(object_type, now)

    def __iter__(self) -> Iterator[ObjectType]:
        """In the order in which they were added."""
        return iter(self._types.values())

    def get(self, name: str) -> ObjectType | None:
        """The type of that name, case and all."""
        return self._types.get(name)

    def put(self, object_type: ObjectType, now: int) -> None:
        """Add a type, or change the one with its name; ValueError for more types or fields than Marketo has."""
        if len({*self._types, object_type.name}) > MAX_TYPES:
            raise ValueError(f"{object_type.name}: there are {MAX_TYPES} custom object types already")
        if len(object_type.fields) > MAX_FIELDS:
            raise ValueError(f"{object_type.name}: more than {MAX_FIELDS} fields")
        if object_type.name in {LEAD, COMPANY}:
            raise ValueError(f"{object_type.name} is no custom object")
        self._types[object_type.name] = object_type
        self._times[object_type.name] = (self._times.get(object_type.name, (now, now))[0], now)

    def remove(self, name: str) -> None:
        """Take a type away; KeyError if there is none."""
        del self._types[name], self._times[name]

    def show(self, object_type: ObjectType) -> dict[str, Any]:
        """A type as the list of types has it: all but its fields."""
        head = _head(object_type, *self._times[object_type.name])
        return head | {"relationships": self._relationships(object_type)}

    def _relationships(self, object_type: ObjectType) -> list[dict[str, Any]]:
        """What its records belong to ("child"), and what belongs to them ("parent"); the words' sense is a choice."""
        own = [(link.field, "child", link.to, link.to_field) for link in object_type.links]
        others = [
            (link.to_field, "parent", other.name, link.field)
            for other in self
            for link in other.links
            if link.to == object_type.name
        ]
        return [
            {"field": field, "type": kind, "relatedTo": {"name": name, "field": their_field}}
            for field, kind, name, their_field in own + others
        ]


def company_type(fields: FieldTable) -> ObjectType:
    """The companies of an instance: what its leads have fields of the type Company for."""
    own = [fields.fields[place] for place in fields.of_company.values()]
    link = fields.fields[fields.position[COMPANY_LINK]]
    return ObjectType(
        name=COMPANY,
        display_name="Company",
        fields=(
            ObjectField(link.name, link.display_name, link.data_type, COMPANY_ID_LENGTH),
            *(
                ObjectField(field.name, field.display_name, field.data_type, field.length, field.hidden)
                for field in own
            ),
        ),
        dedupe_fields=(COMPANY_LINK,),
        id_field="id",
        also_searchable=("company",),
    )


def show_company_type(object_type: ObjectType) -> dict[str, Any]:
    """The same of the companies, which come with no `relationships`."""
    return _head(object_type, _MADE, _MADE)


def show_fields(object_type: ObjectType) -> list[dict[str, Any]]:
    """`fields` of Describe, those that nobody can write first. Dedupe fields are set when a record is made."""
    is_company = object_type.name == COMPANY
    id_field = (
        ObjectField(object_type.id_field, "Id", "integer")
        if is_company
        else ObjectField(object_type.id_field, "Marketo GUID", "string", _GUID_LENGTH)
    )
    times = ObjectField("createdAt", "Created At", "datetime"), ObjectField("updatedAt", "Updated At", "datetime")
    return [
        *(_show_field(field, updateable=False) for field in (id_field, *times)),
        *(
            _show_field(field, updateable=field.name not in object_type.dedupe_fields)
            for field in object_type.visible.values()
        ),
    ]


def _show_field(field: ObjectField, *, updateable: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": field.name, "displayName": field.display_name, "dataType": field.data_type}
    if field.size is not None:
        entry["length"] = field.size
    return entry | {"updateable": updateable}


def _head(object_type: ObjectType, made: int, changed: int) -> dict[str, Any]:
    return {
        "name": object_type.name,
        "displayName": object_type.display_name,
        "description": object_type.description,
        "createdAt": stamp(made),
        "updatedAt": stamp(changed),
        "idField": object_type.id_field,
        "dedupeFields": list(object_type.dedupe_fields),
        "searchableFields": [list(names) for names in object_type.searchable],
    }
