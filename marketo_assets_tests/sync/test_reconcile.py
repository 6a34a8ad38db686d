"""The mirror against all of Marketo's leads.

Guards against: a mirror that lacks a lead or holds a value that Marketo has not, drift that nobody is told of, changes
taken for drift, a lead given up that is there, one brought back that is not, and quota spent twice.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from marketo_assets.extract.store import Watermark
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import MarketoError, QuotaExhaustedError
from marketo_assets.sandbox.marketo import Emulator
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets.sync.reconcile import Reconciled
from marketo_assets.warehouse.session import Warehouse
from marketo_assets_tests.sync.reconcile_world import CREATE, SYNC_START, ReconcileWorld, emptied, opened_database

ENQUEUE = "POST /bulk/v1/leads/export/*/enqueue.json"
FILE = "GET /bulk/v1/leads/export/*/file.json"
TEXTS = [
    "two\nlines",
    "carriage\rreturn",
    "1,2026-01-01T00:00:00Z\n2,b",
    'one " quote',
    'a,"b",c',
    '"',
    ",",
    "a\x00b",
    "NULL",
    " blanks ",
    "ümläut 😀",
    "\u2028\x85\x0b",
]


@pytest.fixture(scope="module")
def database(snowflake_port: int) -> Iterator[Warehouse]:
    with opened_database(snowflake_port) as warehouse:
        yield warehouse


@pytest.fixture
def world(database: Warehouse, marketo: Emulator, marketo_clock: VirtualClock, tmp_path: Path) -> ReconcileWorld:
    return ReconcileWorld(emptied(database), marketo, marketo_clock, tmp_path)


@pytest.fixture
def ids(world: ReconcileWorld) -> list[int]:
    """Three leads, mirrored: Ada, Bob and Cy."""
    found = [world.lead(f"{name.lower()}@example.com", firstName=name) for name in ("Ada", "Bob", "Cy")]
    world.reconcile()
    return found


def lead_a_month(world: ReconcileWorld, months: int) -> None:
    """Leads in as many windows, counted from now."""
    world.configure((SYNC_START, "start: 2026-03-02"))
    for n in range(months):
        world.lead(f"{n}@example.com", firstName=str(n))
        world.clock.advance(31 * 86_400 if n < months - 1 else 60)


def done(found: Reconciled) -> Reconciled:
    """Without what a run costs."""
    return replace(found, jobs=0, byte_count=0)


def test_a_first_fill_brings_every_lead_with_every_value_and_a_second_run_writes_nothing(world: ReconcileWorld) -> None:
    ids = [world.lead(f"{n}@example.com", firstName=text, leadScore=n) for n, text in enumerate(TEXTS)]
    assert world.needs() == "it was never filled"
    found = world.reconcile()
    # One text looks like the end of one record and the beginning of another: that lead is read by its id.
    assert done(found) == Reconciled(is_first=True, exported=len(ids), inserted=len(ids), read_by_id=2)
    assert world.mirrored() == world.in_marketo()
    assert (world.needs(), found.differing, world.leftovers()) == (None, 0, [])
    before = world.rows("select * from LEADS order by lead_id")
    assert done(world.reconcile(is_told=False)) == Reconciled(exported=len(ids), read_by_id=2)
    assert world.rows("select * from LEADS order by lead_id") == before


def test_what_the_feed_did_not_tell_is_repaired_and_named(world: ReconcileWorld, ids: list[int]) -> None:
    world.change(ids[0], firstName="Augusta", leadScore=5)
    world.change(ids[1], leadScore=7)
    late = world.lead("late@example.com")
    found = world.reconcile(is_told=False)
    expected = Reconciled(exported=4, inserted=1, repaired=2, drift=Counter(leadScore=2, firstName=1))
    assert (done(found), found.differing) == (expected, 3)
    assert world.mirrored() == world.in_marketo()
    (row,) = world.rows("select field_times from LEADS where lead_id = %(id)s", id=ids[0])
    assert "firstName" in row["field_times"]
    assert "email" not in row["field_times"]
    assert late in world.mirrored()
    # The feed tells of it all in the end, and nothing is undone.
    world.feed()
    assert world.mirrored() == world.in_marketo()
    assert world.reconcile().differing == 0


def test_what_the_feed_is_about_to_tell_is_no_drift(world: ReconcileWorld, ids: list[int]) -> None:
    world.change(ids[0], firstName="Augusta")
    world.delete(ids[1])
    world.lead("new@example.com")
    found = world.reconcile()
    assert (done(found), found.differing) == (Reconciled(exported=3), 0)
    assert world.mirrored() == world.in_marketo()


def test_what_happens_while_the_job_runs_is_left_to_the_feed(world: ReconcileWorld, ids: list[int]) -> None:
    def happens() -> None:
        world.change(ids[0], firstName="Augusta")
        world.delete(ids[1])
        world.merge(ids[0], ids[2])
        world.lead("new@example.com")

    world.before_file = happens
    found = world.reconcile()
    assert (done(found), found.differing) == (Reconciled(exported=3, changed_since=3), 0)
    assert world.mirrored() == world.in_marketo()
    (mark,) = world.rows("select read_until from SYNC_WATERMARKS where stream = 'mirror'")
    world.feed()
    assert world.mirrored() == world.in_marketo()
    assert world.needs() is None, mark


def test_a_lead_that_ended_while_the_first_fill_ran_is_not_brought_to_life(world: ReconcileWorld) -> None:
    kept, deleted, loser = [world.lead(f"{n}@example.com") for n in range(3)]

    def happens() -> None:
        world.delete(deleted)
        world.merge(kept, loser)
        world.feed()

    world.before_file = happens
    world.reconcile()
    assert world.live() == {kept}


def test_leads_that_marketo_no_longer_has_are_treated_as_configured(world: ReconcileWorld, ids: list[int]) -> None:
    def found_gone(deletes: str) -> int:
        world.configure(("deletes: flag", f"deletes: {deletes}"))
        found = world.reconcile(is_told=False)
        assert found.gone == found.differing
        return found.gone

    world.delete(ids[0])
    assert (found_gone("ignore"), world.live()) == (0, {*ids})
    assert (found_gone("delete"), world.live()) == (1, {*ids[1:]})
    world.merge(ids[1], ids[2])
    assert (found_gone("flag"), world.live()) == (1, {ids[1]})
    (mark,) = world.rows("select read_until as at from SYNC_WATERMARKS where stream = 'mirror'")
    rows = world.rows("select lead_id, deleted_at as at from LEADS where deleted_at is not null")
    assert rows == [{"lead_id": ids[2], **mark}], "as of the start of the reconciliation"
    assert found_gone("flag") == 0


def test_a_lead_that_is_live_in_marketo_lives_again(world: ReconcileWorld, ids: list[int]) -> None:
    world.warehouse.execute(
        f"update LEADS set deleted_at = '2026-03-02 12:00:00'::timestamp_ntz where lead_id = {ids[0]}"
    )
    # As the feed leaves the loser of a merge that it had never heard of before.
    world.warehouse.execute(
        f"update LEADS set merged_into = {ids[2]}, fields = parse_json('{{}}') where lead_id = {ids[1]}"
    )
    found = world.reconcile(is_told=False)
    assert (done(found), found.differing) == (Reconciled(exported=3, revived=2), 2)
    assert world.mirrored() == world.in_marketo()


def test_a_lead_of_before_the_start_is_not_given_up(world: ReconcileWorld, ids: list[int]) -> None:
    world.configure((SYNC_START, "start: 2026-03-03"))
    world.clock.advance(86_400)
    world.change(ids[0], firstName="Augusta")
    found = world.reconcile(is_told=False)
    assert done(found) == Reconciled(exported=0, repaired=1, drift=Counter(firstName=1), read_by_id=3)
    assert world.mirrored() == world.in_marketo()


def test_a_field_added_is_filled_in_and_is_no_drift(world: ReconcileWorld, ids: list[int]) -> None:
    world.change(ids[0], title="Countess")
    world.feed()
    world.configure(("[leadScore]", "[leadScore, title]"))
    assert world.needs() == "fields were added since it was last reconciled: title"
    world.before_file = lambda: world.change(ids[1], firstName="Robert")
    found = world.reconcile()
    assert (done(found), found.differing) == (Reconciled(exported=3, completed=3), 0)
    assert world.mirrored() == world.in_marketo()
    assert world.needs() is None


def test_what_befalls_jobs_and_files_costs_time_and_no_lead(world: ReconcileWorld) -> None:
    lead_a_month(world, 2)
    world.misbehave(
        Fault(ENQUEUE, "wrong_count", first=1),
        Fault(FILE, "file_missing", first=1),
        Fault(FILE, "wrong_file", first=2),
        Fault("GET /bulk/*", "error", code="602", every=3),
    )
    found = world.reconcile()
    assert (found.exported, found.inserted, world.jobs_made()) == (2, 2, 3)
    assert world.mirrored() == world.in_marketo()
    assert world.leftovers() == []


def test_what_quotes_make_unreadable_is_read_by_id(world: ReconcileWorld, ids: list[int]) -> None:
    world.change(ids[0], firstName='one " quote', leadScore=3)
    world.misbehave(Fault(ENQUEUE, "lone_quotes", every=1))
    found = world.reconcile(is_told=False)
    assert done(found) == Reconciled(exported=3, repaired=1, read_by_id=1, drift=Counter(leadScore=1, firstName=1))
    assert world.mirrored() == world.in_marketo()


def test_a_used_up_quota_keeps_what_is_done_and_the_next_day_goes_on_from_there(world: ReconcileWorld) -> None:
    lead_a_month(world, 4)
    world.misbehave(Fault(CREATE, "error", code="1029", message="Export daily quota 500MB exceeded", every=3))
    with pytest.raises(QuotaExhaustedError):
        world.reconcile()
    assert len(world.mirrored()) == 2
    assert (world.needs(), world.jobs_made(), world.leftovers()) == ("it was never filled", 3, [])
    (began,) = world.rows("select min(created_at) as at from EXPORT_JOBS")
    world.misbehave()
    world.clock.advance(86_400)
    found = world.reconcile()
    assert (found.exported, found.inserted, found.jobs) == (4, 2, 4)
    assert world.rows("select distinct state from EXPORT_JOBS") == [{"state": "compared"}]
    assert world.jobs_made() == 3 + 2, "two files were found again"
    assert world.mirrored() == world.in_marketo()
    (mark,) = world.rows("select read_until from SYNC_WATERMARKS where stream = 'mirror'")
    assert abs((mark["read_until"] - began["at"]).total_seconds()) < 60, "as old as the oldest file"


def test_a_killed_run_is_run_again(world: ReconcileWorld) -> None:
    lead_id = world.lead("ada@example.com", firstName="Ada")

    def is_killed() -> None:
        raise KeyboardInterrupt

    world.before_file = is_killed
    with pytest.raises(KeyboardInterrupt):
        world.reconcile()
    world.feed()
    world.change(lead_id, firstName="Augusta")
    world.feed()
    assert world.reconcile().jobs == 1
    assert world.jobs_made() == 1, "the job was found again"
    assert world.mirrored() == world.in_marketo(), "and did not undo what was told since"
    assert world.needs() is None


def test_jobs_that_are_of_no_use_are_not_used(world: ReconcileWorld) -> None:
    def is_stopped() -> None:
        with pytest.raises(MarketoError, match="610"):
            world.reconcile()
        assert world.needs() == "it was never filled"

    world.lead("ada@example.com", title="Countess")
    world.misbehave(Fault(FILE, "error", code="610", every=1))
    is_stopped()
    world.configure(("[leadScore]", "[leadScore, title]"))
    is_stopped()
    world.clock.advance(86_400)
    is_stopped()
    world.clock.advance(7_200)
    world.feed()
    world.misbehave()
    world.reconcile()
    jobs = world.rows("select state, reason from EXPORT_JOBS order by created_at")
    reasons = ["the fields have changed", "its window has changed", "it is older than the feed"]
    assert jobs == [
        *({"state": "abandoned", "reason": reason} for reason in reasons),
        {"state": "compared", "reason": None},
    ]
    assert (world.mirrored(), world.leftovers()) == (world.in_marketo(), [])


def test_why_a_mirror_needs_a_reconciliation(world: ReconcileWorld) -> None:
    store = world.store()

    def mark(stream: str, day: int, token: str = "") -> None:
        store.move_watermark(stream, Watermark(token, datetime(2026, 3, day, tzinfo=UTC)))

    mark("continuous", 1)
    assert world.needs() == "it was never filled"
    mark("mirror", 2, "cDBIsPaidTier,email,firstName,gone")
    assert world.needs() == "fields were added since it was last reconciled: externalCompanyId, leadScore"
    mark("mirror", 2, ",".join(world.fields.names))
    assert world.needs() is None
    mark("continuous", 3)
    assert world.needs() == "the feed has a gap since it was last reconciled"
