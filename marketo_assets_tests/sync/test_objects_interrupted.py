"""Cycles that end before their time: killed between Marketo's answer and our record, out of quota, cut off.

Guards against: a record that Marketo has and we do not know of, values that stay in Marketo although the warehouse has
gone back to others, records that are deleted and believed to be there, work that is forgotten when something fails
later, and copies of data left behind.
"""

from typing import Any

import pytest

from marketo_assets.marketo.errors import QuotaExhaustedError, RequestError
from marketo_assets.sandbox.marketo import Fault
from marketo_assets.sync.objects_ledger import ObjectLedger
from marketo_assets_tests.sync.objects_world import (
    COURSES,
    ObjectsWorld,
    failed_checks,
    objects_world,  # noqa: F401 - a fixture
    outcome,
)

UPSERT, DELETE = "POST /rest/v1/customobjects/course_c.json", "POST /rest/v1/customobjects/course_c/delete.json"


class KilledError(BaseException):
    """As far as the tables can tell, the process is gone."""


class LastLedger(ObjectLedger):
    """Its process does not outlive Marketo's first answer."""

    def record(self, *_: Any) -> None:
        raise KilledError


@pytest.fixture
def courses(world: ObjectsWorld) -> ObjectsWorld:
    """Two courses in step; any share of them may be deleted."""
    world.configure(("title: title}", "title: title}\n      max_delete_share: 1"))
    world.put("COURSES", ("X", "Latin"), ("Y", "Greek"))
    world.sync(COURSES)
    return world


def killed(world: ObjectsWorld) -> None:
    with pytest.raises(KilledError):
        world.sync(COURSES, ledger=LastLedger)


def titles(world: ObjectsWorld) -> list[tuple[object, ...]]:
    return world.marketo_has("course_c", "courseId", "title")


def test_after_a_kill_the_same_is_sent_again_and_agrees(courses: ObjectsWorld) -> None:
    courses.change("COURSES", "where course_id = 'X'")
    killed(courses)
    assert titles(courses) == [("Y", "Greek")], "deleted, and nobody wrote it down"
    assert outcome(courses.sync(COURSES)) == {"deleted": 1, "unchanged": 1}
    courses.put("COURSES", ("Z", "Maths"))
    courses.change("COURSES", "set title = 'Old Greek' where course_id = 'Y'")
    killed(courses)
    assert outcome(courses.sync(COURSES)) == {"updated": 2}
    assert titles(courses) == [("Y", "Old Greek"), ("Z", "Maths")]
    assert courses.states() == {"acknowledged": 2}


def test_what_went_back_to_what_it_was_after_a_kill_does_so_in_marketo(courses: ObjectsWorld) -> None:
    courses.change("COURSES", "set title = 'New' where course_id = 'X'")
    killed(courses)
    assert titles(courses) == [("X", "New"), ("Y", "Greek")]
    courses.change("COURSES", "set title = 'Latin' where course_id = 'X'")
    assert outcome(courses.sync(COURSES)) == {"unchanged": 1, "updated": 1}
    courses.change("COURSES", "where course_id = 'Y'")
    killed(courses)
    courses.put("COURSES", ("Y", "Greek"))
    assert outcome(courses.sync(COURSES)) == {"created": 1, "unchanged": 1}
    courses.put("COURSES", ("Z", "Maths"))
    killed(courses)
    courses.change("COURSES", "where course_id = 'Z'")
    assert outcome(courses.sync(COURSES)) == {"deleted": 1, "unchanged": 2}
    assert titles(courses) == [("X", "Latin"), ("Y", "Greek")]
    assert courses.states() == {"acknowledged": 2}


@pytest.fixture
def warehouse_env(empty_schema_env: dict[str, str]) -> dict[str, str]:
    """Of a schema without tables: it is looked at which ones there are."""
    return empty_schema_env


class LookingLedger(ObjectLedger):
    """Notes which tables a process killed now would leave behind."""

    def record(self, *arguments: Any) -> None:
        left = self._warehouse.rows(
            "select table_name as name from information_schema.tables where table_schema = current_schema() order by 1"
        )
        assert [row["name"] for row in left] == ["SYNC_OBJECTS", "SYNC_OBJECT_TYPES"]
        super().record(*arguments)


def test_a_kill_leaves_no_copy_of_data_behind(courses: ObjectsWorld) -> None:
    courses.change("COURSES", "set title = 'New'")
    assert outcome(courses.sync(COURSES, ledger=LookingLedger)) == {"updated": 2}


def test_a_lost_reply_neither_doubles_nor_loses_a_record(courses: ObjectsWorld) -> None:
    courses.put("COURSES", ("Z", "Maths"))
    courses.change("COURSES", "where course_id = 'X'")
    courses.misbehave(Fault(UPSERT, "reset_after_write", first=1), Fault(DELETE, "reset_after_write", first=1))
    assert outcome(courses.sync(COURSES)) == {"deleted": 1, "unchanged": 1, "updated": 1}
    assert titles(courses) == [("Y", "Greek"), ("Z", "Maths")]


@pytest.mark.parametrize(("code", "error"), [("607", QuotaExhaustedError), ("610", RequestError)])
def test_what_was_done_before_an_error_is_kept_and_the_next_cycle_goes_on(
    courses: ObjectsWorld, code: str, error: type[Exception]
) -> None:
    courses.put_many("COURSES", course_id=[f"Z{number}" for number in range(700)])
    courses.misbehave(Fault(UPSERT, "error", code=code, every=3))
    with pytest.raises(error):
        courses.sync(COURSES)
    done = len(titles(courses)) - 2
    assert 0 < done < 700
    assert courses.states() == {"acknowledged": 2 + done, "under_way": 700 - done}
    courses.misbehave()
    report = courses.sync(COURSES, after=24 * 3600)
    assert outcome(report) == {"created": 700 - done, "unchanged": 2 + done}
    assert failed_checks(report) == {}
