"""Activities of activities.json as rows.

Guards against: an activity that is dropped or bent because an optional key is missing, a number that became a string,
ids cut to 32 bits, times in another zone, and messages that quote what an activity holds.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.extract.rows import ACTIVITY_SCHEMA, ActivityRowError, attributes_object, from_rest, moment
from marketo_assets_tests.extract.bulk_files import GUID, MOMENT, WHEN, activity, records


def test_an_activity_becomes_a_row() -> None:
    page = [
        activity(
            "example.test/page",
            {"Client IP Address": "10.0.19.252", "Count": 3, "Share": 1.5, "Success": False, "None": None},
            campaignId=77,
            primaryAttributeValueId=71,
            id=102988,
        )
    ]
    assert records(from_rest(page)) == [
        {
            "marketo_guid": GUID,
            "lead_id": 7,
            "activity_date": MOMENT,
            "activity_type_id": 1,
            "campaign_id": 77,
            "primary_attribute_value_id": 71,
            "primary_attribute_value": "example.test/page",
            "attributes": {
                "Client IP Address": "10.0.19.252",
                "Count": 3,
                "Share": 1.5,
                "Success": False,
                "None": None,
            },
        }
    ]


@pytest.mark.parametrize("attributes", [None, []])
def test_what_marketo_leaves_out_is_null_and_no_attributes_are_an_empty_object(attributes: object) -> None:
    bare = {"marketoGUID": GUID, "leadId": 7, "activityDate": WHEN, "activityTypeId": 12, "attributes": attributes}
    (row,) = records(from_rest([bare, {**bare, "campaignId": None, "primaryAttributeValue": ""}])[:1])
    assert (row["campaign_id"], row["primary_attribute_value_id"], row["primary_attribute_value"]) == (None, None, None)
    assert row["attributes"] == {}


def test_a_page_without_activities_has_no_rows() -> None:
    assert from_rest([]).schema == ACTIVITY_SCHEMA
    assert from_rest([]).num_rows == 0


def test_ids_are_larger_than_32_bits() -> None:
    large = 2**63 - 1
    keys = {"leadId": large, "campaignId": large, "primaryAttributeValueId": large}
    (row,) = records(from_rest([activity(marketoGUID=None, id=large) | keys]))
    assert row["marketo_guid"] == str(large)
    assert [row["lead_id"], row["campaign_id"], row["primary_attribute_value_id"]] == [large] * 3


def test_the_guid_goes_before_the_id() -> None:
    assert from_rest([activity(id=1)])["marketo_guid"].to_pylist() == [GUID]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"marketoGUID": None}, "marketoGUID"),
        ({"marketoGUID": "", "id": None}, "marketoGUID"),
        ({"leadId": None}, "leadId"),
        ({"leadId": "ada"}, "leadId"),
        ({"leadId": True}, "leadId"),
        ({"leadId": 2**63}, "leadId"),
        ({"activityDate": None}, "activityDate"),
        ({"activityDate": "ada"}, "activityDate"),
        ({"activityDate": 1700000000}, "activityDate"),
        ({"activityTypeId": 1.5}, "activityTypeId"),
        ({"campaignId": "ada"}, "campaignId"),
        ({"attributes": [{"value": "ada"}]}, "attributes"),
        ({"attributes": ["ada"]}, "attributes"),
        ({"attributes": {"name": "ada"}}, "attributes"),
    ],
)
def test_an_activity_that_cannot_be_read_is_named_by_its_position(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ActivityRowError) as refused:
        from_rest([activity("ada"), activity("ada") | keys])
    assert str(refused.value) == f"activity 2 of the page: {named} is missing or cannot be read"


def test_an_attribute_named_twice_keeps_both_values() -> None:
    pairs = [
        {"name": "a", "value": 1},
        {"name": "a (2)", "value": 2},
        {"name": "a", "value": 3},
        {"name": "a", "value": 3},
    ]
    assert orjson.loads(attributes_object(pairs)) == {"a": 1, "a (2)": 2, "a (3)": 3, "a (4)": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-16T23:32:19Z", "2026-01-16T23:32:19"),
        ("2026-01-16T23:32:19+0000", "2026-01-16T23:32:19"),
        ("2026-01-16T23:32:19+00:00", "2026-01-16T23:32:19"),
        ("2026-01-16T23:32:19", "2026-01-16T23:32:19"),
        ("2026-01-16T23:32:19.123Z", "2026-01-16T23:32:19.123000"),
        ("2026-01-16T23:32:19.123456789Z", "2026-01-16T23:32:19.123456"),
        ("2026-01-16T23:32:19-0600", "2026-01-17T05:32:19"),
        ("2026-01-01T00:30:00+05:30", "2025-12-31T19:00:00"),
        ("2026-03-08T02:30:00-06:00", "2026-03-08T08:30:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59"),
        ("2016-12-31T23:59:60.5+0000", "2016-12-31T23:59:59.500000"),
        ("2016-12-31T17:59:60-06:00", "2016-12-31T23:59:59"),
    ],
)
def test_times_are_in_utc_and_a_leap_second_stays_within_its_day(text: str, expected: str) -> None:
    assert moment(text).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "ada", "2026-02-29T00:00:00Z", "2026-01-16T24:30:00Z", "2026-01-16T23:60:00Z", "0001-01-01T00:00+01:00"],
)
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # whatever the message: nobody shows it
        moment(text)


@settings(derandomize=True, deadline=None)
@given(
    st.datetimes(
        datetime.fromisoformat("0002-01-01"),
        datetime.fromisoformat("9998-12-31"),
        timezones=st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_any_time_with_an_offset_is_the_same_time(when: datetime) -> None:
    assert moment(when.isoformat()).replace(tzinfo=UTC) == when
