"""What is synced of one company or custom object: marketo.yaml against Describe and the source table. Pure; no I/O.

What Marketo or the warehouse no longer has is named and left out, and the rest flows; without its key nothing does.
"""

import difflib
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from marketo_assets.config_sync import CompanyConfig, CustomObjectConfig
from marketo_assets.config_types import FieldMapping
from marketo_assets.marketo.leads import LeadField
from marketo_assets.marketo.records import COMPANIES, RecordKind, RecordType, custom_object
from marketo_assets.pump.mapping import MappedField, candidates
from marketo_assets.warehouse.sql import plain_parts


@dataclass(frozen=True)
class ObjectSync:
    """What marketo.yaml says of the companies of one table, or of one custom object."""

    name: str
    """`companies/<name>` or `custom_objects/<API name>`: its asset, and its name in our tables."""
    kind: RecordKind
    table: str
    key: tuple[str, ...]
    mapping: tuple[FieldMapping, ...]
    deletes: bool
    max_delete_share: float

    @property
    def api_name(self) -> str | None:
        """Of a custom object; None for companies."""
        section, name = self.name.split("/")
        return name if section == "custom_objects" else None


def company_sync(name: str, config: CompanyConfig) -> ObjectSync:
    """The sync of one entry of `companies:`."""
    source = config.source
    return ObjectSync(
        f"companies/{name}",
        COMPANIES,
        source.table,
        (source.key,),
        config.mapping,
        config.deletes == "delete",
        config.max_delete_share,
    )


def custom_object_sync(api_name: str, config: CustomObjectConfig) -> ObjectSync:
    """The sync of one entry of `custom_objects:`."""
    return ObjectSync(
        f"custom_objects/{api_name}",
        custom_object(api_name),
        config.source.table,
        config.source.key,
        config.mapping,
        config.deletes == "delete",
        config.max_delete_share,
    )


@dataclass(frozen=True)
class ObjectMapping:
    """The columns that are synced and the fields they fill."""

    fields: tuple[MappedField, ...]
    key: tuple[MappedField, ...]
    """Those of the dedupe fields, by name: the order of a key's parts does not depend on marketo.yaml or Describe."""

    @property
    def version(self) -> str:
        """Changes when a rule or definition changes that could turn a refused row into an accepted one."""
        return hashlib.sha256(repr(sorted(self.fields, key=repr)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Fit:
    """How marketo.yaml fits Marketo and the warehouse. Whole sentences of names, never of values."""

    mapping: ObjectMapping | None
    """None: nothing may be sent."""
    problems: tuple[str, ...] = ()
    """Why nothing may be sent."""
    left_out: tuple[str, ...] = ()
    """Lines of the mapping that cannot be followed, and why."""

    @property
    def types(self) -> dict[str, str]:
        """Data type of each field that is sent."""
        return {mapped.field.name: mapped.field.data_type for mapped in self.mapping.fields} if self.mapping else {}


def fit(sync: ObjectSync, described: RecordType, columns: Collection[str], accepted: Mapping[str, str]) -> Fit:
    """`columns`: of the source table, in lower case. `accepted`: the data types under which fields were sent so far.

    A field of another type than it was accepted with is left out: what its values mean has changed.
    """
    problems: list[str] = []
    left_out: list[str] = []
    mapped: dict[str, MappedField] = {}
    key_columns = {_plain(column) for column in sync.key}
    keys: list[MappedField] = []
    for line in sync.mapping:
        is_key = _plain(line.column) in key_columns
        found = _field_for(line, sync, described, columns, accepted)
        if isinstance(found, LeadField) and found.name in mapped:
            found = f"the field {found.name!r} is filled by the column {mapped[found.name].column!r} already"
        if isinstance(found, str):
            (problems if is_key else left_out).append(f"{line.place}: {line.column}: {found}")
            continue
        # A key that was cut could be another record's.
        when_too_long = "reject" if is_key else line.when_too_long
        mapped[found.name] = MappedField(line.column, found, line.when_null, when_too_long)
        if is_key:
            keys.append(mapped[found.name])
    if not problems and {each.field.name for each in keys} != set(described.dedupe_fields):
        filled = ", ".join(each.field.name for each in keys) or "no field"
        problems.append(
            f"the key columns ({', '.join(sync.key)}) are mapped to {filled}, and Marketo finds these records by"
            f" {', '.join(described.dedupe_fields)}; change source.key or the mapping"
        )
    if problems:
        return Fit(None, tuple(problems), tuple(left_out))
    ordered = tuple(sorted(keys, key=lambda each: each.field.name))
    return Fit(ObjectMapping(tuple(mapped.values()), ordered), (), tuple(left_out))


def _field_for(
    line: FieldMapping,
    sync: ObjectSync,
    described: RecordType,
    columns: Collection[str],
    accepted: Mapping[str, str],
) -> LeadField | str:
    """The field that a line fills, or what is wrong."""
    if _plain(line.column) not in columns:
        return f"the table {sync.table} has no such column"
    found = candidates(line.to, described.fields)
    if not found:
        names = [name for field in described.fields for name in (field.name, field.display_name)]
        close = difflib.get_close_matches(line.to, names, n=1)
        return f"{described.name} has no field {line.to!r} in Marketo" + (
            f"; did you mean {close[0]!r}?" if close else ""
        )
    if len(found) > 1:
        return f"{line.to!r} is the name of several fields; use one of {sorted(field.name for field in found)}"
    (field,) = found
    if field.read_only and field.name not in described.dedupe_fields:
        return f"the field {field.name!r} is not updateable in Marketo; unmap it"
    before = accepted.get(field.name, field.data_type)
    if before != field.data_type:
        return (
            f"the field {field.name!r} was of type {before} and is {field.data_type} now;"
            " if its values are right for that, materialize the asset once with try_again: true"
        )
    return field


def _plain(column: str) -> str:
    return plain_parts(column)[-1]
