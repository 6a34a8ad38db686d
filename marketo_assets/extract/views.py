"""Views for reports: one per activity type with its attributes as typed columns, and activities beside their leads.

Types come from Marketo's metadata; a value that is not of its attribute's type is null in the typed column and stays
as it is in `attributes`. The SQL runs on Snowflake and on its local stand-in; who runs it, and when, belongs elsewhere.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from marketo_assets.extract.rows import ACTIVITY_SCHEMA
from marketo_assets.marketo.activities import ActivityType
from marketo_assets.marketo.leads import LeadField
from marketo_assets.warehouse.sql import identifier, literal

LEADS_VIEW: Final = "activities_with_leads"
_TABLES: Final = ("activity_types", "activity_leads", "activity_loads")
"""Tables of the same schema whose names a type's view could take."""
_LONGEST_NAME: Final = 200
"""Snowflake's names have 255 characters; prefixes and numbers come on top."""
_FIRST_CUSTOM_TYPE: Final = 100_000

_TIME: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
# Years that neither Snowflake's client nor a step to UTC can leave. Text compares like the times it stands for.
_IS_TIME: Final = f"regexp_like(t, '{_TIME}') and t between '0001-01-02' and '9999-12-31'"
# Snowflake reads "+00:00" behind a time with a "T", not "+0000"; without an offset it would take the session's zone.
_ZONED: Final = (
    "case when length(t) = 10 then t || 'T00:00:00Z'"
    " when regexp_like(t, '.*(Z|[+-][0-9]{2}:[0-9]{2})') then t"
    " when regexp_like(t, '.*[+-][0-9]{4}') then left(t, length(t) - 2) || ':' || right(t, 2)"
    " else t || 'Z' end"
)
# Each says first what the value must look like: Snowflake would round 12.5 to an integer, take 1700000000 for a date.
_INTEGER: Final = "iff(regexp_like(t, '[+-]?[0-9]{1,38}([.]0*)?'), try_to_number(t, 38, 0), null)"
_NUMBER: Final = "iff(regexp_like(t, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?'), try_to_double(t), null)"
_TYPED: Final = {
    "integer": _INTEGER,
    "score": _INTEGER,
    "float": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "boolean": "try_to_boolean(t)",
    "date": f"iff({_IS_TIME}, try_to_date(left(t, 10), 'YYYY-MM-DD'), null)",
    "datetime": f"iff({_IS_TIME}, convert_timezone('UTC', try_cast({_ZONED} as timestamp_tz))::timestamp_ntz, null)",
}
"""SQL of a typed value by Marketo's data type, with `t` for its trimmed text; every other type is text."""


@dataclass(frozen=True)
class _Column:
    """A typed column: its name, the SQL of its text, Marketo's data type."""

    name: str
    text: str
    data_type: str


def column_name(name: str) -> str:
    """A name of Marketo's in snake case: "Client IP Address" and "clientIPAddress" are client_ip_address.

    Accents are left out, letters without a plain form stay, and a name without letters or digits is "attribute".
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    letters = unicodedata.normalize("NFKD", words.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    snake = re.sub(r"[\W_]+", "_", plain).strip("_")[:_LONGEST_NAME] or "attribute"
    return f"_{snake}" if snake[0].isdigit() else snake


def activity_view_name(activity_type: ActivityType) -> str:
    """`activity_` and the type's name; types with one name between them get theirs from `activity_views`."""
    return f"activity_{column_name(activity_type.name)}"


def activity_views(types: Iterable[ActivityType]) -> dict[str, str]:
    """The view of each type: `create or replace view` SQL by view name.

    Of types whose names come out the same, the one with the lowest id has the plain name, the next _2, and so on.
    """
    ordered = sorted(types, key=lambda each: each.id)
    names = _distinct(map(activity_view_name, ordered), taken=_TABLES)
    return {name: type_view(each, name) for each, name in zip(ordered, names, strict=True)}


def type_view(activity_type: ActivityType, name: str | None = None) -> str:
    """SQL that makes the view of one type over ACTIVITIES; `name` where it is not `activity_view_name`.

    Columns: those of ACTIVITY_SCHEMA, then the primary attribute by its own name, then the others in Marketo's order.
    """
    columns: list[tuple[str, str, str]] = []
    primary = activity_type.primary
    if primary and primary.name:
        # A standard type's integer is the id of an asset, whose name is the value; a custom type's is the value.
        is_id = primary.data_type == "integer" and activity_type.id < _FIRST_CUSTOM_TYPE
        text = "primary_attribute_value_id::varchar" if is_id else "primary_attribute_value"
        columns.append((primary.name, text, primary.data_type))
    columns += [
        (each.name, f"attributes[{literal(each.name)}]::varchar", each.data_type) for each in activity_type.attributes
    ]
    names = _distinct((column_name(name) for name, _, _ in columns), taken=ACTIVITY_SCHEMA.names)
    return _view(
        name or activity_view_name(activity_type),
        [_Column(name, text, kind) for name, (_, text, kind) in zip(names, columns, strict=True)],
        f"from ACTIVITIES where activity_type_id = {activity_type.id}",
    )


def leads_view(lead_fields: Sequence[LeadField]) -> str:
    """SQL that makes the inner join of activities and their leads; a lead that Marketo does not know has no rows.

    Columns: those of ACTIVITY_SCHEMA, then `lead_` and the field's REST name for each field, typed by Describe Lead.
    """
    fields = [field for field in lead_fields if field.name != "id"]  # it is lead_id
    names = _distinct((f"lead_{column_name(field.name)}" for field in fields), taken=ACTIVITY_SCHEMA.names)
    return _view(
        LEADS_VIEW,
        [
            _Column(name, f"fields[{literal(field.name)}]::varchar", field.data_type)
            for name, field in zip(names, fields, strict=True)
        ],
        "from ACTIVITIES inner join (select lead_id as id, fields from ACTIVITY_LEADS where not is_missing) LEADS"
        " on LEADS.id = ACTIVITIES.lead_id",
    )


def _view(name: str, columns: Sequence[_Column], source: str) -> str:
    texts = [f"{column.text} as t{number}" for number, column in enumerate(columns)]
    typed = [f"{_typed(column, f't{number}')} as {_quoted(column.name)}" for number, column in enumerate(columns)]
    return (
        f"create or replace view {_quoted(name)} as select\n    "
        + ",\n    ".join([*ACTIVITY_SCHEMA.names, *typed])
        + "\nfrom (\n    select "
        + ", ".join([*ACTIVITY_SCHEMA.names, *texts])
        + f"\n    {source}\n)"
    )


def _typed(column: _Column, text: str) -> str:
    sql = _TYPED.get(column.data_type)
    return re.sub(r"\bt\b", f"trim({text})", sql) if sql else text


def _distinct(names: Iterable[str], *, taken: Iterable[str]) -> list[str]:
    """The names in their order, with _2, _3 and so on for those that are taken already, whatever their case."""
    used = {name.upper() for name in taken}
    distinct = []
    for name in names:
        free, number = name, 1
        while free.upper() in used:
            number += 1
            free = f"{name}_{number}"
        used.add(free.upper())
        distinct.append(free)
    return distinct


def _quoted(name: str) -> str:
    return identifier(name if name.isascii() else f'"{name.upper()}"')
