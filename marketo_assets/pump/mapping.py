"""Which column fills which Marketo field: marketo.yaml resolved against Describe Lead before anything is sent."""

import difflib
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from marketo_assets.config import PumpConfig
from marketo_assets.config_types import ConfigError, FieldMapping
from marketo_assets.marketo.leads import LeadField
from marketo_assets.warehouse.sql import plain_parts


@dataclass(frozen=True)
class MappedField:
    """A CSV column and the lead field that it fills."""

    column: str
    field: LeadField
    when_null: Literal["omit", "clear"]
    when_too_long: Literal["reject", "truncate"]


@dataclass(frozen=True)
class LeadMapping:
    """All mapped fields of a pump; `key` is the one that holds the lookup field."""

    fields: tuple[MappedField, ...]
    key: MappedField
    duplicates: str
    """The policy for keys that several leads hold."""
    left_out: tuple[str, ...] = ()
    """What marketo.yaml maps and one side does not have (any more), a sentence each."""

    @property
    def version(self) -> str:
        """Changes when a rule changes that could turn a refused row into an accepted one."""
        rules = [
            (m.column, m.field.name, m.field.data_type, m.field.length, m.when_null, m.when_too_long)
            for m in self.fields
        ]
        return hashlib.sha256(repr((self.duplicates, sorted(rules, key=repr))).encode()).hexdigest()[:16]


def resolve_mapping(
    pump: PumpConfig,
    described: Sequence[LeadField],
    columns: Collection[str] | None = None,
    *,
    leaves_out: bool = False,
) -> LeadMapping:
    """Match each mapping line to a field of Describe Lead, by REST name or display name.

    Raises ConfigError with every problem at once, each naming its line of marketo.yaml: a column that is not among
    `columns` (of the contact table, in lower case), a field Marketo does not have, a name that fits several fields,
    a field that cannot be written, two columns that end in one field, a key column that is not mapped to the lookup
    field. With `leaves_out` all but the last of these lines are left out and named in the mapping.
    """
    absent = {} if columns is None else absent_columns(pump, columns)
    problems = [*absent.values()]
    mapped: dict[str, MappedField] = {}
    places: dict[str, str] = {}
    for line in pump.mapping:
        field = None if line.column in absent else _field_for(line, described, problems)
        if field is None:
            continue
        if field.name in mapped:
            problems.append(
                f"{line.place}: column {line.column!r} ends in the field {field.name!r},"
                f" as does {mapped[field.name].column!r} ({places[field.name]}); keep one of them",
            )
            continue
        mapped[field.name] = MappedField(line.column, field, line.when_null, line.when_too_long)
        places[field.name] = line.place
    key = next((m for m in mapped.values() if m.column == pump.source.key), None)
    lookup = candidates(pump.lookup_field, described)
    if key is None or key.field not in lookup:
        place = next(line.place for line in pump.mapping if line.column == pump.source.key)
        problem = (
            f"{place}: the key column {pump.source.key!r} must be mapped to the lookup field"
            f" {pump.lookup_field!r}, by which Marketo finds the lead"
        )
        raise ConfigError(problems or [problem])
    if problems and not leaves_out:
        raise ConfigError(problems)
    return LeadMapping(tuple(mapped.values()), key, pump.duplicates, tuple(problems))


def absent_columns(pump: PumpConfig, columns: Collection[str]) -> dict[str, str]:
    """By mapped column: the sentence that says that the contact table does not have it."""
    return {
        line.column: f"{line.place}: the table {pump.source.table} has no column {line.column!r}"
        for line in pump.mapping
        if plain_parts(line.column)[-1] not in columns
    }


def _field_for(line: FieldMapping, described: Sequence[LeadField], problems: list[str]) -> LeadField | None:
    found = candidates(line.to, described)
    if not found:
        names = [name for field in described for name in (field.name, field.display_name)]
        close = difflib.get_close_matches(line.to, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        problems.append(f"{line.place}: {line.column}: Marketo has no lead field {line.to!r}{hint}")
        return None
    if len(found) > 1:
        names = sorted(field.name for field in found)
        problems.append(f"{line.place}: {line.column}: {line.to!r} is the name of several fields; use one of {names}")
        return None
    if found[0].read_only:
        problems.append(f"{line.place}: {line.column}: the field {found[0].name!r} is read-only in Marketo; unmap it")
        return None
    return found[0]


def candidates(name: str, described: Iterable[LeadField]) -> list[LeadField]:
    """Fields of that REST name, else of that display name (case and runs of blanks aside)."""
    described = list(described)
    by_rest_name = [field for field in described if field.name.casefold() == name.strip().casefold()]
    folded = " ".join(name.split()).casefold()
    return by_rest_name or [field for field in described if " ".join(field.display_name.split()).casefold() == folded]
