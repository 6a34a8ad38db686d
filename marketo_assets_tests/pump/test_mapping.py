"""marketo.yaml against Describe Lead.

Guards against: a run that writes something before it finds out that the mapping is wrong, and a complaint that does
not say which line to change.
"""

from pathlib import Path

import pytest

from marketo_assets.config import PumpConfig, load_config
from marketo_assets.config_types import ConfigError
from marketo_assets.marketo.leads import LeadField
from marketo_assets.pump.mapping import resolve_mapping

DESCRIBED = [
    LeadField("email", "Email Address", "email", 255, read_only=False),
    LeadField("firstName", "First Name", "string", 255, read_only=False),
    LeadField("cDBFirstName", "[CDB]  First Name", "string", 255, read_only=False),
    LeadField("notes1", "Notes", "text", None, read_only=False),
    LeadField("notes2", "Notes", "text", None, read_only=False),
    LeadField("mktoName", "Full Name", "string", 255, read_only=True),
]

HEAD = """pumps:
  contacts:
    source: {table: T, key: mail, updated_at: changed}
    mapping:
      mail: email
"""


def pump(folder: Path, *lines: str, head: str = HEAD) -> PumpConfig:
    path = folder / "marketo.yaml"
    path.write_text(head + "".join(f"      {line}\n" for line in lines))
    return load_config(path).pumps["contacts"]


def complaints(folder: Path, *lines: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        resolve_mapping(pump(folder, *lines, head=head), DESCRIBED)
    return wrong.value.problems


def test_fields_are_found_by_rest_name_and_by_display_name_case_and_runs_of_blanks_aside(tmp_path: Path) -> None:
    mapping = resolve_mapping(pump(tmp_path, "a: FIRSTNAME", 'b: "[cdb] first name"'), DESCRIBED)
    assert [(m.column, m.field.name) for m in mapping.fields] == [
        ("mail", "email"),
        ("a", "firstName"),
        ("b", "cDBFirstName"),
    ]
    assert mapping.key.field.name == "email"


def test_all_wrong_lines_are_named_at_once(tmp_path: Path) -> None:
    assert complaints(
        tmp_path, "a: firstNam", "b: Notes", "c: Full Name", "d: firstName", 'e: "First Name"', "f: zzz"
    ) == [
        "marketo.yaml:6: a: Marketo has no lead field 'firstNam'; did you mean 'firstName'?",
        "marketo.yaml:7: b: 'Notes' is the name of several fields; use one of ['notes1', 'notes2']",
        "marketo.yaml:8: c: the field 'mktoName' is read-only in Marketo; unmap it",
        "marketo.yaml:10: column 'e' ends in the field 'firstName', as does 'd' (marketo.yaml:9); keep one of them",
        "marketo.yaml:11: f: Marketo has no lead field 'zzz'",
    ]


def test_the_key_column_must_fill_the_lookup_field(tmp_path: Path) -> None:
    head = HEAD.replace("mail: email", "mail: firstName")
    (problem,) = complaints(tmp_path, head=head)
    assert problem.startswith("marketo.yaml:5: the key column 'mail' must be mapped to the lookup field 'email'")
    assert complaints(tmp_path, head=HEAD.replace("    mapping", "    lookup_field: nosuch\n    mapping"))
    by_display_name = HEAD.replace("    mapping", "    lookup_field: Email Address\n    mapping")
    assert resolve_mapping(pump(tmp_path, head=by_display_name), DESCRIBED).key.field.name == "email"


def test_the_version_changes_with_every_rule_that_could_make_a_refused_row_good(tmp_path: Path) -> None:
    def version(line: str) -> str:
        return resolve_mapping(pump(tmp_path, line), DESCRIBED).version

    lines = [
        "a: firstName",
        "a: {to: firstName, when_null: clear}",
        "a: {to: firstName, when_too_long: truncate}",
        "a: cDBFirstName",
        "b: firstName",
    ]
    assert len({version(line) for line in lines}) == len(lines)
    assert version("a: firstName") == version('a: "First Name"')
