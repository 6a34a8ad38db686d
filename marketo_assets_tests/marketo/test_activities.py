"""Guards against a stream that ends early, or never; a type read wrong; a token that makes the URI too long."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from marketo_assets.marketo.activities import (
    ActivityAttribute,
    ActivityPage,
    ActivityType,
    activity_pages,
    activity_types,
    deleted_lead_pages,
    paging_token,
)
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import PagingTokenError, ReplyError, RequestError, TokenError
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, form_of, ok, token

USAGE = ok([{"date": "2026-03-04", "total": 1}])
VISIT = {
    "id": 1,
    "name": "Visit Webpage",
    "description": "User visits a web page",
    "primaryAttribute": {"name": "Webpage ID", "dataType": "integer"},
    "attributes": [{"name": "Client IP Address", "dataType": "string"}, {"name": "Query", "dataType": "string"}],
}
CUSTOM = {
    "id": 100_001,
    "name": "Attended Webinar",
    "apiName": "attendedWebinar_c",
    "primaryAttribute": {"name": "Webinar", "apiName": "webinar", "dataType": "string"},
    "attributes": [{"name": "Minutes", "apiName": "minutes", "dataType": "integer"}],
}


def page(next_token: str, more: bool, *ids: int) -> Reply:
    """A page as Marketo sends it: without `result` where there is nothing."""
    keys = {"result": [{"marketoGUID": str(number)} for number in ids]} if ids else {}
    return Reply({"requestId": "a1#b2", "success": True, "nextPageToken": next_token, "moreResult": more, **keys})


def query_of(request: requests.PreparedRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url or "").query).items()}


def guids(pages: list[ActivityPage]) -> list[str]:
    return [activity["marketoGUID"] for each in pages for activity in each.activities]


def test_types_are_read_with_all_that_marketo_says_of_them(new_client: NewClient) -> None:
    bare = {"id": 2, "name": "Bare", "primaryAttribute": None}
    types = activity_types(new_client(ScriptedTransport(USAGE, ok([VISIT, CUSTOM, bare]))))
    assert types == [
        ActivityType(
            id=1,
            name="Visit Webpage",
            description="User visits a web page",
            primary=ActivityAttribute("Webpage ID", "integer", None),
            attributes=(
                ActivityAttribute("Client IP Address", "string", None),
                ActivityAttribute("Query", "string", None),
            ),
            api_name=None,
        ),
        ActivityType(
            id=100_001,
            name="Attended Webinar",
            description="",
            primary=ActivityAttribute("Webinar", "string", "webinar"),
            attributes=(ActivityAttribute("Minutes", "integer", "minutes"),),
            api_name="attendedWebinar_c",
        ),
        ActivityType(2, "Bare", "", None, (), None),
    ]


@pytest.mark.parametrize(
    "result",
    [
        [],
        [{"name": "no id"}],
        [{"id": 1}],
        [{"id": "one", "name": "x"}],
        [VISIT | {"attributes": [{"name": "x"}]}],
        [VISIT | {"primaryAttribute": {"dataType": "integer"}}],
        ["type"],
    ],
)
def test_a_list_of_types_with_a_hole_is_not_believed(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        activity_types(new_client(ScriptedTransport(USAGE, ok(result))))


@pytest.mark.parametrize(
    "since",
    [
        datetime(2026, 3, 4, 6, 0, 0, 999_999, tzinfo=UTC),
        datetime(2026, 3, 4, 0, 0, tzinfo=timezone(timedelta(hours=-6))),
    ],
)
def test_a_paging_token_begins_at_a_whole_second_in_utc(new_client: NewClient, since: datetime) -> None:
    transport = ScriptedTransport(USAGE, Reply({"success": True, "nextPageToken": "FIRST=="}))
    assert paging_token(new_client(transport), since) == "FIRST=="
    assert query_of(transport.requests[-1]) == {"sinceDatetime": "2026-03-04T06:00:00Z"}
    assert transport.timeouts[-1] == (10, 310)


def test_a_time_without_a_zone_is_refused(new_client: NewClient) -> None:
    with pytest.raises(ValueError, match="time zone"):
        paging_token(new_client(ScriptedTransport(ok())), datetime(2026, 3, 4))  # noqa: DTZ001 -- what is refused


def test_a_reply_without_a_paging_token_is_not_believed(new_client: NewClient) -> None:
    with pytest.raises(ReplyError):
        paging_token(new_client(ScriptedTransport(USAGE, ok())), datetime(2026, 3, 4, tzinfo=UTC))


def test_short_and_empty_pages_do_not_end_the_stream(new_client: NewClient) -> None:
    transport = ScriptedTransport(
        USAGE, page("T1", True, 1, 2), page("T2", True), page("T3", True), page("T4==", True, 3), page("T5", False, 4)
    )
    pages = list(activity_pages(new_client(transport), "T0", [1, 2, 100_001]))
    assert guids(pages) == ["1", "2", "3", "4"]
    assert [(len(each.activities), each.next_token, each.more) for each in pages] == [
        (2, "T1", True),
        (0, "T2", True),
        (0, "T3", True),
        (1, "T4==", True),
        (1, "T5", False),
    ]
    asked = transport.requests[1:]
    assert [query_of(each)["nextPageToken"] for each in asked] == ["T0", "T1", "T2", "T3", "T4=="]
    assert {query_of(each)["activityTypeIds"] for each in asked} == {"1,2,100001"}
    assert "nextPageToken=T4%3D%3D" in (asked[-1].url or "")


def test_the_last_page_may_be_empty_and_keep_its_token(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, page("T0", False))
    assert list(activity_pages(new_client(transport), "T0", [1])) == [ActivityPage([], "T0", more=False)]


def test_a_page_is_asked_for_only_when_it_is_wanted(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, page("T1", True, 1), page("T2", True, 2), page("T3", True, 3))
    assert guids(list(islice(activity_pages(new_client(transport), "T0", [1]), 2))) == ["1", "2"]
    assert len(transport.requests) == 3


@pytest.mark.parametrize("type_ids", [[], list(range(11))])
def test_more_types_than_a_call_takes_are_refused_before_it(new_client: NewClient, type_ids: list[int]) -> None:
    transport = ScriptedTransport(ok())
    with pytest.raises(ValueError, match="1 to 10 activity types"):
        activity_pages(new_client(transport), "T0", type_ids)
    assert transport.requests == []


def test_the_same_page_again_is_not_read_for_ever(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, page("T1", True, 1), page("T1", True, 1))
    with pytest.raises(ReplyError, match="same page"):
        list(activity_pages(new_client(transport), "T0", [1]))
    assert len(transport.requests) == 3


def test_a_page_without_a_token_is_not_believed(new_client: NewClient) -> None:
    with pytest.raises(ReplyError, match="without a paging token"):
        list(activity_pages(new_client(ScriptedTransport(USAGE, ok([{"marketoGUID": "1"}]))), "T0", [1]))


@pytest.mark.parametrize(
    "fault",
    [
        error("602", "Access token expired"),
        error("606"),
        error("608"),
        Reply(b"<html>Bad Gateway</html>", 502),
        Reply(b'{"requestId":"1#1","success":true,"result":[{"marketoGUID":"2"},{"marke'),
        requests.ConnectionError("reset"),
        requests.ReadTimeout("slow"),
    ],
)
def test_a_page_that_fails_is_asked_for_again_and_not_the_first_one(new_client: NewClient, fault: object) -> None:
    transport = ScriptedTransport(
        USAGE, page("T1", True, 1), fault, page("T2", False, 2), tokens=[token("token-1"), token("token-2")]
    )
    assert guids(list(activity_pages(new_client(transport), "T0", [1]))) == ["1", "2"]
    assert [query_of(each)["nextPageToken"] for each in transport.requests[1:]] == ["T0", "T1", "T1"]


def test_an_access_token_that_ends_within_a_stream_is_renewed(new_client: NewClient, clock: VirtualClock) -> None:
    transport = ScriptedTransport(
        USAGE, page("T1", True, 1), page("T2", False, 2), tokens=[token("token-1", 100), token("token-2")]
    )
    pages = activity_pages(new_client(transport), "T0", [1])
    assert guids([next(pages)]) == ["1"]
    clock.advance(200)
    assert guids(list(pages)) == ["2"]
    assert transport.requests[-1].headers["Authorization"] == "Bearer token-2"


@pytest.mark.parametrize("code", ["1003", "1001"])
def test_a_paging_token_that_went_bad_is_told_from_other_errors(new_client: NewClient, code: str) -> None:
    transport = ScriptedTransport(USAGE, page("T1", True, 1), error(code, "Invalid paging token"))
    pages = activity_pages(new_client(transport), "T0", [1])
    next(pages)
    with pytest.raises(PagingTokenError) as caught:
        next(pages)
    assert (caught.value.code, caught.value.endpoint) == (code, "/rest/v1/activities.json")


def test_another_error_is_not_taken_for_a_bad_paging_token(new_client: NewClient) -> None:
    with pytest.raises(RequestError) as caught:
        list(activity_pages(new_client(ScriptedTransport(USAGE, error("603", "Access denied"))), "T0", [1]))
    assert type(caught.value) is RequestError
    with pytest.raises(TokenError):
        list(activity_pages(new_client(ScriptedTransport(error("601"))), "T0", [1]))


@pytest.mark.parametrize(("length", "method"), [(6_900, "GET"), (7_100, "POST")])
def test_a_token_too_long_for_a_uri_goes_as_a_form(new_client: NewClient, length: int, method: str) -> None:
    long = "A" * length
    transport = ScriptedTransport(USAGE, page(long, True, 1), page("T2", False, 2))
    assert guids(list(activity_pages(new_client(transport), "T0", [1, 2]))) == ["1", "2"]
    asked = transport.requests[-1]
    assert (transport.requests[1].method, asked.method) == ("GET", method)
    sent = query_of(asked) if method == "GET" else form_of(asked)
    assert sent == {"nextPageToken": long, "activityTypeIds": "1,2"}
    if method == "POST":
        assert query_of(asked) == {"_method": "GET"}
        assert len(asked.url or "") < 200


def test_deleted_leads_are_a_stream_without_types(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, page("T1", True, 7), page("T2", True), page("T3", False))
    pages = list(deleted_lead_pages(new_client(transport), "T0"))
    assert guids(pages) == ["7"]
    assert pages[-1] == ActivityPage([], "T3", more=False)
    assert query_of(transport.requests[-1]) == {"nextPageToken": "T2"}
    assert urlsplit(transport.requests[-1].url or "").path == "/rest/v1/activities/deletedleads.json"
