"""The documentation is held to the code: what it names exists, and what exists is named.

Guards against: a README whose commands fail, a key or variable nobody can find, a dependency without a reason.
"""

import re
import tomllib
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from marketo_assets.cli import main
from marketo_assets.config import (
    ActivitiesConfig,
    ApiBudgetConfig,
    MarketoConfig,
    PumpConfig,
    SourceConfig,
    load_config,
)
from marketo_assets.config_sync import CompanyConfig, CustomObjectConfig, LeadSyncConfig, PullConfig, SyncConfig
from marketo_assets.config_types import FieldMapping
from marketo_assets.pump.values import EXPECTED

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
CONFIGURATION = (PROJECT / "docs" / "configuration.md").read_text()


def commands(tool: str) -> list[str]:
    """Every line of a code block or code span that calls the tool."""
    return sorted(set(re.findall(rf"(?:^|`)({tool} [^`\n#]+)", TEXT, flags=re.MULTILINE)))


@pytest.mark.parametrize("line", commands("marketo-assets"))
def test_every_command_named_exists_with_its_options(line: str) -> None:
    _, name, *words = line.split()
    command = main.get_command(click.Context(main), name)
    assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("line", commands("make"))
def test_every_make_target_named_exists(line: str) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    assert re.search(rf"^{line.split()[1]}:", makefile, flags=re.MULTILINE), line


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


MODELS = [
    ApiBudgetConfig,
    SourceConfig,
    PumpConfig,
    FieldMapping,
    ActivitiesConfig,
    SyncConfig,
    LeadSyncConfig,
    PullConfig,
    CompanyConfig,
    CustomObjectConfig,
]


@pytest.mark.parametrize("model", MODELS)
def test_every_key_of_marketo_yaml_is_documented(model: type[BaseModel]) -> None:
    for name in set(model.model_fields) - {"place", "column", "source"}:
        assert re.search(rf"\| `(?:[\w<>]+\.)*{name}` \|", CONFIGURATION), name


def test_every_variable_that_settings_read_is_documented() -> None:
    read = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', (PROJECT / "marketo_assets" / "settings.py").read_text()))
    assert {name for name in read if f"`{name}`" not in CONFIGURATION} == set()


def test_every_code_of_a_rejected_cell_is_documented() -> None:
    assert {code for code in EXPECTED if f"`{code}`" not in CONFIGURATION} == set()


def test_the_example_of_the_docs_is_a_valid_marketo_yaml(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", CONFIGURATION, flags=re.DOTALL)
    path = tmp_path / "marketo.yaml"
    path.write_text(example)
    assert isinstance(load_config(path), MarketoConfig)


def test_the_projects_own_marketo_yaml_maps_all_57_columns_of_the_seed() -> None:
    config = load_config(PROJECT / "marketo.yaml")
    assert len(config.pumps["contacts"].mapping) == 57
    assert {m.to for m in config.pumps["contacts"].mapping if not m.to.startswith(("[CDB]", "[PQL]"))} == {"email"}


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    listed = (PROJECT / "docs" / "dependencies.md").read_text()
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[<>=]", requirement)[0] for group in groups for requirement in group} - {"marketo-assets"}
    assert {
        name for name in names if not re.search(rf"^\|[^|]*\b{re.escape(name)}\b", listed, flags=re.MULTILINE)
    } == set()


def test_tables_named_in_the_docs_are_the_tables_there_are() -> None:
    files = (PROJECT / "marketo_assets").glob("*/sql/tables.sql")
    created = [name for file in files for name in re.findall(r"create table if not exists (\w+)", file.read_text())]
    architecture = (PROJECT / "docs" / "architecture.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", architecture, flags=re.MULTILINE)) >= {name.lower() for name in created}
