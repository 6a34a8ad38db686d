"""A reply of the REST API, from bytes to an `Envelope` or to the error it stands for. No network, no retries."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from marketo_assets.marketo.errors import MarketoError, error_for


@dataclass(frozen=True, slots=True)
class Envelope:
    """A successful reply. Every key but `success` is optional on the wire; a missing `result` is an empty one.

    `more_result` is None where the endpoint does not send it.
    """

    result: list[Any]
    next_page_token: str | None
    more_result: bool | None
    warnings: list[Any]
    request_id: str


def read_envelope(status: int, content: bytes, endpoint: str, *, now: float) -> Envelope:
    """Parse a reply; raise the `MarketoError` of its code for anything but a whole and successful one.

    Marketo answers HTTP 200 to nearly everything and puts the truth into `success`; its gateway answers 413, 414 and
    5xx, with HTML.
    """
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG):
        raise error_for(str(status), "too large for Marketo", endpoint, now=now)
    body = _json_object(content)
    if body is None or not isinstance(body.get("success"), bool):
        if status == HTTPStatus.OK:
            raise error_for("reply", f"{len(content)} bytes that are no reply of the REST API", endpoint, now=now)
        raise _status_error(status, endpoint, now)
    request_id = str(body.get("requestId", ""))
    errors = body.get("errors") or []
    if errors or not body["success"]:
        raise _answered_error(errors, endpoint, request_id, now)
    if status != HTTPStatus.OK:
        raise _status_error(status, endpoint, now)
    result = body.get("result") or []
    if not isinstance(result, list):
        raise error_for("shape", f"result is {type(result).__name__}, not a list", endpoint, request_id, now=now)
    return Envelope(
        result=result,
        next_page_token=body.get("nextPageToken") or None,
        more_result=body.get("moreResult"),
        warnings=body.get("warnings") or [],
        request_id=request_id,
    )


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _status_error(status: int, endpoint: str, now: float) -> MarketoError:
    # Any 5xx comes from the gateway and may pass; the table names the usual ones.
    code = "502" if status > HTTPStatus.GATEWAY_TIMEOUT else str(status)
    return error_for(code, f"HTTP {status} without a reply of the REST API", endpoint, now=now)


def _answered_error(errors: Any, endpoint: str, request_id: str, now: float) -> MarketoError:
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return error_for("shape", "success is false and no error is named", endpoint, request_id, now=now)
    return error_for(str(first.get("code", "")), str(first.get("message", "")), endpoint, request_id, now=now)
