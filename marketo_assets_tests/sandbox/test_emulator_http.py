"""Guards the emulator behind a real socket: overlap, resets, sizes, compression, and state after a kill."""

import gzip
import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from marketo_assets.marketo.clock import SystemClock, VirtualClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Fault, LocalServer, Request
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, codes

WRITE = "POST /rest/v1/leads.json"
ROW = {"email": "a@example.test"}
SERVER = """
import sys
from pathlib import Path
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, serve
emulator = Emulator(EmulatorOptions(state=Path(sys.argv[1])), SystemClock())
serve(emulator, 0, ready=lambda port: print(port, flush=True))
"""


@contextmanager
def served(**options: Any) -> Iterator[tuple[Emulator, Api]]:
    emulator = Emulator(EmulatorOptions(**options), SystemClock())
    with LocalServer(emulator) as server:
        api = Api(server.url)
        api.sign_in()
        yield emulator, api
    emulator.close()


def test_two_overlapping_calls_with_one_new_key_make_two_leads() -> None:
    with served(latency_ms=500) as (emulator, api), ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: api.sync(ROW), range(2)))
        assert [codes(result) for result in results] == [["created"], ["created"]]
        assert emulator.lead_count() == 2
        assert codes(api.sync(ROW)) == ["1007"]


def test_an_update_that_overlaps_a_delete_finds_no_lead() -> None:
    emulator = Emulator(EmulatorOptions(), VirtualClock(START))
    options = emulator.options
    query = f"grant_type=client_credentials&client_id={options.client_id}&client_secret={options.client_secret}"
    token = orjson.loads(emulator.handle(Request("GET", "/identity/oauth/token", query)).body)["access_token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    write = Request("POST", "/rest/v1/leads.json", headers=headers, body=orjson.dumps({"input": [ROW]}))
    emulator.handle(write)
    pending = emulator.begin(write)
    emulator.handle(Request("POST", "/rest/v1/leads/delete.json", "id=1", headers))
    assert codes(orjson.loads(emulator.finish(pending).body)["result"]) == ["1004"]
    emulator.close()


@pytest.mark.parametrize(("kind", "leads"), [("reset_before_write", 0), ("reset_after_write", 1)])
def test_a_reset_breaks_the_socket(kind: Any, leads: int) -> None:
    with served(faults=[Fault(WRITE, kind, first=1)]) as (emulator, api):
        with pytest.raises(requests.ConnectionError):
            api.sync(ROW)
        assert emulator.lead_count() == leads
        assert codes(api.sync(ROW)) == (["updated"] if leads else ["created"])


def test_truncated_json_and_html_arrive_whole_as_http() -> None:
    faults = [Fault(WRITE, "truncated_json", first=1), Fault("GET /rest/*", "http_502", first=1)]
    with served(faults=faults) as (_, api):
        reply = api.session.post(f"{api.base}/rest/v1/leads.json", json={"input": [ROW]})
        assert reply.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            reply.json()
        assert api.session.get(f"{api.base}/rest/v1/leads/describe.json").status_code == 502


def test_a_client_that_gave_up_does_not_stop_the_write() -> None:
    with served(latency_ms=200) as (emulator, api):
        with pytest.raises(requests.ReadTimeout):
            api.session.post(f"{api.base}/rest/v1/leads.json", json={"input": [ROW]}, timeout=(5, 0.05))
        reply = api.get("leads.json", filterType="email", filterValues="a@example.test")  # ends after the write
        assert len(reply["result"]) == emulator.lead_count() == 1


def test_sizes_are_refused_by_real_size() -> None:
    with served() as (_, api):
        url = f"{api.base}/rest/v1/leads.json"
        headers = {"Content-Type": "application/json"}
        assert api.session.post(url, data=b" " * 5_000_000, headers=headers).status_code == 413
        assert api.session.get(url, params={"filterType": "id", "filterValues": "1" * 9_000}).status_code == 414
        assert codes(api.sync(ROW)) == ["created"]


def test_replies_are_compressed_from_1_kb_for_those_who_ask_and_requests_never_are() -> None:
    with served() as (_, api):
        describe, usage = f"{api.base}/rest/v1/leads/describe.json", f"{api.base}/rest/v1/stats/usage.json"
        assert api.session.get(describe).headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in api.session.get(usage).headers
        assert "Content-Encoding" not in api.session.get(describe, headers={"Accept-Encoding": "identity"}).headers
        packed = gzip.compress(orjson.dumps({"input": [ROW]}))
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        refused = api.session.post(f"{api.base}/rest/v1/leads.json", data=packed, headers=headers)
        assert code(refused.json()) == "609"


def test_one_connection_serves_many_calls() -> None:
    with served() as (_, api):
        connection = http.client.HTTPConnection(api.base.removeprefix("http://"))
        headers = {"Authorization": str(api.session.headers["Authorization"])}
        sockets = set()
        for _ in range(3):
            connection.request("GET", "/rest/v1/stats/usage.json", headers=headers)
            assert orjson.loads(connection.getresponse().read())["success"]
            sockets.add(connection.sock)
        connection.close()
    assert len(sockets) == 1


def test_state_survives_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "state" / "marketo.sqlite"
    with _child(state) as (process, api):
        token = api.sign_in()["access_token"]
        api.sync(*({"email": f"{number}@example.test", "cDBCompanyName": "ACME"} for number in range(300)))
        api.post("lists/1001/leads.json", id="7")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with _child(state) as (_, api):
        assert api.sign_in()["access_token"] == token
        assert api.sync({"email": "6@example.test", "cDBCompanyName": None}) == [{"id": 7, "status": "updated"}]
        assert api.sync({"email": "new@example.test"}) == [{"id": 301, "status": "created"}]
        assert [lead["id"] for lead in api.get("lists/1001/leads.json")["result"]] == [7]
        assert api.get("stats/usage.json")["result"][0]["total"] >= 5
    emulator = Emulator(EmulatorOptions(state=state), SystemClock())
    kinds = [activity["activityTypeId"] for activity in emulator.activities()]
    emulator.close()
    assert (kinds.count(12), kinds.count(13), kinds.count(24)) == (301, 1, 1)
    assert len(kinds) == 303


@contextmanager
def _child(state: Path) -> Iterator[tuple[subprocess.Popen[str], Api]]:
    command = [sys.executable, "-c", SERVER, str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            api = Api(f"http://127.0.0.1:{int(process.stdout.readline())}")
            api.sign_in()
            yield process, api
        finally:
            process.terminate()
