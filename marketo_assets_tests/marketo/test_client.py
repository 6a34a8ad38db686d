"""Guards against errors taken for success, retries that never end or never begin, and plain-text tokens."""

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import (
    BodyTooLargeError,
    MarketoError,
    QueueFullError,
    QuotaExhaustedError,
    RateLimitError,
    ReplyError,
    RequestError,
    TimedOutError,
    TransientError,
    UriTooLongError,
)
from marketo_assets.marketo.limits import ApiBudget
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, ok

PATH = "/rest/v1/leads/partitions.json"
USAGE = ok([{"date": "2026-03-04", "total": 1, "users": []}])
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
POOL = HTTPConnectionPool("127.0.0.1")

PASSING = {
    "HTTP 500": (Reply(HTML, 500), "500"),
    "HTTP 502 with HTML": (Reply(HTML, 502), "502"),
    "HTTP 503 without a body": (Reply(b"", 503), "503"),
    "HTTP 520 of some gateway": (Reply(HTML, 520), "502"),
    "608": (error("608", "API Temporarily Unavailable"), "608"),
    "611": (error("611", "System error"), "611"),
    "614": (error("614", "Invalid Subscription"), "614"),
    "713": (error("713", "Transient error"), "713"),
    "719": (error("719", "Lock wait timeout"), "719"),
    "empty body": (Reply(b""), "reply"),
    "truncated JSON": (Reply(b'{"requestId":"1#1","success":true,"res'), "reply"),
    "JSON that is no envelope": (Reply(b"[]"), "reply"),
    "success that is no boolean": (Reply({"success": "true"}), "reply"),
    "body shorter than announced": (Reply({"success": True, "result": []}, cut=5), "connection"),
    "gzip cut short": (Reply(b"\x1f\x8b\x08", zipped=False), "reply"),
    "connection reset": (requests.ConnectionError(ConnectionResetError("reset")), "connection"),
    "connection refused": (requests.ConnectTimeout("refused"), "connection"),
    "604": (error("604", "Request time-out"), "604"),
    "read timeout": (requests.ReadTimeout("slow"), "timeout"),
    "read timeout in the body": (requests.ConnectionError(ReadTimeoutError(POOL, "/", "slow")), "timeout"),
}
LASTING = {
    "413": (Reply(HTML, 413), BodyTooLargeError),
    "414": (Reply(HTML, 414), UriTooLongError),
    "603": (error("603", "Access denied"), RequestError),
    "609": (error("609", "Invalid JSON"), RequestError),
    "610": (error("610", "Requested resource not found"), RequestError),
    "1006 on the lookup field": (error("1006", "Lookup field 'userId' not found"), RequestError),
    "1016": (error("1016", "Too many imports queued"), QueueFullError),
    "1029 queue": (error("1029", "Too many jobs in queue"), QueueFullError),
    "1029 quota": (error("1029", "Export daily quota 500MB exceeded"), QuotaExhaustedError),
    "unknown code": (error("4711"), RequestError),
    "HTTP 404": (Reply(HTML, 404), RequestError),
    "redirect": (Reply(b"", 302), RequestError),
    "success and errors at once": (
        Reply({"success": True, "result": [], "errors": [{"code": "610", "message": "x"}]}),
        RequestError,
    ),
    "no error named": (Reply({"success": False, "errors": []}), ReplyError),
    "errors that are no list": (Reply({"success": False, "errors": {"code": "606"}}), ReplyError),
    "result that is no list": (Reply({"success": True, "result": {"id": 1}}), ReplyError),
    "bad certificate": (requests.exceptions.SSLError("certificate"), RequestError),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(new_client: NewClient, name: str) -> None:
    fault, code = PASSING[name]
    client = new_client(ScriptedTransport(USAGE, fault, ok([{"id": 1}])))
    assert client.request("GET", PATH).result == [{"id": 1}]
    assert client.stats.errors_by_code == {code: 1}
    assert client.stats.retries == 1
    assert client.stats.calls_by_endpoint == {"/rest/v1/stats/usage.json": 1, PATH: 2}
    assert client.stats.calls == 3


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_given_up(new_client: NewClient, clock: VirtualClock, name: str) -> None:
    fault, code = PASSING[name]
    transport = ScriptedTransport(USAGE, fault)
    started = clock.now()
    with pytest.raises(TransientError) as caught:
        new_client(transport).request("GET", PATH)
    assert caught.value.code == code
    timed_out = code in ("604", "timeout")
    assert isinstance(caught.value, TimedOutError) == timed_out
    assert len(transport.requests) == 1 + (3 if timed_out else 7)
    waited = clock.now() - started
    assert (1.5 <= waited <= 3) if timed_out else (31.5 <= waited <= 63)


@pytest.mark.parametrize("name", LASTING)
def test_what_cannot_pass_is_raised_at_once(new_client: NewClient, name: str) -> None:
    fault, kind = LASTING[name]
    transport = ScriptedTransport(USAGE, fault)
    with pytest.raises(kind):
        new_client(transport).request("GET", PATH)
    assert len(transport.requests) == 2


def test_a_606_makes_everybody_wait_for_a_whole_window(new_client: NewClient, clock: VirtualClock) -> None:
    transport = ScriptedTransport(USAGE, error("606"), error("606"), error("606"), ok())
    client = new_client(transport)
    started = clock.now()
    client.request("GET", PATH)
    assert clock.now() - started >= 3 * 20
    assert client.stats.seconds_waited >= 3 * 20


def test_a_615_makes_its_call_wait_shortly(new_client: NewClient, clock: VirtualClock) -> None:
    started = clock.now()
    new_client(ScriptedTransport(USAGE, error("615"), error("615"), ok())).request("GET", PATH)
    assert 1 <= clock.now() - started <= 5


@pytest.mark.parametrize("code", ["606", "615"])
def test_limits_that_others_use_up_for_good_end_it(new_client: NewClient, code: str) -> None:
    transport = ScriptedTransport(USAGE, error(code))
    with pytest.raises(RateLimitError):
        new_client(transport).request("GET", PATH)
    assert len(transport.requests) == 11


def test_a_607_stops_every_client_until_midnight_in_chicago(new_client: NewClient, clock: VirtualClock) -> None:
    transport = ScriptedTransport(USAGE, error("607", "Daily quota '50000' reached"), ok())
    client = new_client(transport)
    for _ in range(3):
        with pytest.raises(QuotaExhaustedError) as caught:
            client.request("GET", PATH)
        assert caught.value.resume_at.isoformat() == "2026-03-05T06:00:00+00:00"
    with pytest.raises(QuotaExhaustedError):
        new_client(transport).request("GET", PATH)
    assert len(transport.requests) == 2
    clock.advance(caught.value.resume_at.timestamp() - clock.now())
    client.request("GET", PATH)


def test_errors_of_several_kinds_have_their_own_bounds(new_client: NewClient) -> None:
    faults = [error("602"), error("608"), error("606"), Reply(b""), error("615"), requests.ReadTimeout()]
    client = new_client(ScriptedTransport(USAGE, *faults, ok([{"id": 1}])))
    assert client.request("GET", PATH).result == [{"id": 1}]
    assert client.stats.errors_by_code == dict.fromkeys(["602", "608", "606", "reply", "615", "timeout"], 1)


@pytest.mark.parametrize("fault", [requests.ConnectionError("reset"), error("604"), Reply(HTML, 502)])
def test_a_write_is_not_sent_again_before_marketo_can_be_done_with_it(
    new_client: NewClient, clock: VirtualClock, fault: object
) -> None:
    started = clock.now()
    new_client(ScriptedTransport(USAGE, fault, ok())).request("POST", "/rest/v1/leads.json", json_body=b"{}")
    assert clock.now() - started >= 5


def test_a_long_filter_by_post_is_a_read(new_client: NewClient, clock: VirtualClock) -> None:
    started = clock.now()
    transport = ScriptedTransport(USAGE, requests.ConnectionError("reset"), ok())
    new_client(transport).request(
        "POST", "/rest/v1/leads.json", params={"_method": "GET"}, form={"filterType": "email"}
    )
    assert clock.now() - started <= 1
    assert transport.requests[-1].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert transport.timeouts[-1] == (10, 70)


@pytest.mark.parametrize(
    ("method", "path", "seconds"),
    [
        ("POST", "/rest/v1/leads.json", 100),
        ("GET", "/rest/v1/leads.json", 70),
        ("POST", "/rest/v1/leads/12345/merge.json", 190),
        ("GET", "/rest/v1/lead/12345.json", 40),
        ("GET", "/rest/v1/activities/pagingtoken.json", 310),
    ],
)
def test_the_client_listens_longer_than_marketo_works(
    new_client: NewClient, method: str, path: str, seconds: float
) -> None:
    transport = ScriptedTransport(ok())
    new_client(transport).request(method, path)
    assert transport.timeouts[-1] == (10, seconds)


def test_a_zipped_reply_with_every_key_is_read(new_client: NewClient) -> None:
    body = {
        "requestId": "a1#b2",
        "success": True,
        "result": [1],
        "nextPageToken": "NEXT=",
        "moreResult": True,
        "warnings": ["w"],
        "errors": [],
    }
    envelope = new_client(ScriptedTransport(USAGE, Reply(body, zipped=True))).request("GET", PATH)
    assert (envelope.result, envelope.next_page_token, envelope.more_result) == ([1], "NEXT=", True)
    assert (envelope.warnings, envelope.request_id) == (["w"], "a1#b2")


def test_a_reply_with_the_barest_keys_is_read(new_client: NewClient) -> None:
    envelope = new_client(ScriptedTransport(USAGE, Reply({"success": True}))).request("GET", PATH)
    assert (envelope.result, envelope.next_page_token, envelope.more_result) == ([], None, None)


def test_ids_do_not_stand_in_the_counts(new_client: NewClient) -> None:
    client = new_client(ScriptedTransport(ok()))
    client.request("GET", "/rest/v1/lead/17.json")
    client.request("GET", "/rest/v1/lists/18/leads.json")
    client.request("POST", "/bulk/v1/leads/export/create.json")
    client.request("GET", "/bulk/v1/leads/export/ce45a7a1-f19d-4ce2-882c-a3c795940a7d/status.json")
    assert set(client.stats.calls_by_endpoint) == {
        "/rest/v1/stats/usage.json",
        "/rest/v1/lead/{id}.json",
        "/rest/v1/lists/{id}/leads.json",
        "/bulk/v1/leads/export/create.json",
        "/bulk/v1/leads/export/{id}/status.json",
    }


def test_an_error_does_not_drag_the_url_of_requests_along(new_client: NewClient) -> None:
    lost = requests.ConnectionError(MaxRetryError(POOL, "/rest/v1/leads.json?filterValues=jane@example.test"))
    with pytest.raises(MarketoError) as caught:
        new_client(ScriptedTransport(USAGE, lost)).request("GET", PATH, params={"filterValues": "jane@example.test"})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "jane" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:1", "https://x.test"])
def test_https_and_loopback_are_allowed(budget: ApiBudget, url: str) -> None:
    with MarketoClient(url, "i", "s", budget, transport=HTTPAdapter()):
        pass


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://123-abc-456.mktorest.com", "plain http to 123-abc-456.mktorest.com"),
        ("http://127.0.0.1.example.test", "plain http"),
        ("https://123-abc-456.mktorest.com/rest", "without a path"),
        ("https://user:pass@x.test", "look like https://"),
        ("ftp://x.test", "look like https://"),
        ("123-abc-456.mktorest.com", "look like https://"),
    ],
)
def test_a_base_url_that_would_give_the_token_away_is_refused(budget: ApiBudget, url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MarketoClient(url, "i", "s", budget)
