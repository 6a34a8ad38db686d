"""Guards against an env file a shell cannot read or strangers can, and a sandbox that is not what its options say."""

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
import requests
from click.testing import CliRunner
from mypy_boto3_s3.service_resource import Bucket

from marketo_assets.sandbox.command import sandbox, write_env_file
from marketo_assets.sandbox.contacts import count_contacts, open_warehouse
from marketo_assets.sandbox.purchases import PURCHASE_TABLE, PURCHASES

COMMAND = [sys.executable, "-c", "from marketo_assets.sandbox.command import sandbox; sandbox()"]
SHOW = f"set -a; . ./sandbox.env; exec {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
MARKETO = {
    "MARKETO_BASE_URL",
    "MARKETO_CLIENT_ID",
    "MARKETO_CLIENT_SECRET",
    "MARKETO_EXPORT_POLL_SECONDS",
    "MARKETO_ASSETS_ENV",
}


@contextmanager
def running(folder: Path, *options: str, stop: signal.Signals) -> Iterator[dict[str, str]]:
    """The variables that a shell gets from the env file while the command runs; it has to end by `stop` with 0."""
    command = [*COMMAND, "--state", "state", "--env-file", "sandbox.env", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert any("Ctrl-C stops it" in line for line in process.stdout)
            shown = subprocess.run(["bash", "-c", SHOW], cwd=folder, env={}, stdout=subprocess.PIPE, check=True)
            yield json.loads(shown.stdout)
        finally:
            process.send_signal(stop)
            process.stdout.read()  # its last words: closed earlier, the pipe would break under them
    assert process.returncode == 0


def token_parameters(env: dict[str, str]) -> dict[str, str]:
    names = {"client_id": "MARKETO_CLIENT_ID", "client_secret": "MARKETO_CLIENT_SECRET"}
    return {key: env[name] for key, name in names.items()} | {"grant_type": "client_credentials"}


def test_env_file_reads_back_in_bash_whatever_the_values_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.env"
    file.write_text("OLD=1\n")
    file.chmod(0o644)
    values = {"PLAIN": "x", "SPACES": " a  b ", "QUOTES": 'it\'s "so"', "SHELL": "$HOME `id` \\ ; # &", "EMPTY": ""}
    write_env_file(file, values)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = subprocess.run(["bash", "-c", SHOW], cwd=tmp_path, env={}, stdout=subprocess.PIPE, check=True)
    found = json.loads(shown.stdout)
    assert {name: found[name] for name in values} == values
    assert "OLD" not in found


def lead_count(env: dict[str, str]) -> int:
    token = requests.get(f"{env['MARKETO_BASE_URL']}/identity/oauth/token", token_parameters(env), timeout=5).json()
    reply = requests.get(
        f"{env['MARKETO_BASE_URL']}/rest/v1/leads.json",
        {"filterType": "id", "filterValues": ",".join(map(str, range(1, 300)))},
        headers={"Authorization": f"Bearer {token['access_token']}"},
        timeout=5,
    )
    return len(reply.json()["result"])


def visits(env: dict[str, str]) -> list[str]:
    """The marketoGUIDs of all Visit Webpage activities."""
    base = f"{env['MARKETO_BASE_URL']}/rest/v1/activities"
    token = requests.get(f"{env['MARKETO_BASE_URL']}/identity/oauth/token", token_parameters(env), timeout=5).json()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token['access_token']}"
        page = session.get(f"{base}/pagingtoken.json", params={"sinceDatetime": "2020-01-01"}, timeout=5).json()
        found, page["moreResult"] = [], True
        while page["moreResult"]:
            asked = {"nextPageToken": page["nextPageToken"], "activityTypeIds": "1"}
            page = session.get(f"{base}.json", params=asked, timeout=5).json()
            found += [activity["marketoGUID"] for activity in page.get("result", [])]
    return found


def bucket(env: dict[str, str]) -> Bucket:
    session = boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    s3 = session.resource("s3", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_DEFAULT_REGION"])
    return s3.Bucket(env["PUMP_BUCKET"])


def test_whole_sandbox_is_reached_by_its_variables_and_marketo_keeps_its_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine whose way out is a proxy, with one exception.
    for name, value in {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intranet"}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.lower(), raising=False)
    with running(tmp_path, "--contacts", "300", "--leads", "20", stop=signal.SIGINT) as env:
        assert {env["NO_PROXY"], env["no_proxy"]} == {"intranet,127.0.0.1"}
        monkeypatch.setenv("no_proxy", env["no_proxy"])
        assert lead_count(env) == 20
        bucket(env).put_object(Key=f"{env['PUMP_PREFIX']}/a.csv", Body=b"a")
        assert [entry.size for entry in bucket(env).objects.all()] == [1]
        with open_warehouse(env) as warehouse:
            assert count_contacts(warehouse) == 300
            assert count_contacts(warehouse, PURCHASE_TABLE) == PURCHASES
            assert warehouse.rows("select current_schema() as s") == [{"s": env["SNOWFLAKE_SCHEMA"]}]
    with running(tmp_path, "--only", "marketo", stop=signal.SIGTERM) as env:
        monkeypatch.setenv("no_proxy", env["no_proxy"])
        assert lead_count(env) == 20


def test_activities_are_filled_once_and_grow_by_themselves(tmp_path: Path) -> None:
    options = ("--only", "marketo", "--rate", "off", "--leads", "20", "--activities", "500", "--days", "3")
    with running(tmp_path, *options, stop=signal.SIGTERM) as env:
        filled = visits(env)
        assert 50 < len(filled) < 300
    with running(tmp_path, *options, "--activities-per-minute", "60000", stop=signal.SIGTERM) as env:
        found = visits(env)
        deadline = time.monotonic() + 10
        while len(found) == len(filled) and time.monotonic() < deadline:
            time.sleep(0.05)
            found = visits(env)
        assert found[: len(filled)] == filled
        assert len(found) > len(filled)


def test_activities_without_leads_are_refused_with_the_reason(tmp_path: Path) -> None:
    result = CliRunner().invoke(sandbox, ["--state", str(tmp_path), "--only", "marketo", "--activities", "5"])
    assert result.exit_code == 1
    assert "add leads first" in result.output


def test_only_marketo_starts_marketo_alone_with_the_limits_given(tmp_path: Path) -> None:
    options = ("--only", "marketo", "--rate", "2/60", "--token-seconds", "60")
    with running(tmp_path, *options, stop=signal.SIGTERM) as env:
        assert {name for name in env if name.startswith(("MARKETO", "SNOWFLAKE", "AWS", "PUMP"))} == MARKETO
        assert lead_count(env) == 0
        assert lead_count(env) == 0
        with pytest.raises(KeyError):  # no result: the third call within the minute
            lead_count(env)
        assert [file.name for file in (tmp_path / "state" / "logs").glob("*.log")] == ["marketo.log"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "100"], "neither like 100/20"),
        (["--rate", "0/20"], "neither like 100/20"),
        (["--concurrency", "none"], "neither a number from 1 nor off"),
        (["--daily-quota", "0"], "neither a number from 1 nor off"),
        (["--export-quota-mb", "0.5"], "neither a number from 1 nor off"),
        (["--only", "marketo", "--contacts", "5"], "--contacts needs the local Snowflake"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_starts(
    options: list[str], message: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(sandbox, ["--state", str(tmp_path / "state"), *options])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "state").exists()


def test_a_faults_file_with_a_mistake_is_refused_before_anything_starts(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("faults: [{call: 'GET *', fault: sulks}]")
    result = CliRunner().invoke(sandbox, ["--state", str(tmp_path / "state"), "--faults", str(faults)])
    assert result.exit_code == 2
    assert "faults[0]" in result.output
    assert not (tmp_path / "state").exists()
