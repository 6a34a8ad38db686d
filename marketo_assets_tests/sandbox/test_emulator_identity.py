"""Guards the token's life: clients that refresh, share and lose tokens are tested against it."""

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import CREDENTIALS, START, code, emulated


def test_the_same_token_comes_back_with_the_seconds_it_has_left() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        first = api.sign_in()
        clock.advance(1000)
        again = api.sign_in()
    assert (first["expires_in"], again["expires_in"]) == (3600, 2600)
    assert first["access_token"] == again["access_token"]
    assert first["token_type"] == "bearer"
    assert "@" in first["scope"]


def test_an_expired_token_is_602_and_a_new_one_follows() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        old = api.sign_in()["access_token"]
        clock.advance(3600)
        assert code(api.get("leads/describe.json")) == "602"
        assert api.sign_in()["access_token"] != old
        assert api.get("leads/describe.json")["success"]


def test_an_unknown_token_is_601_and_none_is_603() -> None:
    with emulated() as (_, api):
        api.session.headers["Authorization"] = "Bearer made-up"
        assert code(api.get("leads/describe.json")) == "601"
        del api.session.headers["Authorization"]
        assert code(api.get("leads/describe.json")) == "603"


@pytest.mark.parametrize(("switch", "expected"), [(False, "603"), (True, "601")])
def test_a_token_in_the_query_or_the_form_is_refused(switch: bool, expected: str) -> None:
    with emulated(parameter_token_is_invalid=switch) as (_, api):
        token = api.sign_in()["access_token"]
        del api.session.headers["Authorization"]
        assert code(api.get("leads/describe.json", access_token=token)) == expected
        form = {"access_token": token, "filterType": "id", "filterValues": "1"}
        assert code(api.form("leads.json", form, _method="GET")) == expected


def test_wrong_credentials_are_http_401_without_an_envelope() -> None:
    with emulated() as (_, api):
        url = f"{api.base}/identity/oauth/token"
        reply = api.session.post(url, data={**CREDENTIALS, "client_secret": "wrong"})
    assert reply.status_code == 401
    assert reply.json() == {"error": "invalid_client", "error_description": "Bad client credentials"}


def test_a_token_is_given_for_a_post_too_and_never_cached() -> None:
    with emulated() as (_, api):
        reply = api.session.post(f"{api.base}/identity/oauth/token", data=CREDENTIALS)
    assert reply.json()["access_token"]
    assert (reply.headers["Cache-Control"], reply.headers["Pragma"]) == ("no-store", "no-cache")


def test_identity_calls_do_not_count() -> None:
    with emulated(rate=(1, 20.0)) as (emulator, api):
        for _ in range(5):
            api.sign_in()
        assert emulator.calls() == 0
        assert api.get("leads/describe.json")["success"]
