"""Guards against a code treated by accident, a value that leaks through a message, a reset at the wrong hour."""

from datetime import UTC, datetime

import pytest

from marketo_assets.marketo.errors import (
    ERROR_TABLE,
    ErrorClass,
    JobQueuedError,
    QueueFullError,
    QuotaExhaustedError,
    RequestError,
    TooManyMatchesError,
    error_for,
    is_row_code,
    next_quota_reset,
    rule_for,
)


def test_no_code_stands_in_two_rows() -> None:
    codes = [code for rule in ERROR_TABLE for code in rule.codes.split()]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize(
    ("error_class", "codes"),
    [
        (ErrorClass.TOKEN, "601 602"),
        (ErrorClass.RATE, "606 615"),
        (ErrorClass.TRANSIENT, "502 604 608 611 614 713 connection timeout reply no_file file export"),
        (ErrorClass.QUOTA, "607"),
        (ErrorClass.QUEUE, "1016 1019 1029"),
        (ErrorClass.ROW, "1001 1002 1003 1004 1005 1006 1007 1008 1009 1010 1011 1012 1013 1021 1036"),
        (ErrorClass.REQUEST, "603 609 610 612 413 414"),
    ],
)
def test_each_documented_code_has_its_class(error_class: ErrorClass, codes: str) -> None:
    assert {code: rule_for(code).error_class for code in codes.split()} == dict.fromkeys(codes.split(), error_class)


def test_only_classes_that_can_pass_are_tried_again() -> None:
    again = {rule.error_class for rule in ERROR_TABLE if rule.attempts > 1}
    assert again == {ErrorClass.TOKEN, ErrorClass.RATE, ErrorClass.TRANSIENT}


@pytest.mark.parametrize("code", ["1099", "999", "", "0"])
def test_an_unknown_code_fails_closed(code: str) -> None:
    assert type(error_for(code, "new", "/x", now=0)) is RequestError
    assert rule_for(code).attempts == 1
    assert not is_row_code(code)


def test_1029_is_told_apart_by_its_text() -> None:
    assert rule_for("1029", "Export daily quota 500MB exceeded").error_class is ErrorClass.QUOTA
    assert rule_for("1029", "Too many jobs in queue").error_class is ErrorClass.QUEUE
    assert type(error_for("1029", "Too many jobs in queue", "/x", now=0)) is QueueFullError
    assert type(error_for("1029", "Job already queued", "/x", now=0)) is JobQueuedError
    for message in ("Export daily quota exceeded", "Export daily quota 500MB exceeded"):
        assert isinstance(error_for("1029", message, "/x", now=0), QuotaExhaustedError)


def test_too_many_matches_is_told_from_the_other_meanings_of_1003() -> None:
    assert isinstance(error_for("1003", "Too many results match the filter", "/x", now=0), TooManyMatchesError)
    assert type(error_for("1003", "Lead ids not specified", "/x", now=0)) is RequestError


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Invalid value for field 'age' and value '14.1'", "Invalid value for field 'age' and value '…'"),
        ("Invalid value for field 'email' and value 'O'Brien'", "Invalid value for field 'email' and value '…'"),
        ("Invalid value 'Jane'. Required of type 'Integer'", "Invalid value '…'"),
        ("No lead jane@example.test here", "No lead … here"),
        ("Lookup field 'userId' not found", "Lookup field 'userId' not found"),
        ("Max rate limit '100' exceeded with in '20' secs", "Max rate limit '100' exceeded with in '20' secs"),
    ],
)
def test_values_are_cut_out_of_messages(message: str, kept: str) -> None:
    error = error_for("1003", message, "/x", now=0)
    assert error.message == kept
    assert kept in str(error)


def test_an_error_says_what_was_asked_what_came_and_what_to_do() -> None:
    assert str(error_for("610", "Requested resource not found", "/rest/v1/x.json", "a1#b2", now=0)) == (
        "/rest/v1/x.json: 610: Requested resource not found (request a1#b2). Sending it again cannot help: "
        "the request, the permissions of the API user or the instance has to change."
    )


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-03-04T18:00", "2026-03-05T06:00"),
        ("2026-03-05T05:59", "2026-03-05T06:00"),
        ("2026-03-05T06:00", "2026-03-06T06:00"),
        ("2026-03-08T06:30", "2026-03-09T05:00"),  # the night clocks go forward: a day of 23 hours
        ("2026-07-01T18:00", "2026-07-02T05:00"),
        ("2026-11-01T05:00", "2026-11-02T06:00"),  # the night they go back: 25 hours
    ],
)
def test_quotas_start_afresh_at_midnight_in_chicago(now: str, reset: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert next_quota_reset(moment) == datetime.fromisoformat(reset).replace(tzinfo=UTC)
