"""Guards misbehaviour on request: each fault does what it says, as often as it says; bad files are refused clearly."""

from pathlib import Path
from typing import Any

import pytest
import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import Fault, FaultsError, load_faults
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, codes, emulated

WRITE = "POST /rest/v1/leads.json"
ROW = {"email": "a@example.test"}


def test_an_error_is_answered_instead_of_the_write_and_only_as_often_as_asked() -> None:
    with emulated(faults=[Fault(WRITE, "error", code="604", first=2)]) as (emulator, api):
        assert code(api.post("leads.json", {"input": [ROW]})) == "604"
        assert code(api.post("leads.json", {"input": [ROW]})) == "604"
        assert emulator.lead_count() == 0
        assert emulator.calls() == 0  # 604 is not counted
        assert codes(api.sync(ROW)) == ["created"]
        assert emulator.errors() == {"604": 2}


def test_an_error_can_hide_a_write_that_happened() -> None:
    with emulated(faults=[Fault(WRITE, "error", code="611", first=1, after_write=True)]) as (emulator, api):
        assert code(api.post("leads.json", {"input": [ROW]})) == "611"
        assert emulator.lead_count() == 1


def test_every_nth_call() -> None:
    with emulated(faults=[Fault("GET /rest/v1/stats/*", "error", code="713", every=3)]) as (_, api):
        answers = [api.get("stats/usage.json")["success"] for _ in range(6)]
    assert answers == [True, True, False, True, True, False]


def test_a_probability_with_a_seed_gives_the_same_calls_every_time() -> None:
    runs = []
    for _ in range(2):
        with emulated(faults=[Fault("* /rest/*", "error", code="608", probability=0.5, seed=7)]) as (_, api):
            runs.append([api.get("stats/usage.json")["success"] for _ in range(20)])
    assert runs[0] == runs[1]
    assert 0 < sum(runs[0]) < 20


def test_a_bad_gateway_speaks_html() -> None:
    with emulated(faults=[Fault(WRITE, "http_502", first=1)]) as (emulator, api):
        reply = api.session.post(f"{api.base}/rest/v1/leads.json", json={"input": [ROW]})
        assert (reply.status_code, reply.headers["Content-Type"]) == (502, "text/html")
        assert reply.text.startswith("<html>")
        assert emulator.lead_count() == 0


@pytest.mark.parametrize(("kind", "leads"), [("reset_before_write", 0), ("reset_after_write", 1)])
def test_a_reset_breaks_the_connection_before_or_after_the_write(kind: Any, leads: int) -> None:
    with emulated(faults=[Fault(WRITE, kind, first=1)]) as (emulator, api):
        with pytest.raises(requests.ConnectionError):
            api.sync(ROW)
        assert emulator.lead_count() == leads


def test_truncated_json_comes_after_the_write() -> None:
    with emulated(faults=[Fault(WRITE, "truncated_json", first=1)]) as (emulator, api):
        reply = api.session.post(f"{api.base}/rest/v1/leads.json", json={"input": [ROW]})
        assert reply.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            reply.json()
        assert emulator.lead_count() == 1


def test_an_expired_token_is_602_once_and_a_new_one_helps() -> None:
    with emulated(faults=[Fault("* /rest/*", "expired_token", first=1)]) as (_, api):
        assert code(api.get("stats/usage.json")) == "602"
        assert code(api.get("stats/usage.json")) == "602"
        api.sign_in()
        assert api.get("stats/usage.json")["success"]


def test_a_slow_call_times_out_for_its_client_and_is_written_all_the_same_later() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(WRITE, "slow", seconds=60, first=1)]) as (emulator, api):
        with pytest.raises(requests.ReadTimeout):
            api.session.post(f"{api.base}/rest/v1/leads.json", json={"input": [ROW]}, timeout=(5, 30))
        assert clock.now() == START + 30
        assert emulator.lead_count() == 0
        assert codes(api.sync(ROW)) == ["created"]  # the client tries again: as in Marketo, two leads will be there
        clock.advance(30)
        assert emulator.lead_count() == 2


def test_a_slow_call_takes_its_time_on_the_clock() -> None:
    clock = VirtualClock(START)
    with emulated(clock, latency_ms=100, faults=[Fault(WRITE, "slow", seconds=5, first=1)]) as (_, api):
        before = clock.now()
        api.sync(ROW)
    assert clock.now() - before == pytest.approx(5.1)


def test_a_post_that_stands_for_a_get_is_a_get() -> None:
    with emulated(faults=[Fault("GET /rest/v1/leads.json", "error", code="604", first=1)]) as (_, api):
        form = {"_method": "GET", "filterType": "id", "filterValues": "1"}
        assert code(api.form("leads.json", form)) == "604"
        assert _write_goes_through(api)


def test_a_faults_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        """
        faults:
          - {call: POST /rest/v1/leads.json, fault: error, code: 604, every: 10}
          - {call: "* /rest/*", fault: slow, seconds: 2.5, probability: 0.1, seed: 3}
          - {call: "* /rest/*", fault: expired_token, first: 1}
        """
    )
    assert load_faults(path) == [
        Fault("POST /rest/v1/leads.json", "error", code="604", every=10),
        Fault("* /rest/*", "slow", seconds=2.5, probability=0.1, seed=3),
        Fault("* /rest/*", "expired_token", first=1),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faults: {", "not YAML"),
        ("- call: x", "expected one key, faults"),
        ("faults: [7]", r"faults\[0\]: expected keys and values"),
        ("faults: [{call: GET /x, fault: slow, seconds: 1, first: 1}, {fault: slow}]", r"faults\[1\]: call missing"),
        ("faults: [{call: GET /x, fault: slow, second: 1}]", "unknown key second"),
        ("faults: [{call: GET /x, fault: explode, first: 1}]", "fault must be one of"),
        ("faults: [{call: GET /x, fault: error, first: 1}]", "an error needs a code"),
        ("faults: [{call: GET /x, fault: slow, first: 1}]", "slow needs seconds"),
        ("faults: [{call: /x, fault: http_502, first: 1}]", "call must be 'METHOD /path'"),
        ("faults: [{call: GET /x, fault: http_502}]", "exactly one of every, first, probability"),
        ("faults: [{call: GET /x, fault: http_502, first: 1, every: 2}]", "exactly one of"),
        ("faults: [{call: GET /x, fault: http_502, every: 0}]", "every must be 1 or more"),
        ("faults: [{call: GET /x, fault: http_502, every: often}]", "every has the wrong type"),
        ("faults: [{call: GET /x, fault: http_502, probability: 7}]", "probability must be within"),
        ("faults: [{call: GET /x, fault: slow, seconds: 1, first: 1, after_write: true}]", "after_write goes with"),
    ],
)
def test_a_bad_faults_file_is_refused_with_the_entry(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(FaultsError, match=message):
        load_faults(path)


def _write_goes_through(api: Api) -> bool:
    return codes(api.sync(ROW)) == ["created"]
