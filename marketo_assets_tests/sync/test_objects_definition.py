"""marketo.yaml, the source table and Marketo's definition, when they no longer fit together.

Guards against: a sync that stands still because of one field, values sent into a field that means something else now,
records sent under a wrong key, a complaint that does not say what and where, values that are never made up for when a
field is back, and a Marketo that is asked again and again for what it does not have or must not do.
"""

from dataclasses import replace

import dagster as dg
import pytest

from marketo_assets.config_types import FieldMapping
from marketo_assets.marketo.leads import LeadField
from marketo_assets.marketo.records import RecordType, custom_object
from marketo_assets.sandbox.marketo import COMPANY, Fault, ObjectField
from marketo_assets.sync.objects_definition import Fit, ObjectSync, fit
from marketo_assets_tests.sync.objects_world import (
    ACCOUNTS,
    ADA,
    COURSE,
    COURSES,
    ORDER,
    ORDERS,
    ObjectsWorld,
    failed_checks,
    objects_world,  # noqa: F401 - a fixture
    outcome,
)

BROKEN = {"definition_fits": dg.AssetCheckSeverity.ERROR}
DRIFTED = {"definition_fits": dg.AssetCheckSeverity.WARN}

CAR = RecordType(
    "car_c",
    ("vin",),
    "marketoGUID",
    (),
    (
        LeadField("vin", "VIN", "string", 17, read_only=True),
        LeadField("color", "Color", "string", 255, read_only=False),
        LeadField("owner1", "Owner", "string", 255, read_only=False),
        LeadField("owner2", "Owner", "string", 255, read_only=False),
        LeadField("createdAt", "Created At", "datetime", None, read_only=True),
    ),
)


def car_fit(*lines: tuple[str, str], key: tuple[str, ...] = ("v",), described: RecordType = CAR) -> Fit:
    mapping = [
        FieldMapping(column=column, to=to, **{"\0place": f"m.yaml:{at}"}) for at, (column, to) in enumerate(lines)
    ]
    kind = custom_object("car_c")
    sync = ObjectSync("custom_objects/car_c", kind, "CARS", key, tuple(mapping), deletes=True, max_delete_share=0.05)
    return fit(sync, described, ["v", "a", "b"], {})


def test_each_line_that_cannot_be_followed_is_named_with_its_place_and_left_out() -> None:
    found = car_fit(("V", "VIN"), ("a", "colour"), ("b", "Owner"), ("c", "color"), ("A", "createdAt"), ("b", "vin"))
    assert found.mapping is not None
    assert [each.field.name for each in found.mapping.fields] == ["vin"]
    assert found.left_out == (
        "m.yaml:1: a: car_c has no field 'colour' in Marketo; did you mean 'color'?",
        "m.yaml:2: b: 'Owner' is the name of several fields; use one of ['owner1', 'owner2']",
        "m.yaml:3: c: the table CARS has no such column",
        "m.yaml:4: A: the field 'createdAt' is not updateable in Marketo; unmap it",
        "m.yaml:5: b: the field 'vin' is filled by the column 'V' already",
    )


@pytest.mark.parametrize(
    ("lines", "key", "described", "problem"),
    [
        (
            [("a", "color")],
            ("v",),
            CAR,
            "the key columns (v) are mapped to no field, and Marketo finds these records by vin",
        ),
        ([("v", "color"), ("a", "vin")], ("v",), CAR, "the key columns (v) are mapped to color, and Marketo"),
        ([("v", "vin"), ("a", "color")], ("v", "a"), CAR, "the key columns (v, a) are mapped to vin, color, and"),
        ([("v", "vin")], ("v",), replace(CAR, dedupe_fields=("vin", "color")), "finds these records by vin, color"),
        ([("v", "vim")], ("v",), CAR, "m.yaml:0: v: car_c has no field 'vim' in Marketo; did you mean 'vin'?"),
        ([("x", "vin")], ("x",), CAR, "m.yaml:0: x: the table CARS has no such column"),
    ],
)
def test_a_key_that_does_not_fit_lets_nothing_be_sent(
    lines: list[tuple[str, str]], key: tuple[str, ...], described: RecordType, problem: str
) -> None:
    found = car_fit(*lines, key=key, described=described)
    assert found.mapping is None
    assert problem in found.problems[0]


def test_a_field_that_vanished_is_named_and_made_up_for_when_it_is_back(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.sync(COURSES)
    world.emulator.put_custom_object(replace(COURSE, fields=COURSE.fields[:1]))
    world.put("COURSES", ("Y", "Greek"))
    report = world.sync(COURSES)
    assert failed_checks(report) == DRIFTED
    assert "title: course_c has no field 'title' in Marketo" in report.left_out[0]
    assert outcome(report) == {"created": 1, "updated": 1}
    assert failed_checks(world.sync(COURSES)) == DRIFTED
    assert world.calls == 0
    world.emulator.put_custom_object(COURSE)
    report = world.sync(COURSES, after=3601)
    assert (failed_checks(report), outcome(report)) == ({}, {"updated": 2})
    assert world.marketo_has("course_c", "courseId", "title") == [("X", "Latin"), ("Y", "Greek")]


def test_a_field_of_another_type_is_left_alone_until_a_person_accepts_it(world: ObjectsWorld) -> None:
    world.put("ORDERS", (1, ADA, None, None, "12", None))
    world.sync(ORDERS)
    retyped = [ObjectField("note", "Note", "integer") if each.name == "note" else each for each in ORDER.fields]
    world.emulator.put_custom_object(replace(ORDER, fields=tuple(retyped)))
    world.change("ORDERS", "set note = '13', shipped = true")
    report = world.sync(ORDERS)
    assert failed_checks(report) == DRIFTED
    assert "note: the field 'note' was of type string and is integer now" in report.left_out[0]
    assert world.marketo_has("order_c", "note", "shipped") == [(12, True)]
    assert failed_checks(world.sync(ORDERS)) == DRIFTED
    report = world.sync(ORDERS, try_again=True)
    assert (failed_checks(report), outcome(report)) == ({}, {"updated": 1})
    assert world.marketo_has("order_c", "note", "shipped") == [(13, True)]
    assert failed_checks(world.sync(ORDERS, after=3601)) == {}


def test_a_type_that_is_gone_is_told_of_and_asked_for_once_an_hour(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.sync(COURSES)
    world.emulator.remove_custom_object("course_c")
    world.emulator.put_custom_object(replace(COURSE, name="courses_c"))
    world.put("COURSES", ("Y", "Greek"))
    report = world.sync(COURSES)
    assert failed_checks(report) == BROKEN
    assert "Marketo has no custom object 'course_c'; did you mean 'courses_c'?" in report.problems[0]
    assert failed_checks(world.sync(COURSES)) == BROKEN
    assert world.calls == 0
    world.emulator.put_custom_object(COURSE)
    report = world.sync(COURSES, after=3601)
    assert (failed_checks(report), outcome(report)) == ({}, {"created": 1, "unchanged": 1})


def test_a_type_that_this_user_may_not_see_is_told_of_and_stops_no_other(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.misbehave(Fault("GET /rest/v1/customobjects*", "error", code="603", every=1))
    report = world.sync(COURSES)
    assert failed_checks(report) == BROKEN
    assert "Marketo does not describe it: /rest/v1/customobjects/course_c/describe.json: 603" in report.problems[0]


def test_a_column_that_was_dropped_is_left_out_and_without_its_key_nothing_is_sent(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.sync(COURSES)
    world.change("COURSES", "drop column TITLE")
    world.change("COURSES", "set course_id = 'Y'")
    world.configure(("title: title}", "title: title}\n      max_delete_share: 1"))
    report = world.sync(COURSES)
    assert (failed_checks(report), outcome(report)) == (DRIFTED, {"created": 1, "deleted": 1})
    assert "title: the table" in report.left_out[0]
    world.change("COURSES", "rename column COURSE_ID to ID")
    report = world.sync(COURSES)
    assert (failed_checks(report), world.calls) == (BROKEN, 0)
    assert "course_id: the table" in report.problems[0]
    assert world.marketo_has("course_c", "courseId") == [("Y",)]


def test_companies_that_a_crm_keeps_are_let_alone_for_a_day(world: ObjectsWorld) -> None:
    world.put("ACCOUNTS", ("C1", "Acme", None, None))
    with world.open_marketo(native_crm=True):
        report = world.sync(ACCOUNTS)
        assert (failed_checks(report), world.calls) == (BROKEN, 2)
        assert "only the CRM can change these records (1018)" in report.problems[0]
        assert "again after 2026-03-03 12:05 UTC, or at once with try_again: true" in report.problems[0]
        assert failed_checks(world.sync(ACCOUNTS, after=23 * 3600)) == BROKEN
        assert world.calls == 0
        assert failed_checks(world.sync(ACCOUNTS, try_again=True)) == BROKEN
        assert world.calls == 2
    with world.open_marketo():
        assert failed_checks(world.sync(ACCOUNTS, after=23 * 3600)) == BROKEN, "a day from the last try"
        report = world.sync(ACCOUNTS, after=3601)
        assert (failed_checks(report), outcome(report)) == ({}, {"created": 1})
        assert world.marketo_has(COMPANY, "externalCompanyId") == [("C1",)]


def test_the_definition_is_looked_at_once_an_hour_while_nothing_changes(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.sync(COURSES)
    calls = []
    for _ in range(4):
        world.sync(COURSES, after=1201)
        calls.append(world.calls)
    assert calls == [0, 0, 1, 0]
