"""Activities by REST: their types, paging tokens, the streams of activities and of deleted leads.

Which window to read and what to keep of it belongs to the flows; files of activities belong to bulk_extract.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.envelope import Envelope
from marketo_assets.marketo.errors import PagingTokenError, ReplyError, RequestError, is_row_code

TYPES_PATH: Final = "/rest/v1/activities/types.json"
PAGING_TOKEN_PATH: Final = "/rest/v1/activities/pagingtoken.json"  # noqa: S105 -- a path, no secret
ACTIVITIES_PATH: Final = "/rest/v1/activities.json"
LEAD_CHANGES_PATH: Final = "/rest/v1/activities/leadchanges.json"
DELETED_LEADS_PATH: Final = "/rest/v1/activities/deletedleads.json"
MAX_TYPES: Final = 10
# A URI may have 8 KB (HTTP 414); the host and the path need some of it. Tokens have grown that long.
_LONGEST_QUERY: Final = 7_000


@dataclass(frozen=True, slots=True)
class ActivityAttribute:
    """An attribute of an activity type. `data_type` in Marketo's words; only custom types have an `api_name`."""

    name: str
    data_type: str
    api_name: str | None


@dataclass(frozen=True, slots=True)
class ActivityType:
    """An activity type as Get Activity Types has it. Some types have no primary attribute."""

    id: int
    name: str
    description: str
    primary: ActivityAttribute | None
    attributes: tuple[ActivityAttribute, ...]
    api_name: str | None


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """A page of a stream, possibly an empty one. `next_token` goes on after it, on the last page (not `more`) too."""

    activities: list[dict[str, Any]]
    next_token: str
    more: bool


def activity_types(client: MarketoClient) -> list[ActivityType]:
    """Every activity type of the instance, in Marketo's order.

    Raises ReplyError for a type without id or name, an attribute without name or data type, and an empty list.
    """
    envelope = client.request("GET", TYPES_PATH)
    try:
        types = [_type(item) for item in envelope.result]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _shape("a type without id or name, or with half an attribute", TYPES_PATH, envelope) from None
    if not types:
        raise _shape("no activity types", TYPES_PATH, envelope)
    return types


def paging_token(client: MarketoClient, since: datetime) -> str:
    """The token from which the streams begin at `since`, an aware datetime; fractions of a second are cut off."""
    envelope = client.request("GET", PAGING_TOKEN_PATH, params={"sinceDatetime": iso_utc(since)})
    if envelope.next_page_token is None:
        raise _shape("no paging token", PAGING_TOKEN_PATH, envelope)
    return envelope.next_page_token


def activity_pages(client: MarketoClient, token: str, type_ids: Sequence[int]) -> Iterator[ActivityPage]:
    """Every page of the activities of 1 to 10 types from `token` until Marketo says that there are no more.

    Each call looks at some 300 activities of all types and gives those asked for: short and empty pages in the middle
    are normal. The pages are in about the order in which Marketo stored the activities, not that of their dates.
    Raises ValueError for 0 or more than 10 types, PagingTokenError for a token (or a type) that Marketo does not take,
    ReplyError for a page without token and for one that would come for ever.
    """
    if not 1 <= len(type_ids) <= MAX_TYPES:
        raise ValueError(f"A call takes 1 to {MAX_TYPES} activity types; these are {len(type_ids)}.")
    return _pages(client, ACTIVITIES_PATH, token, {"activityTypeIds": ",".join(map(str, type_ids))})


def lead_change_pages(client: MarketoClient, token: str, fields: Sequence[str]) -> Iterator[ActivityPage]:
    """Every page of new leads (type 12) and of changed values (type 13) of these fields, by REST name, from `token`.

    A changed value comes as `fields: [{name, newValue, oldValue}]`. Raises as `activity_pages` does; a field that
    Marketo does not have is a PagingTokenError as well: the two cannot be told apart by their codes.
    """
    return _pages(client, LEAD_CHANGES_PATH, token, {"fields": ",".join(fields)})


def deleted_lead_pages(client: MarketoClient, token: str) -> Iterator[ActivityPage]:
    """Every page of deleted leads (activities of type 37) from `token`; Marketo may forget them after 14 days.

    One deletion can come more than once. Raises as `activity_pages` does.
    """
    return _pages(client, DELETED_LEADS_PATH, token, {})


def iso_utc(moment: datetime) -> str:
    """An aware datetime as Marketo takes it, in whole seconds. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("A time for Marketo needs a time zone; this one has none.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pages(client: MarketoClient, path: str, token: str, params: dict[str, str]) -> Iterator[ActivityPage]:
    more = True
    while more:
        envelope = _read(client, path, {"nextPageToken": token, **params})
        if envelope.next_page_token is None:
            raise _shape("a page without a paging token", path, envelope)
        # moreResult alone decides: a page may be empty with more to come.
        more = bool(envelope.more_result)
        if more and envelope.next_page_token == token:
            raise _shape("the same page again", path, envelope)
        token = envelope.next_page_token
        yield ActivityPage(envelope.result, token, more)


def _read(client: MarketoClient, path: str, params: dict[str, str]) -> Envelope:
    try:
        if len(urlencode(params)) <= _LONGEST_QUERY:
            return client.request("GET", path, params=params)
        return client.request("POST", path, params={"_method": "GET"}, form=params)
    except RequestError as error:
        # How a token that went bad is answered is not documented. Besides it there are only type ids in the request.
        if is_row_code(error.code):
            raise PagingTokenError(error.code, error.message, error.endpoint, error.request_id) from None
        raise


def _type(item: dict[str, Any]) -> ActivityType:
    primary = item.get("primaryAttribute")
    return ActivityType(
        id=int(item["id"]),
        name=item["name"],
        description=item.get("description") or "",
        primary=None if primary is None else _attribute(primary),
        attributes=tuple(_attribute(attribute) for attribute in item.get("attributes") or ()),
        api_name=item.get("apiName"),
    )


def _attribute(item: dict[str, Any]) -> ActivityAttribute:
    return ActivityAttribute(name=item["name"], data_type=item["dataType"], api_name=item.get("apiName"))


def _shape(message: str, endpoint: str, envelope: Envelope) -> ReplyError:
    return ReplyError("shape", message, endpoint, envelope.request_id)
