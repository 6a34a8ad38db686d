"""What is sent of companies and custom objects, and what is not.

Guards against: rows sent again and again or never again, calls when nothing changed, values that change on their way,
results that slip to another row, one key in two rows of a call, a bad row that stops good ones or is sent in part, a
record that waits for what it links to for ever or asks for it all the time, and values in what people see.
"""

import pytest

from marketo_assets.marketo.records import RecordResult
from marketo_assets.pump import ledger
from marketo_assets.pump.rows import PreparedRow
from marketo_assets.sandbox.marketo import COMPANY
from marketo_assets.sync import objects_send
from marketo_assets_tests.sync.objects_world import (
    ACCOUNTS,
    ADA,
    BOB,
    COURSES,
    ENROLLMENTS,
    ORDERS,
    ObjectsWorld,
    failed_checks,
    objects_world,  # noqa: F401 - a fixture
    outcome,
)

EVE = "eve@example.com"


def accounts(world: ObjectsWorld) -> list[tuple[object, ...]]:
    return world.marketo_has(COMPANY, "externalCompanyId", "company", "numberOfEmployees", "billingCity")


def orders(world: ObjectsWorld) -> list[tuple[object, ...]]:
    return world.marketo_has("order_c", "orderId", "email", "amount", "placedOn", "note", "shipped")


def order(number: int | None, email: str | None = ADA, note: str | None = None) -> tuple[object, ...]:
    return (number, email, None, None, note, None)


def test_records_are_as_the_warehouse_has_them_and_nothing_changed_is_no_call(world: ObjectsWorld) -> None:
    world.put("ACCOUNTS", (" C1 ", "Acme", "5", "Rome"), ("C2", "Böll & Co", None, None))
    assert outcome(world.sync(ACCOUNTS)) == {"created": 2}
    assert accounts(world) == [("C1", "Acme", 5, "Rome"), ("C2", "Böll & Co", None, None)]
    world.put(
        "ORDERS", (1, ADA, 9.99, "2026-01-01 10:00:00", "hello", True), (2, BOB, None, None, "0123456789ab", False)
    )
    report = world.sync(ORDERS)
    assert outcome(report) == {"created": 2}
    assert [(each.field, each.related_to) for each in report.relationships] == [("email", "Lead")]
    assert orders(world) == [
        (1, ADA, 9.99, "2026-01-01", "hello", True),
        (2, BOB, None, None, "0123456789", False),
    ], "when_too_long: truncate"
    for name in (ACCOUNTS, ORDERS):
        report = world.sync(name)
        assert (outcome(report), world.calls, failed_checks(report)) == ({"unchanged": 2}, 0, {})


def test_a_changed_row_is_sent_alone_and_null_clears_where_it_is_to(world: ObjectsWorld) -> None:
    world.put("ACCOUNTS", ("C1", "Acme", "5", "Rome"), ("C2", "Bolt", "6", "Oslo"))
    world.sync(ACCOUNTS)
    world.change("ACCOUNTS", "set staff = null, city = null where account_id = 'C1'")
    assert outcome(world.sync(ACCOUNTS)) == {"unchanged": 1, "updated": 1}
    assert world.calls == 2, "Describe and one upsert"
    assert accounts(world) == [("C1", "Acme", 5, None), ("C2", "Bolt", 6, "Oslo")]
    for name in ("B", "Bolt"):
        world.change("ACCOUNTS", f"set name = '{name}' where account_id = 'C2'")
        assert outcome(world.sync(ACCOUNTS)) == {"unchanged": 1, "updated": 1}
    assert accounts(world)[1][1] == "Bolt"


def test_many_rows_go_in_full_calls_and_each_result_is_of_its_row(
    world: ObjectsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketo_assets.sync.objects_ledger.PAGE_ROWS", 400)
    monkeypatch.setattr(objects_send, "FLUSH_ROWS", 250)
    numbers = range(700)
    emails = [EVE if number % 7 == 0 else ADA for number in numbers]
    notes = [f"n{number}" for number in numbers]
    world.put_many("ORDERS", order_id=numbers, email=emails, note=notes)
    assert outcome(world.sync(ORDERS)) == {"created": 600, "waiting": 100}
    assert world.calls == 1 + 3, "Describe, and the rows in three calls"
    kept = {number for number in numbers if number % 7}
    assert {(row[0], row[4]) for row in orders(world)} == {(number, f"n{number}") for number in kept}
    rows = world.warehouse.rows("select sent_key from SYNC_OBJECTS where state = 'acknowledged'")
    assert {row["sent_key"] for row in rows} == {f'["{number}"]' for number in kept}
    assert ledger.PAGE_ROWS >= 10_000, "pages of two calls are for this test alone"


def test_a_key_of_several_columns_and_records_between_many_and_many(world: ObjectsWorld) -> None:
    world.put("COURSES", ("X", "Latin"), ("Y", "Greek"))
    world.put("ENROLLMENTS", (ADA, "X", "1"), (ADA, "Y", "2"), (BOB, "X", "3"))
    assert outcome(world.sync(COURSES)) == {"created": 2}
    assert outcome(world.sync(ENROLLMENTS)) == {"created": 3}
    world.change("ENROLLMENTS", f"set grade = '9' where email = '{ADA}' and course_id = 'Y'")
    world.change("ENROLLMENTS", f"where email = '{ADA}' and course_id = 'X'")
    assert outcome(world.sync(ENROLLMENTS)) == {"deleted": 1, "unchanged": 1, "updated": 1}
    assert world.marketo_has("enrollment_c", "email", "courseId", "grade") == [(ADA, "Y", "9"), (BOB, "X", "3")]


def test_a_record_waits_for_what_it_links_to_and_asks_less_and_less(world: ObjectsWorld) -> None:
    world.put("ENROLLMENTS", (ADA, "X", "1"), (EVE, "X", "2"))
    report = world.sync(ENROLLMENTS)
    assert outcome(report) == {"waiting": 2}
    assert report.codes == {("waiting", "1013"): 1, ("waiting", "1004"): 1}, "no course yet, and no such lead"
    world.emulator.put_records("course_c", [{"courseId": "X"}])
    assert outcome(world.sync(ENROLLMENTS)) == {"created": 1, "waiting": 1}
    for minute, after, calls in ((10, 5, 2), (15, 5, 0), (20, 5, 2), (35, 15, 0)):
        assert outcome(world.sync(ENROLLMENTS, after=after * 60)) == {"unchanged": 1, "waiting": 1}
        assert world.calls == calls, f"{minute} minutes after the first try"
    world.emulator.fill(1, [EVE], duplicate_share=0, seed=7)
    assert outcome(world.sync(ENROLLMENTS, try_again=True)) == {"created": 1, "unchanged": 1}
    assert world.states() == {"acknowledged": 2}


def test_who_waits_longer_than_a_day_is_told_of(world: ObjectsWorld) -> None:
    world.put("ORDERS", order(1, EVE))
    assert failed_checks(world.sync(ORDERS)) == {}
    assert failed_checks(world.sync(ORDERS, after=13 * 3600)) == {}
    report = world.sync(ORDERS, after=12 * 3600)
    assert world.calls == 1, "Describe after an hour: it is not to be tried yet, and told of all the same"
    assert list(failed_checks(report)) == ["nothing_waits_longer_than_a_day"]
    assert report.waiting_long == 1
    world.sync(ORDERS, after=30 * 24 * 3600)
    world.sync(ORDERS, after=25 * 3600)
    assert world.calls > 0, "a month's wait does not make the next pause a month"


def test_of_rows_with_one_key_one_is_sent_and_the_others_and_blanks_are_counted(world: ObjectsWorld) -> None:
    world.put("ENROLLMENTS", (ADA, "X", "1"), (f" {ADA.upper()}\t", "x", "2"), (BOB, " ", "3"), (None, "X", "4"))
    world.put("COURSES", ("X", "Latin"))
    world.sync(COURSES)
    report = world.sync(ENROLLMENTS)
    assert outcome(report) == {"created": 1, "rejected": 3}
    assert report.codes == {("rejected", "duplicate_key"): 1, ("rejected", "blank_key"): 2}
    before = world.marketo_has("enrollment_c", "email", "courseId", "grade")
    assert outcome(world.sync(ENROLLMENTS)) == {"rejected": 3, "unchanged": 1}
    assert world.calls == 0
    assert world.marketo_has("enrollment_c", "email", "courseId", "grade") == before


def test_a_row_with_a_bad_value_is_rejected_whole_until_something_that_matters_changes(world: ObjectsWorld) -> None:
    world.put("ACCOUNTS", ("C1", "Acme", "five", "Rome"), ("C2", "Bolt", "6", "Oslo"), ("C" * 101, "Long", "7", "Bonn"))
    report = world.sync(ACCOUNTS)
    assert outcome(report) == {"created": 1, "rejected": 2}
    assert report.codes == {("rejected", "invalid_integer"): 1, ("rejected", "too_long"): 1}
    assert [row[0] for row in accounts(world)] == ["C2"]
    shown = [(row["code"], row["reason"]) for row in report.sample]
    assert ("invalid_integer", "column 'staff', field 'numberOfEmployees': expected a whole number") in shown
    assert "five" not in str(report)
    again = world.sync(ACCOUNTS)
    assert (outcome(again), again.codes, world.calls) == ({"rejected": 2, "unchanged": 1}, report.codes, 0)
    world.change("ACCOUNTS", "set staff = '5' where account_id = 'C1'")
    assert outcome(world.sync(ACCOUNTS)) == {"created": 1, "rejected": 1, "unchanged": 1}


def test_a_row_that_marketo_refuses_is_tried_again_when_it_is_asked_for_or_a_rule_changes(world: ObjectsWorld) -> None:
    world.put("ORDERS", order(1, "no address"), order(2))
    report = world.sync(ORDERS)
    assert (outcome(report), report.codes) == ({"created": 1, "rejected": 1}, {("rejected", "1003"): 1})
    assert "no address" not in str(report)
    assert outcome(world.sync(ORDERS)) == {"rejected": 1, "unchanged": 1}
    assert world.calls == 0
    assert outcome(world.sync(ORDERS, try_again=True)) == {"rejected": 1, "unchanged": 1}
    assert world.calls == 2, "Describe, and the refused row once more"
    world.configure(("note: {to: note, when_too_long: truncate}", "note: note"))
    assert outcome(world.sync(ORDERS)) == {"rejected": 1, "unchanged": 1}
    assert world.calls == 2


EXPECTED: dict[str, list[str | None]] = {
    "waiting": ["1004", "1013"],
    "rejected": ["1003", "1006", "1036"],
    "unsent": ["1014", "1022", "713", "9999", None],
}


@pytest.mark.parametrize(("expected", "code"), [(name, code) for name, codes in EXPECTED.items() for code in codes])
def test_what_a_skipped_row_waits_for_depends_on_its_code(expected: str, code: str | None) -> None:
    skipped = RecordResult("skipped", None, code, None)
    result = objects_send._upserted(PreparedRow(7, "", b"{}"), skipped)
    assert (result.row_number, result.outcome, result.code) == (7, expected, code or "no_reason")
