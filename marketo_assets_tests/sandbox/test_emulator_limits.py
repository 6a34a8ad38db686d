"""Guards the limits a client must keep: rate, concurrency, daily quota, sizes, and what counts against them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Request
from marketo_assets.sandbox.marketo.emulator import PendingCall
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated


def test_the_101st_call_of_a_sliding_window_is_606() -> None:
    clock = VirtualClock(START)
    with emulated(clock, rate=(100, 20.0)) as (_, api):
        _describe(api, 50)
        clock.advance(10)
        _describe(api, 50)
        refused = api.get("stats/usage.json")
        assert code(refused) == "606"
        assert refused["errors"][0]["message"] == "Max rate limit '100' exceeded with in '20' secs"
        clock.advance(10)
        _describe(api, 49)  # the first fifty have left the window, the refused call has not
        assert code(api.get("stats/usage.json")) == "606"


def test_calls_that_are_not_counted_do_not_fill_the_window() -> None:
    clock = VirtualClock(START)
    with emulated(clock, rate=(2, 20.0)) as (emulator, api):
        good = api.session.headers["Authorization"]
        api.session.headers["Authorization"] = "Bearer made-up"
        for _ in range(3):
            assert code(api.get("stats/usage.json")) == "601"
        api.session.headers["Authorization"] = good
        for _ in range(3):
            assert code(api.post("leads/describe.json")) == "605"
        assert emulator.calls() == 0
        _describe(api, 2)


def test_the_11th_call_in_flight_is_615_and_an_ended_one_makes_room() -> None:
    emulator = Emulator(EmulatorOptions(concurrency=10), VirtualClock(START))
    token = _token(emulator)
    pending = [_begin(emulator, token) for _ in range(10)]
    assert b'"615"' in emulator.finish(_begin(emulator, token)).body
    emulator.finish(pending.pop())
    pending.append(_begin(emulator, token))
    assert all(b'"success":true' in emulator.finish(call).body for call in pending)
    emulator.close()


def test_the_daily_quota_ends_at_midnight_us_central() -> None:
    clock = VirtualClock(START)
    with emulated(clock, daily_quota=3, rate=None, token_seconds=10**6) as (_, api):
        _describe(api, 3)
        refused = api.get("stats/usage.json")
        assert code(refused) == "607"
        midnight = (datetime.fromtimestamp(START, ZoneInfo("America/Chicago")) + timedelta(days=1)).replace(
            hour=0, minute=0, second=0
        )
        clock.advance(midnight.timestamp() - START - 1)
        assert code(api.get("stats/usage.json")) == "607"
        clock.advance(1)
        assert api.get("stats/usage.json")["result"][0]["date"] == "2026-05-29"
    assert midnight.astimezone(UTC).hour == 5


def test_usage_and_errors_are_counted_by_day_and_quiet_days_are_there() -> None:
    clock = VirtualClock(START)
    with emulated(clock, token_seconds=10**6) as (emulator, api):
        _describe(api, 2)
        assert code(api.get("nope.json")) == "610"
        clock.advance(2 * 86_400)
        (today,) = api.get("stats/usage.json")["result"]
        assert (today["total"], today["users"]) == (1, [{"userId": "api-user@example.test", "count": 1}])
        week = {day["date"]: day["total"] for day in api.get("stats/usage/last7days.json")["result"]}
        assert len(week) == 7
        assert (week["2026-05-28"], week["2026-05-29"], week["2026-05-30"]) == (3, 0, 2)
        assert api.get("stats/errors.json")["result"] == [{"date": "2026-05-30", "total": 0, "errors": []}]
        errors = {day["date"]: day["errors"] for day in api.get("stats/errors/last7days.json")["result"]}
        assert errors["2026-05-28"] == [{"errorCode": "610", "count": 1}]
        assert emulator.errors() == {}


def test_a_body_of_over_1_mb_is_413_and_a_uri_of_over_8_kb_is_414() -> None:
    with emulated() as (emulator, api):
        headers = {"Content-Type": "application/json"}
        url = f"{api.base}/rest/v1/leads.json"
        assert api.session.post(url, data=b" " * 1_000_001, headers=headers).status_code == 413
        assert code(api.session.post(url, data=b" " * 1_000_000, headers=headers).json()) == "609"
        assert api.session.get(url, params={"filterType": "id", "filterValues": "1" * 8_000}).status_code == 414
        assert emulator.calls() == 1


def _describe(api: Api, times: int) -> None:
    for _ in range(times):
        assert api.get("leads/describe.json")["success"]


def _token(emulator: Emulator) -> str:
    options = emulator.options
    query = f"grant_type=client_credentials&client_id={options.client_id}&client_secret={options.client_secret}"
    reply = emulator.handle(Request("GET", "/identity/oauth/token", query))
    return reply.body.split(b'"')[3].decode()


def _begin(emulator: Emulator, token: str) -> PendingCall:
    headers = {"authorization": f"Bearer {token}"}
    return emulator.begin(Request("GET", "/rest/v1/leads/describe.json", headers=headers))
