"""Guards against ten threads asking for ten tokens, a token used past its end, a secret in a message."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import TokenError, TransientError
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, form_of, ok, token

PATH = "/rest/v1/leads/partitions.json"


def test_the_token_travels_in_the_header_and_the_secret_in_the_body(new_client: NewClient) -> None:
    transport = ScriptedTransport(ok())
    new_client(transport).request("GET", PATH)
    (asked,) = transport.token_requests
    assert (asked.method, asked.url) == ("POST", "http://127.0.0.1:1/identity/oauth/token")
    assert form_of(asked) == {
        "grant_type": "client_credentials",
        "client_id": "local-client",
        "client_secret": "local-secret",
    }
    assert "Authorization" not in asked.headers
    (call,) = transport.requests[1:]  # the first one asks for the calls used today
    assert call.headers["Authorization"] == "Bearer token-1"
    assert call.headers["Accept-Encoding"] == "gzip"
    assert "token" not in (call.url or "")


def test_a_netrc_does_not_take_the_place_of_the_token(
    new_client: NewClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = ScriptedTransport(ok())
    new_client(transport).request("GET", PATH)
    assert {request.headers["Authorization"] for request in transport.requests} == {"Bearer token-1"}
    assert "Authorization" not in transport.token_requests[0].headers


def test_ten_threads_ask_for_one_token(new_client: NewClient) -> None:
    transport = ScriptedTransport(ok())
    client = new_client(transport)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: client.request("GET", PATH), range(30)))
    assert len(transport.token_requests) == 1


@pytest.mark.parametrize("code", ["601", "602"])
def test_ten_threads_with_a_dead_token_ask_for_one_new_one(new_client: NewClient, code: str) -> None:
    together = threading.Barrier(10)

    def answer(request: requests.PreparedRequest) -> Reply:
        if "stats" in (request.url or ""):
            return ok([{"date": "2026-03-04", "total": 1}])
        if request.headers["Authorization"] == "Bearer token-1":
            together.wait(10)  # all ten calls are on their way before the first hears that the token is dead
            return error(code)
        return ok()

    transport = ScriptedTransport(answer, tokens=[token("token-1"), token("token-2")])
    client = new_client(transport)
    client.request("GET", "/rest/v1/stats/usage.json")
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: client.request("GET", PATH), range(10)))
    assert len(transport.token_requests) == 2
    assert client.stats.errors_by_code == {code: 10}


def test_a_fresh_token_that_is_refused_as_well_ends_it(new_client: NewClient) -> None:
    transport = ScriptedTransport(error("602"))
    with pytest.raises(TokenError) as caught:
        new_client(transport).request("GET", "/rest/v1/stats/usage.json")
    assert caught.value.code == "602"
    assert (len(transport.requests), len(transport.token_requests)) == (2, 2)


def test_a_token_is_renewed_ahead_of_its_end(new_client: NewClient, clock: VirtualClock) -> None:
    transport = ScriptedTransport(ok(), tokens=[token("token-1", 3600), token("token-2", 3600)])
    client = new_client(transport)
    client.request("GET", PATH)
    clock.advance(3530)
    client.request("GET", PATH)
    assert len(transport.token_requests) == 1
    clock.advance(20)
    client.request("GET", PATH)
    assert transport.requests[-1].headers["Authorization"] == "Bearer token-2"


def test_the_same_token_with_few_seconds_left_is_used_to_its_end(new_client: NewClient, clock: VirtualClock) -> None:
    transport = ScriptedTransport(ok(), tokens=[token("token-1", 40), token("token-2", 3600)])
    client = new_client(transport)
    for _ in range(5):
        client.request("GET", PATH)
        clock.advance(7)
    assert len(transport.token_requests) == 1
    clock.advance(7)
    client.request("GET", PATH)
    assert len(transport.token_requests) == 2


def test_a_token_without_a_second_left_is_asked_for_again(new_client: NewClient, clock: VirtualClock) -> None:
    started = clock.now()
    transport = ScriptedTransport(ok(), tokens=[token("old", 0), token("old", 0), token("new", 3600)])
    new_client(transport).request("GET", PATH)
    assert transport.requests[-1].headers["Authorization"] == "Bearer new"
    assert clock.now() - started >= 2


def test_a_token_that_stays_expired_is_given_up(new_client: NewClient) -> None:
    transport = ScriptedTransport(ok(), tokens=[token("old", 0)])
    with pytest.raises(TokenError, match="expired token 5 times"):
        new_client(transport).request("GET", PATH)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid_client", "error_description": "No client with requested id: local-client"}),
        (401, {"error": "unauthorized", "error_description": "local-secret"}),
        (400, {"error": "invalid_grant"}),
        (200, {"error": "unauthorized"}),
        (401, {"requestId": "1#1", "success": False, "errors": []}),
    ],
)
def test_refused_credentials_are_named_without_being_shown(new_client: NewClient, status: int, body: object) -> None:
    transport = ScriptedTransport(ok(), tokens=[Reply(body, status)])
    with pytest.raises(TokenError, match=r"refused the client id or the client secret.*MARKETO_CLIENT_ID") as caught:
        new_client(transport).request("GET", PATH)
    assert "local-" not in str(caught.value) + repr(caught.value)
    assert len(transport.token_requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Reply(b"<html>Bad Gateway</html>", 502),
        Reply(b'{"access_token":"to', 200),
        Reply(b"", 200),
        requests.ConnectionError("reset"),
        requests.ReadTimeout("slow"),
    ],
)
def test_an_identity_service_that_stumbles_is_asked_again(new_client: NewClient, fault: object) -> None:
    transport = ScriptedTransport(ok(), tokens=[fault, token()])
    client = new_client(transport)
    client.request("GET", PATH)
    assert len(transport.token_requests) == 2
    assert client.stats.retries == 1


def test_an_identity_service_that_stays_down_is_given_up(new_client: NewClient) -> None:
    transport = ScriptedTransport(ok(), tokens=[Reply(b"<html>", 503)])
    with pytest.raises(TransientError):
        new_client(transport).request("GET", PATH)
    assert len(transport.token_requests) == 7
