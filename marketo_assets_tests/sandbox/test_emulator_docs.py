"""Guards docs/emulator.md: its faults file loads, its endpoints exist, its switches are options."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from marketo_assets.sandbox.marketo import EmulatorOptions, load_custom_objects, load_faults
from marketo_assets.sandbox.marketo.faults import FaultKind
from marketo_assets_tests.sandbox.emulator_calls import emulated
from marketo_assets_tests.sandbox.record_calls import PET

TEXT = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")


def test_the_faults_file_of_the_documentation_loads_and_shows_every_fault(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(faults:.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "faults.yaml"
    path.write_text(example)
    assert {fault.kind for fault in load_faults(path)} == set(get_args(FaultKind))


def test_the_custom_objects_of_the_documentation_load(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(custom_objects:.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "objects.yaml"
    path.write_text(example)
    assert [each.name for each in load_custom_objects(path)] == ["course_c", "enrollment_c"]


def test_the_programs_of_the_documentation_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) == 2
    names: dict[str, Any] = {}
    for example in examples:
        exec(example, names)
    emulator = names["emulator"]
    assert [company["company"] for company in emulator.records("Company")] == ["ACME"]
    assert emulator.custom_object("pet_c").visible.keys() == {"petId", "owner", "name"}
    emulator.close()


def test_the_switches_it_names_are_options() -> None:
    switches = {
        *("parameter_token_is_invalid", "unknown_row_field", "paging_token_seconds"),
        *("unknown_company", "deletes_in_activities"),
    }
    assert set(re.findall(r"with `(\w+)", TEXT)) & switches == switches
    kept_days = set(re.findall(r"`(\w+_days)` \d+", TEXT))
    assert kept_days == {"deleted_lead_days", "short_lived_activity_days"}
    assert switches | kept_days <= {field.name for field in fields(EmulatorOptions)}


def test_the_switches_of_exports_it_names_are_options() -> None:
    named = set(re.findall(r"`(\w*export_\w+|\w+_export|updated_at_filter)[`=]", TEXT))
    assert len(named) == 7
    assert named <= {field.name for field in fields(EmulatorOptions)}


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`(?:\w+ )?((?:lead|stats|list|activit|compan|customobj)[\w/{}]*\.json)", TEXT)))
)
def test_the_endpoints_it_names_exist(path: str) -> None:
    with emulated(custom_objects=(PET,)) as (_, api):
        reply = api.get(path.replace("{id}", "1001").replace("{name}", "company").replace("{object}", "pet_c"))
    assert reply["success"] or reply["errors"][0]["code"] != "610"


def test_the_number_of_fields_it_names_is_true() -> None:
    standard, custom = map(int, re.findall(r"(\d+) standard fields and the (\d+) custom ones", TEXT)[0])
    with emulated() as (_, api):
        assert len(api.get("leads/describe.json")["result"]) == standard + custom
