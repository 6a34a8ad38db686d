"""The demo's way back: a week of activities by Dagster's backfill daemon, a day that gets late ones, today as it grows.

What the warehouse holds at the end is compared with the local Marketo's own state file, which nothing of the extract
has ever seen. Does not belong here: the extract itself, and the contacts (demo_pump.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from rich.progress import Progress
from rich.table import Table

from marketo_assets.extract.schedules import POLL_TAG
from marketo_assets.extract.windows import midnight
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.sandbox.demo_dagster import DagsterApi, DemoError, Materialization, Steps, api_calls
from marketo_assets.sandbox.marketo import ActivityAttribute, ActivityType, EmulatorOptions, load_custom_objects
from marketo_assets.sandbox.marketo.activity_store import count_committed
from marketo_assets.sandbox.marketo.activity_tokens import position_in
from marketo_assets.sandbox.processes import CUSTOM_OBJECTS
from marketo_assets.warehouse.session import Warehouse

ACTIVITIES, ACTIVITY_LEADS = ("marketo", "activities"), ("marketo", "activity_leads")
MODEL = (("marketo", "activity_types"), ("marketo", "lead_fields"), ("marketo", "deleted_leads"))

DAYS = 7
LEADS = 2_000
"""Leads that the activities are about; none of the contacts is among them."""
LATE_ACTIVITIES = 5
LATE_DAYS = 3
"""How many days ago the late activities happened."""

WEBINAR = ActivityType(
    100_001,
    "Attend Webinar",
    "Lead attended a webinar",
    ActivityAttribute("Webinar", "string", "webinar"),
    (ActivityAttribute("Minutes", "integer", "minutes"),),
    "attendWebinar_c",
)
MARKETO = EmulatorOptions(
    custom_activity_types=(WEBINAR,),
    live_activities_per_minute=20.0,
    # Marketo takes minutes for an export job, and looks at it once a minute.
    export_seconds=1.0,
    export_refresh_seconds=0.5,
    custom_objects=load_custom_objects(CUSTOM_OBJECTS),
)


@dataclass(frozen=True)
class Balance:
    """Activities of the chosen types since the week began, up to the watermarks."""

    committed: int
    """By Marketo's own state."""
    of_week: int
    """In the warehouse, of the days backfilled."""
    of_today: int
    late_missing: int
    """Late ones that the second load did not bring."""

    @property
    def stored(self) -> int:
        """In the warehouse."""
        return self.of_week + self.of_today

    @property
    def adds_up(self) -> bool:
        """Whether nothing is missing and nothing too much."""
        return self.committed == self.stored and not self.late_missing


class ExtractDemo:
    """A week, a late arrival and two looks at today."""

    def __init__(self, dagster: DagsterApi, warehouse: Warehouse, client: MarketoClient, marketo_state: Path) -> None:
        """`marketo_state`: the local Marketo's file. The week ends yesterday (UTC)."""
        self._dagster = dagster
        self._warehouse = warehouse
        self._client = client
        self._marketo_state = marketo_state
        self._since = datetime.now(UTC).replace(tzinfo=None)
        self._today = self._since.date()
        self._days = [self._today - timedelta(days=number) for number in range(DAYS, 0, -1)]
        self._late_day = self._today - timedelta(days=LATE_DAYS)
        self._late_guids: tuple[str, ...] = ()
        self._last_poll = ""
        self._is_today_read = False

    def week(self, progress: Progress) -> Steps:
        """Backfill it; then some activities of an earlier day arrive, and that day is loaded once more."""
        task = progress.add_task(f"marketo/activities: {DAYS} days, by the backfill daemon", total=DAYS)
        keys = [day.isoformat() for day in self._days]
        backfill_id = self._dagster.launch_backfill(ACTIVITIES, ACTIVITY_LEADS, partitions=keys)
        while not (runs := self._dagster.runs_of_backfill(backfill_id)):
            yield
        for run_id in runs:  # not the backfill itself: the daemon looks at it every 30 seconds only
            yield from self._dagster.finished(run_id)
        progress.update(task, completed=DAYS)
        while not self._is_today_read:  # a poll would find late ones as well: they are at the end of the stream
            yield
        task = progress.add_task(f"marketo/activities: late ones of {self._late_day}, a second load", total=1)
        self._commit_late()
        yield from self._dagster.finished(self._dagster.launch(ACTIVITIES, partition=self._late_day.isoformat()))
        progress.update(task, completed=1)

    def today(self, progress: Progress) -> Steps:
        """Read it with Marketo's model, and read what has come since."""
        task = progress.add_task("marketo/activities: today, polled twice; types, fields, deleted leads", total=2)
        for assets in ((ACTIVITIES, *MODEL), (ACTIVITIES,)):
            # Tagged, so that the schedule leaves out its own poll meanwhile.
            run_id = self._dagster.launch(*assets, partition=self._today.isoformat(), tags={POLL_TAG: "yes"})
            self._last_poll = run_id
            yield from self._dagster.finished(run_id)
            progress.advance(task)
        self._is_today_read = True

    def balance(self) -> Balance:
        """Compare the warehouse with what Marketo itself has committed."""
        # The watermarks first: rows that come meanwhile lie beyond them.
        marks = self._warehouse.rows(
            "select stream, token from SYNC_WATERMARKS where stream like 'activities/%%' and moved_at >= %(since)s",
            since=self._since,
        )
        first, today = midnight(self._days[0]), midnight(self._today)
        committed = of_week = of_today = 0
        for mark in marks:
            types, position = tuple(map(int, mark["stream"].split("/")[1].split(","))), position_in(mark["token"])
            committed += count_committed(self._marketo_state, types, int(first.timestamp()), position)
            (stored,) = self._warehouse.rows(
                "select count_if(activity_date < %(today)s) as of_week,"
                " count_if(activity_date >= %(today)s) as of_today from ACTIVITIES"
                " where activity_type_id in (%(types)s) and activity_date >= %(first)s"
                " and to_number(marketo_guid) < %(position)s",
                types=types,
                first=first.replace(tzinfo=None),
                today=today.replace(tzinfo=None),
                position=position,
            )
            of_week += stored["of_week"]
            of_today += stored["of_today"]
        arrived = self._count("ACTIVITIES where marketo_guid in (%(guids)s)", guids=self._late_guids)
        return Balance(committed, of_week, of_today, len(self._late_guids) - arrived)

    def check(self, balance: Balance) -> None:
        """Raise DemoError unless it adds up."""
        if not balance.adds_up:
            raise DemoError(
                f"Marketo has committed {balance.committed} activities, the warehouse holds {balance.stored};"
                f" {balance.late_missing} of {len(self._late_guids)} late ones are missing"
            )

    def table(self, balance: Balance, materialized: Sequence[Materialization]) -> Table:
        """What became of the activities."""
        loads = "ACTIVITY_LOADS where loaded_at >= %(since)s and day"
        routes = self._warehouse.rows(
            f"select route, count(distinct day) as n from {loads} in (%(days)s) and is_complete group by 1 order by 1",
            since=self._since,
            days=tuple(self._days),
        )
        late = self._sum("rows_late", f"{loads} = %(day)s", day=self._late_day)
        jobs = "EXPORT_JOBS where state = 'loaded' and closed_at >= %(since)s"
        looked_up = "ACTIVITY_LEADS where read_at >= %(since)s"
        new = next(each.numbers["rows_new"] for each in materialized if each.run_id == self._last_poll)
        table = Table("", "", title="What became of the activities")
        table.columns[1].justify = "right"
        table.add_row("days backfilled", f"{self._days[0]} to {self._days[-1]}")
        for row in routes:
            table.add_row(f"  by {row['route']}", f"{row['n']} days")
        table.add_row("  activities", f"{balance.of_week:,}")
        table.add_row("today by rest, activities", f"{balance.of_today:,}")
        table.add_row("  new at the second poll", f"{new:,}")
        table.add_row("in the warehouse, up to the watermark", f"{balance.stored:,}")
        table.add_row("committed by Marketo, up to the watermark", f"{balance.committed:,}", end_section=True)
        table.add_row(f"committed for {self._late_day} after it was loaded", f"{len(self._late_guids):,}")
        table.add_row("  found by its second load", f"{late:,}", end_section=True)
        table.add_row("leads looked up", f"{self._count(looked_up, since=self._since):,}")
        table.add_row("export jobs", f"{self._count(jobs, since=self._since):,}")
        table.add_row("megabytes of the day's 500", f"{self._sum('byte_count', jobs) / 1_000_000:.1f}")
        table.add_row("API calls", f"{api_calls(materialized, 'marketo'):,}")
        return table

    def _commit_late(self) -> None:
        """Have Marketo told today of what happened days ago, as others do: by Add Custom Activities."""
        at = (midnight(self._late_day) + timedelta(hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [
            {
                "leadId": lead_id,
                "activityDate": at,
                "activityTypeId": WEBINAR.id,
                "primaryAttributeValue": "Spring",
                "attributes": [{"name": "Minutes", "value": 10 * lead_id}],
            }
            for lead_id in range(1, LATE_ACTIVITIES + 1)
        ]
        path = "/rest/v1/activities/external.json"
        envelope = self._client.request("POST", path, json_body=orjson.dumps({"input": rows}))
        self._late_guids = tuple(row["marketoGUID"] for row in envelope.result)

    def _count(self, rows: str, **values: object) -> int:
        return int(self._warehouse.rows(f"select count(*) as n from {rows}", **values)[0]["n"])

    def _sum(self, column: str, rows: str, **values: object) -> int:
        sql = f"select coalesce(sum({column}), 0) as n from {rows}"
        return int(self._warehouse.rows(sql, since=self._since, **values)[0]["n"])
