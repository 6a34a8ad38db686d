"""What one sync of leads costs with changes on both sides, in calls and in time within Marketo's limits."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from sqlite3 import connect
from statistics import median
from typing import Any, TypeVar

import dagster as dg
import orjson
import pyarrow as pa

from bench.results import Bound, Measurement
from bench.stand_ins import Past, Place, place, stand_ins
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.leads import MAX_FILTER_VALUES, MAX_ROWS, delete_leads, sync_leads
from marketo_assets.marketo.limits import WINDOW_MARGIN, ApiLimits
from marketo_assets.sandbox.contacts import SOURCE_TABLE, open_warehouse
from marketo_assets.sandbox.marketo.fill import OLDEST_LEAD_DAYS
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sync.parts import JOB
from marketo_assets.warehouse.session import Warehouse

_Item = TypeVar("_Item")

RUNS = 3
MOST_OVER = 1.1
WANTED_SHARE = 0.9
MOST_IDLE_CALLS = 4
ACTIVITIES_LOOKED_AT = 300
"""By one call of Get Lead Changes or Get Lead Activities, whatever their types (fact sheet: Activities)."""

LATENCY_SECONDS = 0.1
LIMITS = ApiLimits()
"""Marketo's own, at full scale: in smaller windows the processor would count for more than it does."""

CALLS_PER_SECOND = LIMITS.calls_per_window / LIMITS.window_seconds

CONFIG = """
pumps:
  contacts:
    source: {{table: {table}, key: email, updated_at: last_changed}}
    mapping:
      email: email
      first_name: firstName
      last_name: lastName
      title: title
      phone: phone
      city: city
      country: country
      is_customer: "[CDB] Is Paid Tier"
sync:
  leads:
    start: {start}
    pump: contacts
    conflicts: warehouse
    conflicts_by_field: {{phone: marketo, title: latest}}
    pull: {{columns: {{title: title_in_marketo, phone: phone_in_marketo, leadScore: score}}}}
"""

COLUMNS = {
    "email": "email",
    "first_name": "firstName",
    "last_name": "lastName",
    "title": "title",
    "phone": "phone",
    "city": "city",
    "country": "country",
}
"""Of the contact table, with the lead's field that each is filled from."""


@dataclass(frozen=True)
class Size:
    """How many leads there are, and what happens between two syncs."""

    leads: int
    changed_in_marketo: int
    created: int
    merged: int
    deleted: int
    changed_contacts: int

    @property
    def activities(self) -> int:
        """One for each value changed, lead created, merge and delete."""
        return self.changed_in_marketo + self.created + self.merged + self.deleted

    @property
    def feed_calls(self) -> int:
        """Of one of the two streams that look at all activities."""
        return ceil(self.activities / ACTIVITIES_LOOKED_AT)

    @property
    def read_calls(self) -> int:
        """New leads and winners of merges."""
        return ceil((self.created + self.merged) / MAX_FILTER_VALUES)

    @property
    def write_calls(self) -> int:
        """Changed contacts."""
        return ceil(self.changed_contacts / MAX_ROWS)

    @property
    def least_calls(self) -> int:
        """Of a sync, with one for the deletes."""
        return 2 * self.feed_calls + 1 + self.read_calls + self.write_calls


FULL = Size(100_000, 5_000, 500, 50, 50, 5_000)
QUICK = Size(1_500, 350, 20, 3, 3, 350)


@dataclass(frozen=True)
class Run:
    """One sync by the whole job."""

    calls: list[tuple[str, float, float]]
    """Path, sent, answered; whatever they were for."""
    by_endpoint: Mapping[str, int]
    told: Mapping[str, Mapping[str, Any]]
    """Metadata by asset."""
    asset_seconds: Mapping[str, float]
    whole_seconds: float
    """The job in process: Dagster's own part and the sessions too."""

    @property
    def seconds(self) -> float:
        """From the first call to the last answer."""
        return max(end for _, _, end in self.calls) - min(start for _, start, _ in self.calls)

    @property
    def share(self) -> float:
        """Of the calls a second that the limits allow on average."""
        return len(self.calls) / self.seconds / CALLS_PER_SECOND


@dataclass
class People:
    """Those who change leads in Marketo and contacts in the warehouse: each time others."""

    here: Place
    warehouse: Warehouse
    size: Size
    untouched: Iterator[tuple[str, int]]
    """Contacts and their leads, of which nobody else has the e-mail."""
    rounds: int = field(default=0, init=False)

    def change(self) -> None:
        """As much as happens between two syncs."""
        self.rounds += 1
        with self.here.marketo.client() as client:
            self._change_leads(client)
        self._change_contacts()
        # Other users' calls do not take the sync's place in the window.
        time.sleep(LIMITS.window_seconds * (1 + 2 * WINDOW_MARGIN))

    def _change_leads(self, client: MarketoClient) -> None:
        changed = [{"id": lead_id, "title": f"Title {self.rounds}"} for lead_id in self._leads("changed_in_marketo")]
        for rows in _parts(changed):
            sync_leads(client, [orjson.dumps(row) for row in rows], action="updateOnly", lookup_field="id")
        new = [{"email": f"new{self.rounds}-{at}@example.test", "lastName": "New"} for at in range(self.size.created)]
        for new_rows in _parts(new):
            sync_leads(client, [orjson.dumps(row) for row in new_rows], action="createOnly", lookup_field="email")
        for winner, loser in zip(self._leads("merged"), self._leads("merged"), strict=True):
            client.request("POST", f"/rest/v1/leads/{winner}/merge.json", params={"leadId": str(loser)})
        for ids in _parts(self._leads("deleted")):
            delete_leads(client, ids)

    def _change_contacts(self) -> None:
        keys = [key for key, _ in self._take("changed_contacts")]
        with self.warehouse.staged(pa.table({"key": keys})) as staged:
            changed = self.warehouse.execute(
                f"update {SOURCE_TABLE} set city = %(city)s, last_changed = sysdate() from {staged} s"
                f" where {SOURCE_TABLE}.email = s.key",
                city=f"City {self.rounds}",
            )
        assert changed == self.size.changed_contacts

    def _leads(self, what: str) -> list[int]:
        return [lead_id for _, lead_id in self._take(what)]

    def _take(self, what: str) -> list[tuple[str, int]]:
        return [next(self.untouched) for _ in range(getattr(self.size, what))]


def measure(*, quick: bool) -> Measurement:
    """Syncs by the whole job, with changes on both sides before each; then syncs without any."""
    size, count = (QUICK, 1) if quick else (FULL, RUNS)
    runs: list[Run] = []
    options = EmulatorOptions(
        rate=(LIMITS.calls_per_window, LIMITS.window_seconds),
        concurrency=LIMITS.concurrent_calls,
        latency_ms=LATENCY_SECONDS * 1000,
        export_seconds=0,
        export_refresh_seconds=0.5,
        export_seconds_per_mb=0,
    )
    with stand_ins(options, past=Past(0, OLDEST_LEAD_DAYS + 1, "rest", leads=size.leads)) as environment:
        config = {"MARKETO_ASSETS_CONFIG": str(_config(environment))}
        with open_warehouse(environment) as warehouse, place({**environment, **config}, LIMITS) as here:
            contacts = _in_step(here, warehouse)
            people = People(here, warehouse, size, _untouched(warehouse))
            for _ in range(count):
                people.change()
                _ask_for_usage(here)
                runs.append(_sync(here))
                _check(runs[-1], size)
                _sync(here)  # reads our own writes, which came back
                print(f"  {runs[-1].seconds:.2f} s, {len(runs[-1].calls)} calls, {runs[-1].share:.1%}", flush=True)
                print("    " + ", ".join(f"{k}: {v:.1f} s" for k, v in runs[-1].asset_seconds.items()), flush=True)
            idle = _sync(here)
            # As an hour later: the lead's fields are to be asked for as well, and wait for the sync after this one.
            warehouse.execute(
                "update SYNC_WATERMARKS set read_until = dateadd(minute, -61, read_until) where stream = 'lead_fields'"
            )
            _ask_for_usage(here)
            idle_with_usage = _sync(here)
            idle_with_fields = _sync(here)
            with here.marketo.client() as client:
                (answered,) = client.request("GET", "/rest/v1/stats/errors.json").result
    errors = {error["errorCode"]: error["count"] for error in answered["errors"]}
    return _measurement(size, contacts, runs, [idle, idle_with_usage, idle_with_fields], errors)


def _measurement(
    size: Size, contacts: int, runs: Sequence[Run], idle: Sequence[Run], errors: Mapping[str, int]
) -> Measurement:
    share, over_limit = median(run.share for run in runs), errors.get("606", 0) + errors.get("615", 0)
    middle = min(runs, key=lambda run: abs(run.share - share))
    calls, least = max(len(run.calls) for run in runs), size.least_calls
    pages = 2 * size.feed_calls + 1
    usual, with_usage, with_fields = (len(run.calls) for run in idle)
    return Measurement(
        title="one sync of leads, changes on both sides",
        bounds=(
            Bound("calls of a sync (most of all runs)", calls, "at most", round(MOST_OVER * least, 1), ""),
            Bound("calls/s, of the limits' average (median)", share, "at least", WANTED_SHARE, ""),
            Bound("calls answered 606 or 615 (all runs)", over_limit, "at most", 0, ""),
            Bound(
                "calls of a sync with nothing new (most of all)",
                max(usual, with_usage, with_fields),
                "at most",
                MOST_IDLE_CALLS,
                "",
            ),
        ),
        arithmetic=(
            (
                f"{size.leads:,} leads in the mirror, {contacts:,} contacts linked. Before each sync:"
                f" {size.changed_in_marketo:,} values changed, {size.created:,} leads created, {size.merged} merges and"
                f" {size.deleted} deletes in Marketo, {size.changed_contacts:,} contacts changed in the warehouse."
            ),
            (
                f"Least calls: {size.activities:,} activities, {ACTIVITIES_LOOKED_AT} looked at by a call ="
                f" {size.feed_calls}, by Get Lead Changes and again by Get Lead Activities for the merges; deletes 1;"
                f" {size.created:,} new leads and {size.merged} winners / {MAX_FILTER_VALUES} = {size.read_calls};"
                f" {size.changed_contacts:,} contacts / {MAX_ROWS} = {size.write_calls}: 2 x {size.feed_calls} + 1 +"
                f" {size.read_calls} + {size.write_calls} = {least}; {MOST_OVER:g} x {least} = {MOST_OVER * least:.1f}."
            ),
            (
                f"Made: {calls}, whatever they were for; what is over it is the question for the calls used today,"
                " asked every ten minutes: every other sync does without."
            ),
            (
                f"Limits, Marketo's own: {LIMITS.calls_per_window} calls per {LIMITS.window_seconds:g} s (sliding),"
                f" {LIMITS.concurrent_calls} in flight; {LATENCY_SECONDS:g} s latency. That is {CALLS_PER_SECOND:g}"
                f" calls/s on average, {len(middle.calls) / CALLS_PER_SECOND:.1f} s for {len(middle.calls)} calls; a"
                f" sync of up to {LIMITS.calls_per_window} calls may be faster, for they fit into one window."
            ),
            (
                f"Measured {len(runs)} time(s) over the whole job {JOB}, from its first call to its last answer, with"
                f" all that lies between them in the warehouse and in Dagster: {middle.seconds:.2f} s in the middle"
                f" one, {len(middle.calls) / CALLS_PER_SECOND:.1f} / {middle.seconds:.2f} = {share:.0%}. The {pages}"
                f" pages of the feed follow one another and take {pages * LATENCY_SECONDS:.1f} s of it."
            ),
            (
                f"Nothing new: {usual} calls, the three streams; {with_usage} when the calls used today are asked for,"
                f" {with_fields} when, once an hour, the lead's fields are, in the sync after."
            ),
        ),
        figures={
            "calls by endpoint, middle run": dict(middle.by_endpoint),
            "calls, each run": [len(run.calls) for run in runs],
            "calls at the least": least,
            "seconds, first call to last answer, each run": [run.seconds for run in runs],
            "seconds at the limits' average, each run": [len(run.calls) / CALLS_PER_SECOND for run in runs],
            "share of the limits' average, each run": [run.share for run in runs],
            "seconds of the whole job, each run": [run.whole_seconds for run in runs],
            "seconds by asset, middle run": dict(middle.asset_seconds),
            "calls by endpoint, nothing new": dict(idle[1].by_endpoint),
            "seconds of the whole job, nothing new": idle[0].whole_seconds,
        },
    )


def _config(environment: Mapping[str, str]) -> Path:
    start = time.strftime("%Y-%m-%d", time.gmtime(time.time() - (OLDEST_LEAD_DAYS + 1) * 86_400))
    path = Path(environment["MARKETO_ASSETS_CONFIG"]).with_name("sync.yaml")
    path.write_text(CONFIG.format(table=SOURCE_TABLE, start=start), encoding="utf-8")
    return path


def _in_step(here: Place, warehouse: Warehouse) -> int:
    """The mirror filled, a contact for each e-mail in it, the two linked and at rest; how many contacts."""
    columns = ", ".join(f"{name} varchar" for name in COLUMNS)
    warehouse.execute(
        f"create or replace table {SOURCE_TABLE} ({columns}, is_customer boolean, last_changed timestamp_ntz)"
    )
    _sync(here)
    values = ", ".join(f"fields['{field}']::varchar" for field in COLUMNS.values())
    contacts = warehouse.execute(
        f"insert into {SOURCE_TABLE} ({', '.join(COLUMNS)}, is_customer, last_changed)"
        f" select {values}, false, sysdate() from LEADS"
        " qualify row_number() over (partition by contact_key order by lead_id) = 1"
    )
    linked = _sync(here).told["contacts/changes"]["linked"]
    assert linked == contacts
    _sync(here)
    print(f"  {contacts:,} contacts are linked", flush=True)
    return contacts


def _untouched(warehouse: Warehouse) -> Iterator[tuple[str, int]]:
    rows = warehouse.rows("select contact_key, min(lead_id) as lead_id from LEADS group by 1 having count(*) = 1")
    pairs = sorted((row["contact_key"], int(row["lead_id"])) for row in rows)
    random.Random(0).shuffle(pairs)  # all over the table, the same ones each time
    return iter(pairs)


def _sync(here: Place) -> Run:
    first, before = len(here.marketo.transport.calls), Counter(here.marketo.calls())
    started = time.monotonic()
    result = here.definitions.resolve_job_def(JOB).execute_in_process(instance=here.instance)
    whole = time.monotonic() - started
    seconds = {
        event.step_key or "": (event.step_success_data.duration_ms / 1000)
        for event in result.all_events
        if event.is_step_success
    }
    told = {
        event.asset_key.to_user_string(): {
            k: v.value for k, v in event.materialization.metadata.items() if not isinstance(v, dg.TableMetadataValue)
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    calls = here.marketo.transport.calls[first:]
    return Run(calls, Counter(here.marketo.calls()) - before, told, seconds, whole)


def _parts(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """What one call takes."""
    return (items[start : start + MAX_ROWS] for start in range(0, len(items), MAX_ROWS))


def _check(run: Run, size: Size) -> None:
    """That the sync did what it was to do."""
    feed, mirror, contacts = (run.told[name] for name in ("marketo/lead_changes", "marketo/leads", "contacts/changes"))
    assert feed["dagster/row_count"] == size.activities, feed
    assert mirror["leads_read"] == size.created + size.merged, mirror
    assert (mirror["leads_merged"], mirror["leads_deleted"]) == (size.merged, size.deleted), mirror
    assert contacts["pushed"] == size.changed_contacts, contacts


def _ask_for_usage(here: Place) -> None:
    """As after ten minutes: the calls used today are asked for anew."""
    with closing(connect(here.marketo.state_dir / "calls.sqlite")) as state, state:
        state.execute("update day set read_at = 0")
