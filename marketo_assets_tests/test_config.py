"""marketo.yaml: what is wrong in it, and where.

Guards against: a mistake that is found out in production, one at a time, without its line, or as a stack trace.
"""

from pathlib import Path

import pytest

from marketo_assets.config import ConfigError, MarketoConfig, load_config

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
