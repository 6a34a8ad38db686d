"""Guards the file that defines custom objects, and its way into the process that serves: what is read is what runs."""

import json
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from marketo_assets.sandbox.command import sandbox
from marketo_assets.sandbox.marketo import CustomObjectsError, EmulatorOptions, load_custom_objects
from marketo_assets.sandbox.marketo_server import read_options
from marketo_assets_tests.sandbox.emulator_calls import Api, code, emulated
from marketo_assets_tests.sandbox.record_calls import PET, TYPES
from marketo_assets_tests.sandbox.test_sandbox_command import running

DOCUMENT: dict[str, Any] = {
    "custom_objects": [
        {
            "name": "pet_c",
            "displayName": "Pet",
            "dedupeFields": ["petId"],
            "fields": [
                {"name": "petId", "displayName": "Pet Id", "dataType": "integer"},
                {"name": "owner", "displayName": "Owner", "dataType": "email"},
                {"name": "name", "displayName": "Name", "length": 10},
                {"name": "tame", "displayName": "Is Tame", "dataType": "boolean"},
                {"name": "born", "displayName": "Born", "dataType": "date"},
            ],
            "relationships": [{"field": "owner", "relatedTo": {"name": "Lead", "field": "email"}}],
        }
    ]
}


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps])
def test_yaml_and_json_define_the_same(tmp_path: Path, write: Any) -> None:
    file = tmp_path / "objects"
    file.write_text(write(DOCUMENT))
    assert load_custom_objects(file) == (PET,)


def test_an_emulator_describes_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT))
    with emulated(custom_objects=load_custom_objects(file)) as (_, api):
        (described,) = api.get("customobjects/pet_c/describe.json")["result"]
    fields = {field["name"]: field for field in described["fields"]}
    for given in DOCUMENT["custom_objects"][0]["fields"]:
        assert fields[given["name"]].items() >= given.items()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dedupeFields": ["nope"]}, "pet_c: no field is called nope"),
        ({"colour": "red"}, "custom_objects.0.colour"),
        ({"fields": [{"displayName": "x"}]}, "custom_objects.0.fields.0.name"),
        ({"relationships": [{"field": "owner"}]}, "custom_objects.0.relationships.0.relatedTo"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, change: Mapping[str, Any], problem: str) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump({"custom_objects": [DOCUMENT["custom_objects"][0] | change]}))
    with pytest.raises(CustomObjectsError) as raised:
        load_custom_objects(file)
    assert str(file) in str(raised.value)
    assert problem in str(raised.value)
    result = CliRunner().invoke(sandbox, ["--custom-objects", str(file)])
    assert result.exit_code == 2
    assert problem in "".join(result.output.split("│")).replace("\n", "")


@pytest.mark.parametrize("text", ["{", "[]", "custom_objects: 1", ""])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(text)
    with pytest.raises(CustomObjectsError):
        load_custom_objects(file)


def test_the_command_starts_a_marketo_with_them_and_with_a_native_crm(tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump(DOCUMENT))
    options = ("--only", "marketo", "--custom-objects", "objects.yaml", "--native-crm")
    with running(tmp_path, *options, stop=signal.SIGTERM) as env:
        api = Api(env["MARKETO_BASE_URL"])
        api.sign_in()
        assert [each["name"] for each in api.get("customobjects.json")["result"]] == ["pet_c"]
        assert code(api.post("companies.json", {"input": [{"externalCompanyId": "A1"}]})) == "1018"


def test_options_come_whole_into_the_process_that_serves() -> None:
    options = EmulatorOptions(
        custom_objects=TYPES, native_crm=True, programs=("A",), unknown_company="ignore", faults=[]
    )
    assert read_options(json.loads(json.dumps(asdict(options)))) == options
