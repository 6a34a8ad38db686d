"""What tests and the sandbox do to an instance without a call: fill it, place things, look, change its schema.

None of it is counted, limited or refused for a native CRM. The calls themselves belong to emulator.py.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.activities import any_activity, expand
from marketo_assets.sandbox.marketo.activity_fill import LATE_SHARE, fill_activities
from marketo_assets.sandbox.marketo.activity_time import ActivityTime
from marketo_assets.sandbox.marketo.activity_types import ActivityType
from marketo_assets.sandbox.marketo.fields import Field
from marketo_assets.sandbox.marketo.fill import fill_leads
from marketo_assets.sandbox.marketo.instance import open_instance, show_lead
from marketo_assets.sandbox.marketo.object_types import ObjectType
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sandbox.marketo.programs import Programs
from marketo_assets.sandbox.marketo.record_endpoints import Records, show_record
from marketo_assets.sandbox.marketo.record_links import find_type
from marketo_assets.sandbox.marketo.schema_changes import put_lead_field, put_object_type, remove_object_type

_REQUEST_ID = "direct"


class DirectAccess:
    """One instance and its time. Thread-safe."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        """Opens the state."""
        self.options = options
        self.clock = clock
        self._lock = threading.RLock()
        self._instance = open_instance(options, clock)
        self._time = ActivityTime(self._instance)
        self._records = Records(self._instance)

    def fill(
        self, leads: int, emails: Iterable[str] | None = None, *, duplicate_share: float = 0.02, seed: int = 0
    ) -> int:
        """Add existing leads, a month or two old, without activities; the number added.

        `emails` gives one lead each its address, in order, instead of invented ones. `duplicate_share` of the
        addresses are held by two or three leads. The same arguments make the same leads.
        """
        with self._lock:
            return fill_leads(self._instance, leads, emails, duplicate_share, seed)

    def fill_activities(self, count: int, days: int, *, seed: int = 0, late_share: float = LATE_SHARE) -> int:
        """Add activities of the past `days` days, up to now, of usual types over the leads there are; the number added.

        `late_share` of them were committed ten minutes to two days after they happened, the others at once. Where
        activities are there already, the new ones come after them in the order of commit: they are all late then.
        The same arguments at the same time make the same activities. ValueError where no lead is.
        """
        with self._lock:
            self._catch_up()
            return fill_activities(self._instance, count, days, seed, late_share)

    def add_activities(
        self,
        type_id: int,
        lead_ids: Iterable[int],
        at: float,
        *,
        attributes: Mapping[str, Any] | None = None,
        primary: str | None = None,
        primary_id: int | None = None,
        campaign_id: int | None = None,
    ) -> list[int]:
        """One activity for each of these leads, committed now; their ids, which are their marketoGUIDs as numbers.

        `at`: when they happened, epoch seconds, ValueError if that is to come. The values are kept as they are. No
        lead and no type has to exist.
        """
        with self._lock:
            self._catch_up()
            store, now = self._instance.store, self._instance.now()
            if at > now:
                raise ValueError(f"an activity at {at} has not happened yet: it is {now}")
            detail = orjson.dumps(any_activity(attributes or {}, primary, primary_id, campaign_id))
            first = store.next_activity_id
            with store.transaction():
                store.add_past_activities((now, int(at), lead_id, type_id, detail) for lead_id in lead_ids)
            return list(range(first, store.next_activity_id))

    def put_activity_type(self, activity_type: ActivityType) -> None:
        """Add an activity type, or change the one with its id, until the emulator is closed."""
        with self._lock:
            self._instance.activity_types.put(activity_type)

    def remove_activity_type(self, type_id: int) -> None:
        """Take an activity type away until the emulator is closed; its activities stay. KeyError if there is none."""
        with self._lock:
            self._instance.activity_types.remove(type_id)

    def lead_field(self, name: str) -> Field:
        """The lead field of that REST name, a hidden one too; KeyError if there is none."""
        with self._lock:
            fields = self._instance.fields
            return fields.fields[fields.position[name]]

    def put_lead_field(self, field: Field) -> None:
        """Add a lead field, or change the one with its id: rename, retype, hide. It outlives a restart.

        A field that is `of_company` is one of companies as well. ValueError for a name that is taken, or another REST
        name of a standard field.
        """
        with self._changing():
            put_lead_field(self._instance, field)

    def custom_object(self, name: str) -> ObjectType:
        """The type of custom objects of that name; KeyError if there is none."""
        with self._lock:
            return self._type(name)

    def put_custom_object(self, object_type: ObjectType) -> None:
        """Add a type of custom objects, or change the one with its name, until the emulator is closed.

        A field that is not there any more is gone with its values. ValueError for other dedupe fields.
        """
        with self._changing():
            put_object_type(self._instance, object_type)

    def remove_custom_object(self, name: str) -> None:
        """Take a type of custom objects away until the emulator is closed, its records for good. KeyError if none."""
        with self._changing():
            remove_object_type(self._instance, name)

    def put_records(self, object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Create or update companies (COMPANY) or custom objects by their dedupe fields; the rows of the result.

        As their endpoints do it, with activities for the leads of changed companies. KeyError for an unknown type.
        """
        with self._changing():
            return self._records.write(self._type(object_name), list(map(dict, rows)), _REQUEST_ID)

    def delete_records(self, object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Delete companies (COMPANY) or custom objects by their dedupe fields; the rows of the result."""
        with self._changing():
            return self._records.remove(self._type(object_name), list(map(dict, rows)), _REQUEST_ID)

    def records(self, object_name: str) -> Iterator[dict[str, Any]]:
        """Every company (COMPANY) or custom object of a type as replies have it, with all that is not empty."""
        with self._lock:
            object_type = self._type(object_name)
            stored = [record for page in self._instance.store.records(object_name) for record in page]
        for record in stored:
            yield show_record(object_type, record, [*object_type.visible, "createdAt", "updatedAt"])

    def put_program_members(
        self, program_id: int, lead_ids: Iterable[int], status: str = "Member", *, is_success: bool = False
    ) -> None:
        """Make leads members of a program, or give members another status; an activity 104 each where it is news.

        KeyError for a program or a lead that is not there.
        """
        with self._changing():
            Programs(self._instance).put_members(program_id, lead_ids, status, is_success=is_success)

    def activities_made(self) -> int:
        """How many activities there have ever been, those included that are past their retention."""
        with self._lock:
            self._catch_up()
            return self._instance.store.next_activity_id - 1

    def lead_count(self) -> int:
        """How many leads there are."""
        with self._lock:
            self._catch_up()
            return self._instance.store.lead_count()

    def leads(self, fields: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every lead, ascending by id, with these fields or all that are not empty."""
        with self._lock:
            self._catch_up()
            stored = list(self._instance.store.all_leads())
        names = list(fields) if fields is not None else [field.name for field in self._instance.fields.visible]
        for lead in stored:
            shown = show_lead(self._instance, lead, names)
            yield shown if fields is not None else {name: value for name, value in shown.items() if value is not None}

    def activities(self, type_id: int | None = None) -> Iterator[dict[str, Any]]:
        """Every activity, in the order of their commit, of one type or all."""
        position = 1
        while True:
            with self._lock:
                self._catch_up()
                events = self._instance.store.activities_from(position)
            for event in events:
                if type_id in {None, event.type}:
                    yield from expand(event, self._instance.fields, self.options.api_user)
            if not events:
                return
            position = events[-1].id + events[-1].size

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """At the present moment, alone, and all of it or nothing."""
        with self._lock:
            self._catch_up()
            with self._instance.store.transaction():
                yield

    def _type(self, name: str) -> ObjectType:
        object_type = find_type(self._instance, name)
        if object_type is None:
            raise KeyError(name)
        return object_type

    def _catch_up(self) -> None:
        """What has happened by now without a call."""
        self._time.catch_up()
