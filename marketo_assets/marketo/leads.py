"""Leads: describe their fields, upsert them, find them. What to send and why belongs to the flows."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import orjson

from marketo_assets.marketo.client import WRITE_SETTLE_SECONDS, MarketoClient
from marketo_assets.marketo.envelope import Envelope
from marketo_assets.marketo.errors import (
    BodyTooLargeError,
    ReplyError,
    RequestError,
    TimedOutError,
    TooManyMatchesError,
    redact,
)

log = logging.getLogger("marketo_assets.marketo")

DESCRIBE_PATH: Final = "/rest/v1/leads/describe.json"
LEADS_PATH: Final = "/rest/v1/leads.json"
DELETE_PATH: Final = "/rest/v1/leads/delete.json"
_LEAD_NOT_FOUND: Final = "1004"
MAX_ROWS: Final = 300
MAX_FILTER_VALUES: Final = 300
_READ: Final = {"_method": "GET"}
# Marketo says "1 MB"; the smaller reading of it.
MAX_BODY_BYTES: Final = 1_000_000

Result = TypeVar("Result")

# createDuplicate is left out: a lost reply cannot be told from a lost request, and sending it again makes another lead.
Action = Literal["createOrUpdate", "createOnly", "updateOnly"]


@dataclass(frozen=True, slots=True)
class LeadField:
    """A lead field as Describe Lead has it. `length` is in characters; None for types without one."""

    name: str
    display_name: str
    data_type: str
    length: int | None
    read_only: bool


@dataclass(frozen=True, slots=True)
class LeadResult:
    """What became of one row. `code` and `message` say why it was skipped; the message holds no values."""

    status: Literal["created", "updated", "skipped"]
    lead_id: int | None
    code: str | None
    message: str | None


def describe_leads(client: MarketoClient) -> list[LeadField]:
    """Every field that is usable through REST, in Marketo's order. One without a REST name is left out and counted.

    Raises ReplyError for a field without name or type, and for a list without a single field.
    """
    envelope = client.request("GET", DESCRIBE_PATH)
    try:
        fields = [_field(item) for item in envelope.result if item.get("rest")]
    except (AttributeError, KeyError, TypeError):
        raise _shape("a field without name or type", DESCRIBE_PATH, envelope) from None
    if not fields:
        raise _shape("no fields", DESCRIBE_PATH, envelope)
    if unusable := len(envelope.result) - len(fields):
        log.info("%d lead fields have no REST name and are left out", unusable)
    return fields


def sync_leads(
    client: MarketoClient,
    rows: Sequence[bytes],
    *,
    action: Action = "createOrUpdate",
    lookup_field: str = "email",
    partition_name: str | None = None,
) -> list[LeadResult]:
    """Upsert up to 300 rows, each a JSON object in bytes; the results by position, one per row.

    After a lost reply the batch is sent again, so a row that was created can read "updated" (or, with createOnly,
    "skipped" with 1005). For the rest, see `write_rows`.
    """
    head = _sync_head(action, lookup_field, partition_name)
    return write_rows(client, LEADS_PATH, head, rows, lambda item, _, envelope: _result(item, envelope))


def sync_body(
    rows: Sequence[bytes],
    *,
    action: Action = "createOrUpdate",
    lookup_field: str = "email",
    partition_name: str | None = None,
) -> bytes:
    """The request body of `sync_leads`."""
    return _body(_sync_head(action, lookup_field, partition_name), rows)


def _sync_head(action: Action, lookup_field: str, partition_name: str | None) -> dict[str, str]:
    head = {"action": action, "lookupField": lookup_field}
    return head if partition_name is None else {**head, "partitionName": partition_name}


def write_rows(
    client: MarketoClient,
    path: str,
    head: Mapping[str, str],
    rows: Sequence[bytes],
    read: Callable[[Any, int, Envelope], Result],
    *,
    timeout: float | None = None,
) -> list[Result]:
    """POST up to 300 rows as the `input` after `head`; each result read by position (its own, from 0), one per row.

    A batch that times out after its retries, or is too large for Marketo, is halved and the halves sent in turn; a
    single row that still is raises. Raises ValueError for more than 300 rows or 1 MB, MarketoError otherwise: then
    nothing is known of these rows.
    """
    body = _body(head, rows)
    if not 1 <= len(rows) <= MAX_ROWS or len(body) >= MAX_BODY_BYTES:
        raise ValueError(
            f"A call takes 1 to {MAX_ROWS} rows and less than {MAX_BODY_BYTES} bytes; "
            f"these are {len(rows)} rows and {len(body)} bytes."
        )
    try:
        envelope = client.request("POST", path, json_body=body, timeout=timeout)
    except (TimedOutError, BodyTooLargeError) as error:
        if len(rows) == 1:
            raise
        log.warning("%s: %s, %d rows are sent in halves", path, error.code, len(rows))
        if isinstance(error, TimedOutError):
            client.wait(WRITE_SETTLE_SECONDS)
        half = len(rows) // 2
        halves = (rows[:half], rows[half:])
        return [result for part in halves for result in write_rows(client, path, head, part, read, timeout=timeout)]
    if len(envelope.result) != len(rows):
        raise _shape(f"{len(envelope.result)} results for {len(rows)} rows", path, envelope)
    return [read(item, position, envelope) for position, item in enumerate(envelope.result)]


def _body(head: Mapping[str, str], rows: Sequence[bytes]) -> bytes:
    return b"".join((orjson.dumps(head)[:-1], b',"input":[', b",".join(rows), b"]}"))


def delete_leads(client: MarketoClient, ids: Sequence[int]) -> list[int]:
    """Delete up to 300 leads; returns those that are there no longer, whoever deleted them.

    Raises ValueError for more than 300 ids, MarketoError otherwise.
    """
    if not 1 <= len(ids) <= MAX_ROWS:
        raise ValueError(f"A call takes 1 to {MAX_ROWS} leads; these are {len(ids)}.")
    body = orjson.dumps({"input": [{"id": lead_id} for lead_id in ids]})
    envelope = client.request("POST", DELETE_PATH, json_body=body)
    if len(envelope.result) != len(ids):
        raise _shape(f"{len(envelope.result)} results for {len(ids)} leads", DELETE_PATH, envelope)
    return [lead_id for lead_id, item in zip(ids, envelope.result, strict=True) if _is_gone(item)]


def leads_by_filter(
    client: MarketoClient, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Every lead whose `filter_type` field is one of up to 300 `values`, each a dict with the `fields` asked for.

    Values that match more than the 1,000 leads Marketo gives out are halved; a single one that does raises
    TooManyMatchesError. Raises ValueError for a value with a comma, which the filter cannot express.
    """
    if not 1 <= len(values) <= MAX_FILTER_VALUES:
        raise ValueError(f"A filter takes 1 to {MAX_FILTER_VALUES} values; these are {len(values)}.")
    for position, value in enumerate(values, start=1):
        if "," in value:
            raise ValueError(f"Filter value {position} of {len(values)} holds a comma, which separates the values.")
    return _leads(client, filter_type, values, fields)


def _leads(
    client: MarketoClient, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    # As a form by POST: 300 e-mails do not fit the 8 KB of a URI. `_method` stands in the query, as documented; a POST
    # without it would be Sync Leads.
    form = {
        "filterType": filter_type,
        "filterValues": ",".join(values),
        "fields": ",".join(fields),
    }
    try:
        page = client.request("POST", LEADS_PATH, params=_READ, form=form)
    except TooManyMatchesError:
        if len(values) == 1:
            raise
        half = len(values) // 2
        yield from _leads(client, filter_type, values[:half], fields)
        yield from _leads(client, filter_type, values[half:], fields)
        return
    yield from page.result
    # The token decides, not moreResult: lead lists come with the one and without the other.
    while token := page.next_page_token:
        page = client.request("POST", LEADS_PATH, params=_READ, form={**form, "nextPageToken": token})
        if page.next_page_token == token:
            raise _shape("the same page again", LEADS_PATH, page)
        yield from page.result


def _field(item: dict[str, Any]) -> LeadField:
    return LeadField(
        name=item["rest"]["name"],
        display_name=item["displayName"],
        data_type=item["dataType"],
        length=item.get("length"),
        read_only=bool(item["rest"].get("readOnly")),
    )


def _is_gone(item: Any) -> bool:
    match item:
        case {"status": "deleted"}:
            return True
        case {"reasons": [{"code": code}, *_]}:
            return str(code) == _LEAD_NOT_FOUND
    return False


def _result(item: Any, envelope: Envelope) -> LeadResult:
    match item:
        case {"status": "created" | "updated" as status, "id": int(lead_id)}:
            return LeadResult(status, lead_id, None, None)
        case {"status": "skipped", "reasons": [{"code": code, **reason}, *_]}:
            return LeadResult("skipped", item.get("id"), str(code), redact(str(reason.get("message", ""))))
        case {"status": "skipped"}:
            return LeadResult("skipped", item.get("id"), None, None)
    raise _shape("a row's result without a known status", LEADS_PATH, envelope)


def _shape(message: str, endpoint: str, envelope: Envelope) -> RequestError:
    return ReplyError("shape", message, endpoint, envelope.request_id)
