"""The open day, followed from its watermark.

Guards against: a watermark that moves without its rows, activities lost between two polls, over midnight, after days
without a poll or with a token that went bad, and polls that cost calls where there is nothing new.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from marketo_assets.extract import tail
from marketo_assets.extract.store import ActivityStore
from marketo_assets.sandbox.marketo import EmulatorOptions
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import CLICK, SEND, VISIT, ExtractWorld

PAGES = "GET /rest/v1/activities.json"
TODAY = "2026-03-02"


def watermarks(world: ExtractWorld) -> list[str]:
    rows = world.rows("select read_until from SYNC_WATERMARKS order by stream")
    return [row["read_until"].isoformat() for row in rows]


def add(world: ExtractWorld, count: int, at: str, type_id: int = VISIT) -> list[str]:
    seconds = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    return list(map(str, world.emulator.add_activities(type_id, range(1, count + 1), seconds)))


def test_today_grows_poll_by_poll_and_late_arrivals_of_loaded_days_come_with_it(world: ExtractWorld) -> None:
    yesterday = world.activity("2026-03-01T10:00:00")
    assert world.load("2026-03-01").success
    first = world.activity("2026-03-02T00:00:00")
    told = world.metadata(world.load(TODAY))
    assert told[TODAY]["rows_new"] == 1
    assert world.guids() == [yesterday, first]
    world.clock.advance(300)
    second, late = world.activity("2026-03-02T12:04:00"), world.activity("2026-03-01T23:59:59")
    polled = world.load(TODAY)
    told = world.metadata(polled)
    assert (told[TODAY]["rows_new"], told[TODAY]["rows_late"]) == (1, 0)
    assert told[TODAY]["dagster/partition_row_count"] == 2, "what the partition holds, not what the poll brought"
    assert (told[TODAY]["rows_late_in_run"], told[TODAY]["rows_new_of_other_days"]) == (1, 1)
    assert world.guids() == sorted([yesterday, first, second, late])
    assert world.materialized() == {"2026-03-01", TODAY}
    loads = world.rows("select day, rows_late from ACTIVITY_LOADS where rows_late > 0")
    assert loads == [{"day": date(2026, 3, 1), "rows_late": 1}]


def test_an_idle_poll_costs_at_most_two_calls(world: ExtractWorld) -> None:
    assert world.materialize("activity_types").success
    world.activity("2026-03-02T11:00:00")
    assert world.load(TODAY).success
    for seconds, most in ((300, 1), (900, 2)):
        world.clock.advance(seconds)
        calls = world.emulator.calls()
        told = world.metadata(world.load(TODAY))
        assert (told[TODAY]["rows_read"], told[TODAY]["dagster/partition_row_count"]) == (0, 1)
        assert 1 <= world.emulator.calls() - calls <= most


def test_midnight_and_days_without_a_poll_lose_nothing(world: ExtractWorld) -> None:
    assert world.load(TODAY).success
    guids = []
    for at in ("2026-03-02T23:59:59", "2026-03-03T00:00:00", "2026-03-04T12:00:00", "2026-03-05T00:00:01"):
        world.go_to(at)
        guids.append(world.activity(at, CLICK))
    result = world.load("2026-03-05")
    told = world.metadata(result)
    assert told["2026-03-05"]["rows_new"] == 1
    assert told["2026-03-05"]["rows_new_of_other_days"] == 3
    assert world.guids() == sorted(guids)
    # Followed is not read from end to end: the days between stay open for the look back.
    assert world.rows("select day from ACTIVITY_LOADS where is_complete") == []
    assert world.materialized() == {TODAY, "2026-03-05"}


def test_a_poll_that_starts_after_its_midnight_loads_the_day_as_a_closed_one(world: ExtractWorld) -> None:
    guid = world.activity("2026-03-02T11:00:00")
    world.go_to("2026-03-03T00:00:05")
    told = world.metadata(world.load(TODAY))
    assert (world.guids(), told[TODAY]["rows_new"]) == ([guid], 1)
    assert [row["day"] for row in world.rows("select day from ACTIVITY_LOADS where is_complete")] == [date(2026, 3, 2)]


def test_another_choice_of_types_starts_with_the_day_and_doubles_nothing(world: ExtractWorld) -> None:
    guids = [world.activity("2026-03-02T09:00:00"), world.activity("2026-03-02T09:00:00", 2)]
    assert world.load(TODAY).success
    assert world.guids() == guids[:1]
    world.configure(("types: [Visit Webpage", "types: [Fill Out Form, Visit Webpage"))
    told = world.metadata(world.load(TODAY))
    assert (world.guids(), told[TODAY]["rows_new"]) == (guids, 1)


def test_more_types_than_a_call_takes_are_followed_group_by_group(world: ExtractWorld) -> None:
    world.configure(("types: [Visit Webpage, Click Link, Send Email, New Lead, Delete Lead]", "types: all"))
    guids = [world.activity("2026-03-02T09:00:00", type_id) for type_id in (1, 12, 24, 46)]
    for _ in range(2):
        assert world.load(TODAY).success
        assert world.guids() == sorted(guids)
        guids += [world.activity("2026-03-02T12:00:00", type_id) for type_id in (2, 13)]
    assert len(watermarks(world)) > 1


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(paging_token_seconds=3_600)])
def test_a_token_that_is_too_old_is_replaced_by_one_of_the_stored_time(world: ExtractWorld) -> None:
    guids = [world.activity("2026-03-02T09:00:00")]
    assert world.load(TODAY).success
    guids.append(world.activity("2026-03-02T12:00:00"))
    world.go_to("2026-03-04T15:00:00")
    guids.append(world.activity("2026-03-03T18:00:00"))
    assert world.load("2026-03-04").success
    assert world.guids() == guids
    assert watermarks(world) == ["2026-03-04T15:00:00"]


@dataclass
class Poll:
    """A reading of the stream of visits, without Dagster, whose store fails at will."""

    world: ExtractWorld
    transactions: int = 0
    fails_at: int = 0

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self.transactions += 1
        if self.transactions == self.fails_at:
            raise KeyboardInterrupt
        yield

    def read(self) -> int:
        with ExitStack() as stack:
            client = stack.enter_context(self.world.marketo.client())
            store = ActivityStore(self.world.warehouse, "poll", self.world.clock)
            store.create_tables()
            return tail.read_tail(client, store, [VISIT, SEND], date(2026, 3, 2), self.exclusive).read.total()


@pytest.fixture
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a stream of many times 20,000."""
    monkeypatch.setattr(tail, "ROWS_AT_ONCE", 300)


@pytest.mark.usefixtures("small_transactions")
def test_the_watermark_moves_with_its_rows_alone(world: ExtractWorld) -> None:
    guids = add(world, 1_000, "2026-03-02T09:00:00")
    killed = Poll(world, fails_at=3)
    with pytest.raises(KeyboardInterrupt):
        killed.read()
    assert world.guids() == sorted(guids[:600])
    assert Poll(world).read() == 400
    assert world.guids() == sorted(guids)


@pytest.mark.usefixtures("small_transactions")
def test_a_token_that_goes_bad_after_a_kill_in_the_middle_loses_nothing(world: ExtractWorld) -> None:
    assert Poll(world).read() == 0
    # Three days without a poll, then a kill halfway through what came in them.
    guids = add(world, 700, "2026-03-02T12:00:00")
    world.go_to("2026-03-05T12:00:00")
    with pytest.raises(KeyboardInterrupt):
        Poll(world, fails_at=2).read()
    assert watermarks(world) == ["2026-03-02T12:00:00"], "what is read until noon of today is not read yet"
    world.misbehave(Fault(PAGES, "error", code="1003", first=1))
    Poll(world).read()
    assert world.guids() == sorted(guids)
    assert watermarks(world) == ["2026-03-05T12:00:00"]


def test_a_fresh_token_that_is_refused_as_well_is_an_error_and_nothing_moves(world: ExtractWorld) -> None:
    assert world.load(TODAY).success
    before = world.rows("select * from SYNC_WATERMARKS")
    world.clock.advance(300)
    guid = world.activity("2026-03-02T12:01:00")
    world.misbehave(Fault(PAGES, "error", code="1003", every=1))
    assert "1003" in world.failure(world.load(TODAY))
    assert world.rows("select * from SYNC_WATERMARKS") == before
    world.misbehave()
    assert world.load(TODAY).success
    assert world.guids() == [guid]
