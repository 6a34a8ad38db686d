"""SYNC_OBJECT_TYPES: how Marketo last described each type, and types that are let alone for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.marketo.leads import LeadField
from marketo_assets.marketo.records import RecordType, Relationship
from marketo_assets.sync.objects_definition import ObjectSync
from marketo_assets.warehouse.session import Warehouse

NEVER: Final = datetime.min  # noqa: DTZ901 - naive, as the warehouse has its times


@dataclass(frozen=True)
class Remembered:
    """What is known of a type before Marketo is asked. Times in UTC, naive."""

    definition: RecordType | None = None
    described_at: datetime = NEVER
    accepted: Mapping[str, str] | None = None
    """Data type by field, under which values were sent so far; None before the first look."""
    problem: str | None = None
    try_after: datetime = NEVER
    """When a type with a problem is looked at again."""


class ObjectTypes:
    """The type of one sync through one warehouse session."""

    def __init__(self, warehouse: Warehouse, sync: ObjectSync, run_id: str, clock: Clock) -> None:
        """`run_id` is written beside every change."""
        self._warehouse = warehouse
        self._name = sync.name
        self._run_id = run_id
        self._clock = clock

    @property
    def now(self) -> datetime:
        """UTC, naive."""
        return utc_now(self._clock).replace(tzinfo=None)

    def remembered(self) -> Remembered:
        """As the last run left it."""
        rows = self._warehouse.rows(
            "select definition, described_at, accepted_types, problem, try_after from SYNC_OBJECT_TYPES"
            " where object_name = %(object)s",
            object=self._name,
        )
        if not rows:
            return Remembered()
        (row,) = rows
        return Remembered(
            _type(orjson.loads(row["definition"])) if row["definition"] else None,
            row["described_at"] or NEVER,
            orjson.loads(row["accepted_types"]),
            row["problem"],
            row["try_after"] or NEVER,
        )

    def note(self, definition: RecordType, described_at: datetime, accepted: Mapping[str, str]) -> None:
        """Store a description, and the data types under which values are sent from now on."""
        text = orjson.dumps(definition).decode()
        self._store(definition=text, described_at=described_at, accepted_types=_text(accepted))

    def let_alone(self, problem: str, pause: timedelta, accepted: Mapping[str, str]) -> None:
        """Store why nothing can be sent, and that nobody is to try for a while."""
        self._store(problem=problem, try_after=self.now + pause, accepted_types=_text(accepted))

    def _store(self, **columns: Any) -> None:
        names = {"definition": None, "described_at": None, "problem": None, "try_after": None, **columns}
        names |= {"object": self._name, "run": self._run_id}
        updated = self._warehouse.execute(
            "update SYNC_OBJECT_TYPES set definition = %(definition)s, described_at = %(described_at)s::timestamp_ntz,"
            " accepted_types = %(accepted_types)s, problem = %(problem)s, try_after = %(try_after)s::timestamp_ntz,"
            " run_id = %(run)s where object_name = %(object)s",
            **names,
        )
        if not updated:
            self._warehouse.execute(
                "insert into SYNC_OBJECT_TYPES"
                " (object_name, definition, described_at, accepted_types, problem, try_after, run_id)"
                " select %(object)s, %(definition)s, %(described_at)s::timestamp_ntz, %(accepted_types)s, %(problem)s,"
                " %(try_after)s::timestamp_ntz, %(run)s",
                **names,
            )


def _text(accepted: Mapping[str, str]) -> str:
    return orjson.dumps(accepted, option=orjson.OPT_SORT_KEYS).decode()


def _type(stored: Mapping[str, Any]) -> RecordType:
    return RecordType(
        stored["name"],
        tuple(stored["dedupe_fields"]),
        stored["id_field"],
        tuple(Relationship(**each) for each in stored["relationships"]),
        tuple(LeadField(**each) for each in stored["fields"]),
    )
