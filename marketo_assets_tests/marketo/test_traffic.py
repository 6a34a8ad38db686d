"""Guards against what only longer traffic shows: limits broken together, lost rows, secrets in the log."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import SystemClock, VirtualClock
from marketo_assets.marketo.errors import MarketoError, QuotaExhaustedError
from marketo_assets.marketo.leads import leads_by_filter, sync_leads
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.marketo.usage import calls_used_today
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Fault, LocalServer
from marketo_assets_tests.marketo.conftest import NewEmulator, NewUser

PATH = "/rest/v1/leads/partitions.json"
SECRET = "kept-secret"


def test_alone_on_the_instance_no_limit_is_ever_broken(
    new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock
) -> None:
    client = new_user(new_emulator())
    started = clock.now()
    for _ in range(999):  # and one that asks for the usage
        client.request("GET", PATH)
    assert client.stats.errors_by_code == {}
    assert clock.now() - started <= 10 * 20 * 1.03
    assert client.stats.seconds_waited == pytest.approx(clock.now() - started)


def test_with_another_machine_on_the_instance_every_call_still_gets_through(
    new_user: NewUser, new_emulator: NewEmulator
) -> None:
    emulator = new_emulator()
    here, there = new_user(emulator, machine="here"), new_user(emulator, machine="there")
    for _ in range(250):
        here.request("GET", PATH)
        there.request("GET", PATH)
    refused = here.stats.errors_by_code.get("606", 0) + there.stats.errors_by_code.get("606", 0)
    assert 0 < refused <= 20


def test_a_used_up_quota_is_not_hammered_and_resumes_at_midnight(
    new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock
) -> None:
    emulator = new_emulator(daily_quota=30)
    client = new_user(emulator)
    for _ in range(29):  # and one that asks for the usage
        client.request("GET", PATH)
    with pytest.raises(QuotaExhaustedError) as caught:
        client.request("GET", PATH)
    counted = emulator.calls()
    for _ in range(10):
        with pytest.raises(QuotaExhaustedError):
            client.request("GET", PATH)
    assert emulator.calls() == counted
    clock.advance(caught.value.resume_at.timestamp() - clock.now())
    client.request("GET", PATH)


def test_the_reserve_is_left_to_others(new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock) -> None:
    emulator = new_emulator(daily_quota=200)
    other = new_user(emulator, machine="there")
    for _ in range(49):
        other.request("GET", PATH)
    client = new_user(emulator, ApiLimits(calls_per_day=200, reserve_for_others=0.5))
    for _ in range(49):
        client.request("GET", PATH)
    with pytest.raises(QuotaExhaustedError, match="100 calls are used today; 100 of 200 are ours to use"):
        client.request("GET", PATH)
    assert emulator.calls() == 100
    clock.advance(20)
    assert calls_used_today(other) == 101
    assert client.stats.errors_by_code == {}


def test_tokens_run_out_unnoticed(new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock) -> None:
    client = new_user(new_emulator(token_seconds=90))
    for _ in range(200):
        client.request("GET", PATH)
        clock.advance(7)
    assert sum(client.stats.errors_by_code.values()) == 0


def test_ten_threads_through_every_fault_lose_and_double_no_row(new_user: NewUser, new_emulator: NewEmulator) -> None:
    leads = "POST /rest/v1/leads.json"
    emulator = new_emulator(
        # Rare enough that no batch meets seven of a kind in a row, where the client rightly gives up.
        faults=[
            Fault(leads, "reset_after_write", every=17),
            Fault(leads, "reset_before_write", every=19),
            Fault(leads, "truncated_json", every=31),
            Fault(leads, "expired_token", first=1),
            Fault(leads, "error", code="604", every=5),
            Fault(leads, "http_502", every=29, after_write=True),
            Fault("* /rest/*", "error", code="615", every=31),
        ]
    )
    client = new_user(emulator)
    batches = [[orjson.dumps({"email": f"{batch}-{row}@x.test"}) for row in range(100)] for batch in range(60)]
    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda rows: sync_leads(client, rows), batches))
    assert [len(batch) for batch in results] == [100] * 60
    assert emulator.lead_count() == 6000
    ids = {result.lead_id for batch in results for result in batch}
    assert len(ids) == 6000
    assert set(client.stats.errors_by_code) >= {"connection", "reply", "602", "604", "502", "615"}


def test_no_token_secret_or_value_is_logged_or_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)  # urllib3's own log too, which names paths and query strings
    leads = "POST /rest/v1/leads.json"
    faults = [
        Fault(leads, "http_502", every=3),
        Fault(leads, "error", code="602", every=4),
        Fault(leads, "error", code="1003", message="Invalid value for field 'email' and value 'jane@x.test'", every=5),
    ]
    clock = VirtualClock(SystemClock().now())
    budget = ApiBudget(tmp_path, ApiLimits(), clock)
    emulator = Emulator(EmulatorOptions(client_secret=SECRET, rate=None, faults=faults), clock)
    said = []
    with LocalServer(emulator) as server:
        with MarketoClient(server.url, "local-client", SECRET, budget, clock=clock) as client:
            for _ in range(20):
                try:
                    sync_leads(client, [orjson.dumps({"email": "jane@x.test", "firstName": "Jane"})])
                    list(leads_by_filter(client, "email", ["jane@x.test"], ["email", "firstName"]))
                except MarketoError as error:
                    said += [str(error), repr(error)]
            token = client._tokens.current()
            said.append(repr(token))
        with MarketoClient(server.url, "local-client", "wrong", budget, clock=clock) as client:
            try:
                client.request("GET", PATH)
            except MarketoError as error:
                said += [str(error), repr(error)]
    emulator.close()
    budget.close()
    text = caplog.text + "".join(said)
    assert "/identity/oauth/token" in text
    assert "502" in text
    assert "1003" in text
    for kept_back in (token.value, SECRET, "local-client", "jane@x.test", "Jane"):
        assert kept_back not in text
