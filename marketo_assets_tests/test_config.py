"""marketo.yaml: what is wrong in it, and where.

Guards against: a mistake that is found out in production, one at a time, without its line, or as a stack trace.
"""

from datetime import date, timedelta
from pathlib import Path

import pytest

from marketo_assets.config import MarketoConfig, load_config
from marketo_assets.config_types import ConfigError

GOOD = """\
api_budget: {calls_per_day: 1000}
pumps:
  contacts:
    source: {table: DB.S.T, key: mail, updated_at: changed}
    schedule: "0 * * * *"
    mapping:
      mail: email
      first_name: "[CDB] First Name"
      company: {to: company, when_null: clear, when_too_long: truncate}
"""


def load(folder: Path, text: str | bytes) -> MarketoConfig:
    path = folder / "marketo.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path)


def problems(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        load(folder, text)
    assert str(wrong.value) == "\n".join(wrong.value.problems)
    return wrong.value.problems


def test_a_good_file_is_read_with_its_defaults_and_the_lines_of_its_mapping(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    pump = config.pumps["contacts"]
    assert (config.api_budget.calls_per_day, config.api_budget.concurrent_calls) == (1000, 10)
    assert (pump.lookup_field, pump.duplicates, pump.max_rows_per_file) == ("email", "latest_updated", 100_000)
    assert [(line.column, line.to, line.when_null, line.when_too_long, line.place) for line in pump.mapping] == [
        ("mail", "email", "omit", "reject", "marketo.yaml:7"),
        ("first_name", "[CDB] First Name", "omit", "reject", "marketo.yaml:8"),
        ("company", "company", "clear", "truncate", "marketo.yaml:9"),
    ]


def test_the_projects_own_marketo_yaml_holds_all_57_rows() -> None:
    pump = load_config(Path(__file__).parent.parent / "marketo.yaml").pumps["contacts"]
    assert len(pump.mapping) == 57
    assert len({line.to for line in pump.mapping}) == 57


@pytest.mark.parametrize("text", ["", "# nothing\n", "pumps: {}\n"])
def test_an_empty_file_pumps_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).pumps == {}


WRONG = {
    "unknown key": (
        ('schedule: "0', 'shedule: "0'),
        "marketo.yaml:5: pumps.contacts.shedule: unknown key; docs/configuration.md lists the keys that exist",
    ),
    "unknown top key": (("api_budget", "budget"), "marketo.yaml:1: budget: unknown key"),
    "unknown key of a mapping": (
        ("when_null: clear", "if_null: clear"),
        "marketo.yaml:9: pumps.contacts.mapping.company.if_null: unknown key",
    ),
    "unknown choice": (
        ("when_null: clear", "when_null: wipe"),
        "marketo.yaml:9: pumps.contacts.mapping.company.when_null: Input should be 'omit' or 'clear'",
    ),
    "missing key": ((", updated_at: changed", ""), "marketo.yaml:4: pumps.contacts.source.updated_at: missing"),
    "wrong type": (("calls_per_day: 1000", "calls_per_day: many"), "marketo.yaml:1: api_budget.calls_per_day: Input"),
    "out of range": (("calls_per_day: 1000", "reserve_for_others: 1"), "marketo.yaml:1: api_budget.reserve_for_others"),
    "column without a field": (("mail: email", "mail:"), "marketo.yaml:7: pumps.contacts.mapping.mail.to: Input"),
    "column with a list": (("mail: email", "mail: [email]"), "marketo.yaml:7: pumps.contacts.mapping.mail.to: Input"),
    "two columns to one field": (
        ("to: company", 'to: "[cdb] first name"'),
        "columns 'first_name' (marketo.yaml:8) and 'company' (marketo.yaml:9) are both mapped to the field",
    ),
    "one column in two spellings": (
        ("company: {to", "First_Name: {to"),
        "the columns 'first_name' (marketo.yaml:8) and 'First_Name' (marketo.yaml:9) differ in case only",
    ),
    "key not mapped": (("key: mail", "key: e_mail"), "the key column 'e_mail' has no line in mapping"),
    "key twice": (
        ("first_name: ", "mail: "),
        "marketo.yaml:8: pumps.contacts.mapping.mail: stands twice (first on line 7); keep one of them",
    ),
    "name of a pump": (("  contacts:", "  Con tacts:"), "marketo.yaml:3: pumps.Con tacts"),
    "not YAML": (("pumps:\n", "pumps: [\n"), "not valid YAML"),
    "tab": (("  contacts:", "\tcontacts:"), "marketo.yaml:3: not valid YAML"),
    "template": (("mail: email", "{{column}}: email"), "marketo.yaml:7: "),
    "braces": (("mail: email", "{mail}: email"), "marketo.yaml:7: not a key: expected plain text before the colon"),
    "unknown tag": (("mail: email", "mail: !env X"), "marketo.yaml:7: not valid YAML"),
    "mapping is a list": (("      mail: email\n", "      - mail: email\n      -"), "marketo.yaml:"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_each_mistake_is_one_message_with_its_line(tmp_path: Path, fault: str) -> None:
    (before, after), said = WRONG[fault]
    assert before in GOOD
    (problem,) = problems(tmp_path, GOOD.replace(before, after, 1))
    assert problem.startswith("marketo.yaml:")
    assert said in problem
    assert "\0" not in problem


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("calls_per_day", "calls").replace("schedule", "shedule").replace("key: mail, ", "")
    assert [problem.split(" ", 1)[0] for problem in problems(tmp_path, text)] == [
        "marketo.yaml:1:",
        "marketo.yaml:4:",
        "marketo.yaml:5:",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pumps: {contacts: 7}\n", "marketo.yaml:1: pumps.contacts: "),
        ("- a\n- b\n", "marketo.yaml:1: (whole file): "),
        ("just text\n", "marketo.yaml:1: (whole file): "),
        ("pumps:\n  contacts:\n    mapping: {}\n", "marketo.yaml:"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"pumps: {}\n# gr\xf6\xdfe\n", "not in UTF-8"),
        (b"pumps: {}\n# \x07\n", "not valid YAML"),
    ],
)
def test_a_file_of_another_shape_is_a_message_and_not_a_stack_trace(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    assert any(said in problem for problem in problems(tmp_path, text))


def test_a_file_that_is_not_there_says_which_variable_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; set MARKETO_ASSETS_CONFIG"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


EXTRACT = """\
extract:
  activities:
    start: 2026-01-01
    types: [Visit Webpage, 3]
    except_types: [Click Email]
    polling_interval: 24h
    lookback: 3d
    lead_max_age: 7d
    lead_fields: [email]
"""
AT = "extract.activities"
WRONG_EXTRACT = {
    "unknown key": (("lookback:", "look_back:"), f"7: {AT}.look_back: unknown key; docs/configuration.md lists"),
    "no start": (("    start: 2026-01-01\n", ""), f"2: {AT}.start: missing; it has no default"),
    "start as text": (
        ("2026-01-01", "last year"),
        f"3: {AT}.start: 'last year' is not a day; expected one such as 2026",
    ),
    "start as a year": (("2026-01-01", "2026"), f"3: {AT}.start: 2026 is not a day; expected one such as 2026-01-01"),
    "start as digits": (("2026-01-01", "20260101"), f"3: {AT}.start: 20260101 is not a day; expected one such as"),
    "start with a time": (("2026-01-01", "2026-01-01T10:00:00Z"), f"3: {AT}.start: '2026-01-01 10:00:00+00:00' is not"),
    "start at no such day": (("2026-01-01", "2026-02-30"), "3: not valid YAML: day is out of range for month"),
    "duration without unit": (("24h", "300"), f"6: {AT}.polling_interval: 300 is not a duration; expected a number"),
    "duration in words": (("24h", "daily"), f"6: {AT}.polling_interval: 'daily' is not a duration; expected a number"),
    "no duration": (
        ("24h", "0m"),
        f"6: {AT}.polling_interval: '0m' is not a duration; expected a number and m, h or d",
    ),
    "minutes that do not divide the hour": (("24h", "7m"), f"6: {AT}.polling_interval: cannot be kept by the clock"),
    "more than an hour": (("24h", "90m"), f"6: {AT}.polling_interval: cannot be kept by the clock; expected minutes"),
    "hours that do not divide the day": (("24h", "5h"), f"6: {AT}.polling_interval: cannot be kept by the clock"),
    "more than a day": (("24h", "2d"), f"6: {AT}.polling_interval: cannot be kept by the clock; expected minutes that"),
    "half a day to look back": (("3d", "36h"), f"7: {AT}.lookback: expected whole days, such as 3d"),
    "types as a word": (
        ("[Visit Webpage, 3]", "Visit Webpage"),
        f"4: {AT}.types: expected `all` or a list of names and",
    ),
    "types as a number": (
        ("[Visit Webpage, 3]", "3"),
        f"4: {AT}.types: expected `all` or a list of names and ids, such",
    ),
    "exceptions as a word": (
        ("[Click Email]", "Click Email"),
        f"5: {AT}.except_types: expected a list, such as [Click Email]",
    ),
    "lead fields as a word": (("[email]", "email"), f"9: {AT}.lead_fields: expected a list, such as [email]"),
    "no types": (("[Visit Webpage, 3]", "[]"), f"2: {AT}: no activity type is left; name some in types, or write"),
    "all types excepted": (("[Click Email]", "[' visit  webpage', '3']"), f"2: {AT}: no activity type is left; name"),
    "unknown route": (("lookback: 3d", "route: soap"), f"7: {AT}.route: Input should be 'auto', 'bulk' or 'rest'"),
    "nothing about activities": (("  activities:", "  leads:"), "1: extract.activities: missing; it has no default"),
}


def test_the_extract_is_read_with_its_defaults(tmp_path: Path) -> None:
    extract = load(tmp_path, "extract: {activities: {start: 2026-01-01}}").extract
    assert extract is not None
    read = extract.activities
    assert (read.start, read.types, read.except_types, read.route) == (date(2026, 1, 1), None, (), "auto")
    assert (read.polling_interval, read.lookback) == (timedelta(hours=24), timedelta(days=3))
    assert (read.lead_fields, read.lead_max_age) == ((), timedelta(days=7))
    assert load(tmp_path, "pumps: {}").extract is None


@pytest.mark.parametrize("fault", WRONG_EXTRACT)
def test_each_mistake_of_the_extract_is_one_message_with_its_line_and_remedy(tmp_path: Path, fault: str) -> None:
    (before, after), said = WRONG_EXTRACT[fault]
    assert before in EXTRACT
    wrong = problems(tmp_path, EXTRACT.replace(before, after, 1))
    assert f"marketo.yaml:{said}" in "\n".join(wrong)
    assert len(wrong) == (2 if fault == "nothing about activities" else 1)


@pytest.mark.parametrize(
    ("interval", "minutes"),
    [("1m", 1), ("5m", 5), ("60m", 60), ("1h", 60), ("120m", 120), ("6h", 360), ("24h", 1440), ("1d", 1440)],
)
def test_intervals_that_a_clock_can_keep_are_taken(tmp_path: Path, interval: str, minutes: int) -> None:
    extract = load(tmp_path, EXTRACT.replace("24h", interval)).extract
    assert extract is not None
    assert extract.activities.polling_interval == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["a: 0b_", "a: !!int x", "a: {2026-13-45: 1}", "a: [2026-02-30]"])
def test_a_value_that_yaml_itself_cannot_read_is_a_message_with_its_line(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, f"# first\n{text}\n")
    assert problem.startswith("marketo.yaml:2: not valid YAML: ")
