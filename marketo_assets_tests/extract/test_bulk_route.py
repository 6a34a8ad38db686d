"""Days by bulk extract, and all that can happen to a job and its file.

Guards against: rows lost or changed on the way through a file, a file believed that is not the job's, jobs made twice,
jobs that block their days for ever, and a run that gives up where waiting helps.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from marketo_assets.extract.bulk_route import EXPORT_SECONDS, KEPT_SECONDS
from marketo_assets.marketo.bulk_extract import create_export, enqueue_export
from marketo_assets.sandbox.marketo import EmulatorOptions
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import CLICK, ExtractWorld

DAY = "2026-02-28"
CREATE = "POST /bulk/v1/activities/export/create.json"
ENQUEUE = "POST /bulk/v1/activities/export/*/enqueue.json"
FILE = "GET /bulk/v1/activities/export/*/file.json"
BAD_TEXTS = [
    "null",
    "NULL",
    "\x00",
    "a\x00b",
    "line\nbreak",
    "carriage\rreturn",
    "both\r\n",
    "\u2028\u2029\u0085\x0b\x0c\x1c",
    'one " quote',
    'a,"b",c',
    '"',
    "\\N",
    " blanks ",
    "ümläut 😀",
    "{}",
]


@pytest.fixture(autouse=True)
def by_bulk(world: ExtractWorld) -> None:
    world.configure(("route: auto", "route: bulk"))


def jobs(world: ExtractWorld) -> list[str]:
    """The states of all jobs, the oldest first."""
    return [row["state"] for row in world.rows("select state from EXPORT_JOBS order by created_at, export_id")]


def leftovers(world: ExtractWorld) -> list[str]:
    return [path.name for path in world.marketo.folder.iterdir() if path.suffix == ".csv"]


def bad_values(world: ExtractWorld) -> list[dict[str, Any]]:
    return [
        {
            "marketo_guid": world.activity(f"{DAY}T10:00:00", CLICK, primary=text, attributes={"Query": text, "n": 1}),
            "primary_attribute_value": text,
            "attributes": {"Query": text, "n": 1},
        }
        for text in BAD_TEXTS
    ]


def stored(world: ExtractWorld) -> list[dict[str, Any]]:
    rows = world.rows("select marketo_guid, primary_attribute_value, attributes from ACTIVITIES order by loaded_at, 1")
    return [{**row, "attributes": orjson.loads(row["attributes"])} for row in rows]


def by_guid(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: int(row["marketo_guid"]))


@pytest.mark.parametrize("quotes", [False, True], ids=["doubled quotes", "lone quotes"])
def test_values_arrive_as_they_are_in_marketo(world: ExtractWorld, *, quotes: bool) -> None:
    expected = bad_values(world)
    if quotes:
        world.misbehave(Fault(ENQUEUE, "lone_quotes", every=1))
    result = world.load(DAY)
    assert result.success, world.failure(result)
    found = by_guid(stored(world))
    # The file does not tell the text null from no value.
    for row in expected:
        if row["primary_attribute_value"] == "null":
            row["primary_attribute_value"] = None
    assert found == expected


@pytest.mark.parametrize(
    ("faults", "made"),
    [
        ([Fault(FILE, "cut_file", after_bytes=300, first=2)], 1),
        ([Fault(FILE, "file_missing", first=3)], 1),
        ([Fault(FILE, "wrong_file", first=1)], 1),
        ([Fault(FILE, "wrong_file", first=2)], 2),
        ([Fault(FILE, "error", code="606", first=1)], 1),
        ([Fault(FILE, "error", code="602", first=1)], 1),
        ([Fault(FILE, "http_502", first=2)], 1),
        ([Fault(ENQUEUE, "wrong_count", first=1)], 2),
        ([Fault(ENQUEUE, "job_fails", first=2)], 3),
        ([Fault(ENQUEUE, "job_cancelled", first=1)], 2),
        ([Fault(ENQUEUE, "job_lingers", seconds=1_000, first=1)], 1),
        ([Fault(ENQUEUE, "reset_after_write", first=1)], 1),
        ([Fault(ENQUEUE, "error", code="1029", message="Too many jobs in queue", first=3)], 1),
        ([Fault(ENQUEUE, "error", code="1029", message="Job already queued", first=1, after_write=True)], 1),
        ([Fault(CREATE, "error", code="1029", message="Too many jobs in queue", first=3)], 1),
    ],
    ids=lambda value: "-".join(f"{fault.kind}{fault.code or ''}" for fault in value) if isinstance(value, list) else "",
)
def test_what_befalls_a_job_or_its_file_costs_time_and_no_row(
    world: ExtractWorld, faults: Sequence[Fault], made: int
) -> None:
    guids = [world.activity(f"{DAY}T{hour:02}:00:00") for hour in range(20)]
    world.misbehave(*faults)
    result = world.load(DAY)
    assert result.success, world.failure(result)
    assert world.guids() == sorted(guids)
    assert jobs(world) == ["abandoned"] * (made - 1) + ["loaded"]
    told = world.metadata(result)[DAY]
    assert (told["rows_read"], told["rows_new"], told["rows_late"]) == (20, 20, 0)
    assert world.checks(result)["rows_read_are_rows_stored"]
    assert leftovers(world) == []


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(cancelled_export="Canceled")])
def test_a_cancelled_job_is_one_in_the_other_spelling_too(world: ExtractWorld) -> None:
    guid = world.activity(f"{DAY}T10:00:00")
    world.misbehave(Fault(ENQUEUE, "job_cancelled", first=1))
    assert world.load(DAY).success
    assert (world.guids(), jobs(world)) == ([guid], ["abandoned", "loaded"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(ENQUEUE, "job_fails", every=1), "Failed"),
        (Fault(ENQUEUE, "wrong_count", every=1), "its job said 2"),
        (Fault(FILE, "file_missing", every=1), "404"),
        (Fault(FILE, "wrong_file", every=1), "SHA-256"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_what_fails_every_time_is_told_and_the_next_run_starts_afresh(
    world: ExtractWorld, fault: Fault, words: str
) -> None:
    guid = world.activity(f"{DAY}T10:00:00")
    world.misbehave(fault)
    assert words in world.failure(world.load(DAY))
    assert set(jobs(world)) == {"abandoned"}
    assert (world.materialized(), leftovers(world)) == (set(), [])
    world.misbehave()
    assert world.load(DAY).success
    assert (world.guids(), world.materialized()) == ([guid], {DAY})


def test_a_job_that_does_not_end_is_kept_found_again_and_given_up_after_a_day(world: ExtractWorld) -> None:
    guid = world.activity(f"{DAY}T10:00:00")
    world.misbehave(Fault(ENQUEUE, "job_never_ends", first=1))
    started = world.clock.now()
    assert "Processing after 6 hours; it is kept" in world.failure(world.load(DAY))
    assert EXPORT_SECONDS <= world.clock.now() - started < EXPORT_SECONDS + 200
    assert jobs(world) == ["open"]
    assert "Processing after 6 hours; it is kept" in world.failure(world.load(DAY))
    assert jobs(world) == ["open"], "the job was found, and no other made"
    world.clock.advance(KEPT_SECONDS)
    assert world.load(DAY).success
    assert (world.guids(), jobs(world)) == ([guid], ["abandoned", "loaded"])
    assert world.emulator._instance.store.busy_export_count(world.clock.now()) == 0, "it gave its place back"


def test_a_file_that_waited_for_more_than_a_day_is_made_anew_for_what_came_since(world: ExtractWorld) -> None:
    guids = [world.activity(f"{DAY}T10:00:00")]
    world.misbehave(Fault(FILE, "error", code="610", every=1))
    assert "610" in world.failure(world.load(DAY))
    assert jobs(world) == ["open"]
    guids.append(world.activity(f"{DAY}T11:00:00"))
    world.misbehave()
    world.clock.advance(KEPT_SECONDS + 60)
    assert world.load(DAY).success
    assert (world.guids(), jobs(world), leftovers(world)) == (guids, ["abandoned", "loaded"], [])


def test_one_bad_job_of_several_does_not_hold_up_the_others(world: ExtractWorld) -> None:
    guids = [world.activity(f"{day}T10:00:00") for day in ("2026-01-01", "2026-02-01")]
    world.misbehave(Fault(ENQUEUE, "job_never_ends", first=1))
    assert "it is kept" in world.failure(world.load("2026-01-01", "2026-02-02"))
    assert world.materialized() == {"2026-02-01", "2026-02-02"}
    assert (world.guids(), sorted(jobs(world))) == (guids[1:], ["loaded", "open"])


def test_a_queue_that_others_fill_is_waited_for(world: ExtractWorld) -> None:
    guid = world.activity(f"{DAY}T10:00:00")
    with world.marketo.client() as client:
        body = {
            "format": "CSV",
            "filter": {"createdAt": {"startAt": "2026-01-01T00:00:00Z", "endAt": "2026-01-02T00:00:00Z"}},
        }
        for _ in range(10):
            enqueue_export(client, "activities", create_export(client, "activities", body).export_id)
    result = world.load(DAY)
    assert result.success, world.failure(result)
    assert (world.guids(), jobs(world)) == ([guid], ["loaded"])


def test_thirty_days_are_a_handful_of_calls(world: ExtractWorld) -> None:
    world.emulator.fill_activities(3_000, 50)
    calls = world.emulator.calls()
    result = world.load("2026-01-11", "2026-02-09")
    assert result.success, world.failure(result)
    assert world.emulator.calls() - calls <= 40
    assert world.rows("select sum(rows_read) as n from ACTIVITY_LOADS")[0]["n"] > 0
