"""What exists in Marketo by its own word: activity types and lead fields, and every change of them with its time.

Get Activity Types and Describe Lead are the only source; nothing of them is written into this project.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.config import ActivitiesConfig
from marketo_assets.config_types import compared
from marketo_assets.marketo.activities import ActivityAttribute, ActivityType
from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.marketo.leads import LeadField
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import statement

DELETE_LEAD: Final = 37
"""Bulk extract does not give it out; Get Deleted Leads does (fact: Bulk Extract)."""


@dataclass(frozen=True)
class Drift:
    """How Marketo's model differs from what was seen before. Names only."""

    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    is_first_look: bool = False

    @property
    def is_some(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.appeared or self.vanished or self.changed)


@dataclass(frozen=True)
class Chosen:
    """The activity types that marketo.yaml asks for."""

    types: tuple[ActivityType, ...]
    unknown: tuple[str, ...]
    """Names and ids of marketo.yaml that Marketo does not know."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(each.id for each in self.types))


def chosen_types(config: ActivitiesConfig, types: Sequence[ActivityType]) -> Chosen:
    """Resolve names (case and blanks around them aside) and ids. Delete Lead is left to `deleted_leads`."""
    by_name = {compared(each.name): each for each in types} | {str(each.id): each for each in types}
    wanted: Sequence[str | int] = [each.id for each in types] if config.types is None else config.types
    left_out = {by_name[name].id for name in map(compared, config.except_types) if name in by_name} | {DELETE_LEAD}
    chosen = {by_name[name].id: by_name[name] for name in map(compared, wanted) if name in by_name}
    return Chosen(
        tuple(each for type_id, each in sorted(chosen.items()) if type_id not in left_out),
        tuple(str(name) for name in (*wanted, *config.except_types) if compared(name) not in by_name),
    )


def chosen_fields(names: Sequence[str], fields: Sequence[LeadField]) -> tuple[list[LeadField], list[str]]:
    """The lead fields of marketo.yaml, by REST name or display name, and the names that Marketo does not know."""
    by_name = {compared(each.display_name): each for each in fields} | {compared(each.name): each for each in fields}
    known = {by_name[compared(name)].name: by_name[compared(name)] for name in names if compared(name) in by_name}
    return list(known.values()), [name for name in names if compared(name) not in by_name]


class Catalog:
    """The tables ACTIVITY_TYPES and LEAD_FIELDS through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock) -> None:
        """`run_id` is written beside every change."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._clock = clock

    def activity_types(self) -> list[ActivityType]:
        """As last seen; empty before the first look."""
        return [_type(definition) for definition in self._present("ACTIVITY_TYPES", "type_id").values()]

    def lead_fields(self) -> list[LeadField]:
        """As last seen; empty before the first look."""
        return [LeadField(**orjson.loads(text)) for text in self._present("LEAD_FIELDS", "name").values()]

    def note_activity_types(self, types: Sequence[ActivityType]) -> Drift:
        """Store what differs from the last look."""
        now = {each.id: (each.name, _text(asdict(each))) for each in types}
        return self._note("ACTIVITY_TYPES", ("type_id", "name"), now)

    def note_lead_fields(self, fields: Sequence[LeadField]) -> Drift:
        """Store what differs from the last look."""
        now = {each.name: (each.display_name, _text(asdict(each))) for each in fields}
        return self._note("LEAD_FIELDS", ("name", "display_name"), now)

    def _present(self, table: str, key: str) -> dict[Any, str]:
        rows = self._warehouse.rows(
            f"select {key} as key, definition, is_present from {table}"
            f" qualify row_number() over (partition by {key} order by seen_at desc) = 1 order by 1"
        )
        return {row["key"]: row["definition"] for row in rows if row["is_present"]}

    def _note(self, table: str, columns: tuple[str, str], now: Mapping[Any, tuple[str, str]]) -> Drift:
        before = self._present(table, columns[0])
        appeared = [key for key in now if key not in before]
        vanished = [key for key in before if key not in now]
        changed = [key for key, (_, definition) in now.items() if key in before and before[key] != definition]
        gone = {key: (orjson.loads(before[key])[columns[1]], before[key]) for key in vanished}
        news = [(key, *now[key], True) for key in [*appeared, *changed]]
        news += [(key, *gone[key], False) for key in vanished]
        if news:
            self._store(table, columns, news)
        if not before:
            return Drift(is_first_look=True)
        return Drift(
            tuple(now[key][0] for key in appeared),
            tuple(gone[key][0] for key in vanished),
            tuple(now[key][0] for key in changed),
        )

    def _store(self, table: str, columns: tuple[str, str], news: Sequence[tuple[Any, str, str, bool]]) -> None:
        rows = dict(zip([*columns, "definition", "is_present"], zip(*news, strict=True), strict=True))
        with self._warehouse.staged(pa.table(rows)) as staged:
            self._warehouse.execute(
                f"insert into {table} ({', '.join(rows)}, run_id, seen_at)"
                f" select {', '.join(rows)}, %(run)s, %(seen_at)s::timestamp_ntz from {staged}",
                run=self._run_id,
                seen_at=utc_now(self._clock).replace(tzinfo=None),
            )


def seen_fields(warehouse: Warehouse, run_id: str, clock: Clock) -> list[LeadField]:
    """Lead fields as last seen by whoever looked; empty before the first look."""
    warehouse.create(statement("marketo_assets.extract", "tables"))
    return Catalog(warehouse, run_id, clock).lead_fields()


def _type(text: str) -> ActivityType:
    data = orjson.loads(text)
    primary = data.pop("primary")
    attributes = data.pop("attributes")
    return ActivityType(
        **data,
        primary=None if primary is None else ActivityAttribute(**primary),
        attributes=tuple(ActivityAttribute(**attribute) for attribute in attributes),
    )


def _text(definition: Mapping[str, Any]) -> str:
    return orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()
