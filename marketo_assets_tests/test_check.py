"""`marketo-assets check` looks at everything and writes nothing.

Guards against: a green check of a mapping that fails at night, and a check that stops at the first thing wrong.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from mypy_boto3_s3.service_resource import Bucket

from marketo_assets.cli import main
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, LocalServer
from marketo_assets.warehouse.session import Warehouse

CONFIG = """
pumps:
  contacts:
    source: {{table: {table}, key: email_address, updated_at: last_changed}}
    mapping:
      email_address: email
      first_name: {field}
"""


@pytest.fixture
def warehouse_env(empty_schema_env: dict[str, str]) -> dict[str, str]:
    """Of a schema without tables: it is looked at which ones there are."""
    return empty_schema_env


@pytest.fixture
def environment(warehouse_env: dict[str, str], s3_env: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    options = EmulatorOptions()
    with closing(Emulator(options, SystemClock())) as emulator, LocalServer(emulator) as server:
        yield {
            **warehouse_env,
            **s3_env,
            **processes.marketo_environment(server.url, options),
            "MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"),
            "DAGSTER_HOME": str(tmp_path),
        }
        assert emulator.lead_count() == 0


def test_all_is_well(
    environment: dict[str, str], warehouse: Warehouse, source_schema: str, s3_bucket: Bucket, tmp_path: Path
) -> None:
    table = f"{source_schema}.CONTACTS"
    warehouse.execute(f"create table {table} (email_address varchar, first_name varchar, last_changed timestamp_ntz)")
    (tmp_path / "marketo.yaml").write_text(CONFIG.format(table=table, field="firstName"))
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        "ok    marketo.yaml and the environment (local)",
        "ok    Marketo",
        "ok    S3",
        "ok    mapping of contacts",
        "ok    table of contacts",
    ]
    assert list(s3_bucket.objects.all()) == []
    assert warehouse._tables() == set()


def test_everything_wrong_is_named_at_once_with_its_line(
    environment: dict[str, str], source_schema: str, tmp_path: Path
) -> None:
    (tmp_path / "marketo.yaml").write_text(CONFIG.format(table=f"{source_schema}.NO_TABLE", field="firstNme"))
    result = CliRunner().invoke(main, ["check"], env={**environment, "PUMP_BUCKET": "no-such-bucket"})
    assert result.exit_code == 1
    assert "FAIL  S3" in result.output
    assert (
        "marketo.yaml:7: first_name: Marketo has no lead field 'firstNme'; did you mean 'firstName'?" in result.output
    )
    assert "FAIL  table of contacts" in result.output


EXTRACT = """
extract:
  activities:
    start: 2026-01-01
    types: [visit webpage, 3, "Delete Lead"]
    except_types: [Click Email]
    lead_fields: [email, Company Name]
"""


def test_an_extract_that_fits_is_said_to_fit(environment: dict[str, str], warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "marketo.yaml").write_text(EXTRACT)
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[3].startswith("ok    activity types of the extract: 2 of ")
    assert lines[4] == "ok    lead fields of the extract: 2 exist"
    database, schema = environment["SNOWFLAKE_DATABASE"], environment["SNOWFLAKE_SCHEMA"]
    assert lines[5:] == [f"ok    schema of the extract: {database}.{schema}, with 0 tables and views"]
    assert warehouse._tables() == set()


def test_types_and_fields_that_marketo_does_not_have_are_named_all_at_once(
    environment: dict[str, str], tmp_path: Path
) -> None:
    text = EXTRACT.replace("visit webpage", "Visit Webpge, 99999").replace("Click Email", "Nothing like it")
    (tmp_path / "marketo.yaml").write_text(text.replace("Company Name", "Compny Name"))
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 1
    said = result.output
    assert "FAIL  activity types of the extract: Marketo has no activity type 'Visit Webpge'; did you mean" in said
    assert "did you mean 'Visit Webpage'?\nMarketo has no activity type '99999'\n" in said
    assert "Marketo has no activity type 'Nothing like it'\n" in said
    assert "FAIL  lead fields of the extract: Marketo has no lead field 'Compny Name'; did you mean 'Company" in said
    assert "2 of the above must be mended" in said


def test_an_extract_of_nothing_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "marketo.yaml").write_text(EXTRACT.replace('visit webpage, 3, "Delete Lead"', "37"))
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 1
    assert "FAIL  activity types of the extract: none is left to read: deletes come from Get Deleted" in result.output


def test_a_wrong_environment_is_one_clear_message(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check"], env={"MARKETO_ASSETS_ENV": "production", "MARKETO_BASE_URL": ""})
    assert result.exit_code == 1
    assert "MARKETO_ASSETS_ENV is 'production'; expected one of local, staging, prod" in result.output
    assert "MARKETO_BASE_URL" in result.output


def test_what_the_sync_names_is_looked_at(
    environment: dict[str, str], warehouse: Warehouse, source_schema: str, tmp_path: Path
) -> None:
    table = f"{source_schema}.CONTACTS"
    warehouse.execute(f"create table {table} (email_address varchar, first_name varchar, last_changed timestamp_ntz)")
    warehouse.execute(f"create table {source_schema}.ACCOUNTS (account_id varchar, name varchar)")
    sync = f"""
sync:
  leads: {{start: 2026-01-01, pump: contacts, conflicts_by_field: {{fristName: marketo}}}}
  companies:
    accounts:
      source: {{table: {source_schema}.ACCOUNTS, key: account_id}}
      mapping: {{account_id: externalCompanyId, name: company, city: billingCity}}
"""
    (tmp_path / "marketo.yaml").write_text(CONFIG.format(table=table, field="firstName") + sync)
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 1
    assert "FAIL  leads of the sync: Marketo has no lead field 'fristName'" in result.output
    assert "city: the table" in result.output
    right = sync.replace("fristName", "firstName").replace(", city: billingCity", "")
    (tmp_path / "marketo.yaml").write_text(CONFIG.format(table=table, field="firstName") + right)
    result = CliRunner().invoke(main, ["check"], env=environment)
    assert result.exit_code == 0, result.output
    assert "ok    leads of the sync: 2 fields in step" in result.output
    assert "ok    companies/accounts: 2 fields exist" in result.output
