"""Guards the values of activities: what a test places arrives as it is, whatever is in it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketo_assets_tests.sandbox.emulator_calls import START, emulated
from marketo_assets_tests.sandbox.test_emulator_any_input import MANY, SCALARS

DIRTY = {
    "null": None,
    "the text null": "null",
    "empty": "",
    "NUL": "a\x00b",
    "newlines": "one\ntwo\r\nthree\r",
    "separators": "a\u2028b\u2029c",
    "lone quote": 'say "hi',
    "comma": ", ,",
    "unicode": "größer 日本語 😀",
    "number": 1.5,
    "boolean": False,
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_placed_values_come_back_as_they_are() -> None:
    with emulated() as (emulator, api):
        emulator.add_activities(1, [7], START, attributes=DIRTY, primary='pri"mary\n\x00')
        (by_rest,) = api.activities(START, 1)
        (directly,) = emulator.activities()
    assert by_rest == directly
    assert {attribute["name"]: attribute["value"] for attribute in by_rest["attributes"]} == DIRTY
    assert by_rest["primaryAttributeValue"] == 'pri"mary\n\x00'
    assert {"campaignId", "primaryAttributeValueId"}.isdisjoint(by_rest)


@MANY
@given(st.dictionaries(TEXTS, SCALARS.filter(lambda value: value == value)), TEXTS)  # noqa: PLR0124 - no NaN: JSON has none
def test_any_values_come_back_as_they_are(attributes: dict[str, Any], primary: str) -> None:
    with emulated(rate=None) as (emulator, api):
        emulator.add_activities(1, [7], START, attributes=attributes, primary=primary)
        (activity,) = api.activities(START, 1)
    assert activity["attributes"] == [{"name": name, "value": value} for name, value in attributes.items()]
    assert activity["primaryAttributeValue"] == primary


def test_an_activity_of_the_future_is_refused() -> None:
    with emulated() as (emulator, _), pytest.raises(ValueError, match="not happened yet"):
        emulator.add_activities(1, [7], START + 1)


def test_a_state_file_from_before_late_arrivals_is_read_and_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with sqlite3.connect(state) as old:
        old.execute(
            "CREATE TABLE activity (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, lead_id INTEGER NOT NULL, "
            "at INTEGER NOT NULL, type INTEGER NOT NULL, detail BLOB NOT NULL)"
        )
        old.execute("INSERT INTO activity VALUES (1, 1, 7, ?, 12, ?)", (int(START) - 60, b'["1#1","syncLeads"]'))
    old.close()
    with emulated(state=state) as (emulator, api):
        emulator.add_activities(1, [7], START - 3600)
        found = [activity["activityTypeId"] for activity in api.activities(START - 60, 1, 12)]
        news = [activity["activityTypeId"] for activity in api.activities(START - 59, 1, 12)]
    assert (found, news) == ([12, 1], [1])
