"""Guards against an older file that undoes a newer change, and a difference that is none."""

from datetime import datetime, timedelta

import pytest

from marketo_assets.sync.drift import Verdict, judge
from marketo_assets.sync.mirror import Lead

MADE = datetime(2026, 3, 2, 12)  # noqa: DTZ001 - as all times of the mirror
BEFORE, AFTER = MADE - timedelta(seconds=1), MADE + timedelta(seconds=1)


def mirrored(as_of: datetime = BEFORE, **fields: str | None) -> Lead:
    return Lead(1, {"a": "1", **fields}, as_of, {"a": BEFORE.isoformat()})


def exported(**fields: str | None) -> Lead:
    return Lead(1, {"a": "1", **fields}, MADE)


def test_what_differs_is_replaced_and_its_fields_have_changed_by_then() -> None:
    verdict = judge(mirrored(b="2", gone="3"), exported(b="4"), MADE, ())
    times = {"a": BEFORE.isoformat(), "b": MADE.isoformat()}
    assert verdict == Verdict("repaired", Lead(1, {"a": "1", "b": "4"}, MADE, times), ("b",))


@pytest.mark.parametrize("moment", [MADE, AFTER])
def test_a_lead_known_of_that_very_second_or_later_is_left_alone(moment: datetime) -> None:
    read, told = mirrored(moment, b="2"), mirrored(b="2")
    told.field_times["a"] = moment.isoformat()
    assert [judge(lead, exported(b="4"), MADE, ()) for lead in (read, told)] == [Verdict("left")] * 2
    assert judge(read, exported(b="2"), MADE, ()) == Verdict("agrees")


def test_a_field_that_it_lacks_is_filled_in_all_the_same() -> None:
    verdict = judge(mirrored(AFTER, a="newer"), exported(b="4"), MADE, ())
    expected = mirrored(AFTER, a="newer", b="4")
    assert verdict == Verdict("completed", expected)


def test_the_word_null_is_not_told_from_no_value() -> None:
    assert judge(mirrored(b="null"), exported(b=None), MADE, ()) == Verdict("agrees")
    repaired = judge(mirrored(b="null", c="1"), exported(b=None, c=None), MADE, ())
    assert repaired.fields == ("c",)
    assert repaired.lead is not None
    assert repaired.lead.fields == {"a": "1", "b": "null", "c": None}


def test_the_dead_live_again_unless_they_died_since() -> None:
    def dead(as_of: datetime = BEFORE) -> Lead:
        lead = mirrored(as_of)
        lead.merged_into, lead.deleted_at = 7, BEFORE
        return lead

    assert judge(dead(), exported(), MADE, ()) == Verdict("revived", Lead(1, {"a": "1"}, MADE, mirrored().field_times))
    assert judge(dead(), exported(), MADE, {1}) == Verdict("left")
    assert judge(dead(AFTER), exported(), MADE, ()) == Verdict("left")
    assert judge(None, exported(), MADE, ()) == Verdict("inserted", exported())
    assert judge(None, exported(), MADE, {1}) == Verdict("left")
