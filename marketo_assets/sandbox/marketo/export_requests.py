"""What the body of a create call may ask for: fields, headers and filters of an export job.

UNCONFIRMED: which code Marketo has for most of what is refused here, a range of more than 31 days among it; here it is
1003 for the call.
"""

import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from marketo_assets.sandbox.marketo.export_files import ACTIVITY_FIELDS, EXTRA_ACTIVITY_FIELD
from marketo_assets.sandbox.marketo.export_store import ExportRequest
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lists import FIRST_LIST_ID
from marketo_assets.sandbox.marketo.wire import ApiError

MAX_DAYS = 31
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
_LEAD_FILTERS: Mapping[str, Literal["created", "changed", "list"]] = {
    "createdAt": "created",
    "updatedAt": "changed",
    "staticListId": "list",
    "staticListName": "list",
}
_UNSUPPORTED = {"smartListId", "smartListName", "primaryAttributeValueIds", "primaryAttributeValues"}


def read_activity_request(instance: Instance, document: Mapping[str, Any]) -> ExportRequest:
    """The job an activity export is created with: `createdAt`, if need be `activityTypeIds`."""
    _check_format(document)
    filters = _filters(document, {"createdAt", "activityTypeIds"})
    if "createdAt" not in filters:
        raise ApiError("1002", "Missing value for the required parameter 'createdAt'")
    start, end = _range(instance, "createdAt", filters["createdAt"])
    types = filters.get("activityTypeIds")
    if types is not None and not (isinstance(types, list) and types and all(map(_is_id, types))):
        raise _invalid("activityTypeIds")
    fields = _fields(document, {*ACTIVITY_FIELDS, EXTRA_ACTIVITY_FIELD}) or list(ACTIVITY_FIELDS)
    return ExportRequest(fields, _headers(document, fields), "activity", start, end, types)


def read_lead_request(instance: Instance, document: Mapping[str, Any]) -> ExportRequest:
    """The job a lead export is created with: `fields`, and exactly one filter."""
    _check_format(document)
    fields = _fields(document, {field.name for field in instance.fields.visible})
    if not fields:
        raise ApiError("1002", "Missing value for the required parameter 'fields'")
    filters = _filters(document, _LEAD_FILTERS)
    if len(filters) != 1:
        raise _invalid("filter")
    ((name, value),) = filters.items()
    if name == "updatedAt" and not instance.options.updated_at_filter:
        raise ApiError("1035", "Unsupported filter type for target subscription")
    headers = _headers(document, fields)
    if _LEAD_FILTERS[name] == "list":
        return ExportRequest(fields, headers, "list", list_id=_list_id(instance, name, value))
    start, end = _range(instance, name, value)
    return ExportRequest(fields, headers, _LEAD_FILTERS[name], start, end)


def _invalid(name: str) -> ApiError:
    return ApiError("1003", f"Invalid value specified for attribute '{name}'")


def _check_format(document: Mapping[str, Any]) -> None:
    if document.get("format", "CSV") != "CSV":
        raise _invalid("format")


def _filters(document: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    filters = document.get("filter")
    if filters is None:
        raise ApiError("1002", "Missing value for the required parameter 'filter'")
    if not isinstance(filters, dict) or not all(name in known or name in _UNSUPPORTED for name in filters):
        raise _invalid("filter")
    if not _UNSUPPORTED.isdisjoint(filters):
        raise ApiError("1035", "Unsupported filter type for target subscription")
    return filters


def _fields(document: Mapping[str, Any], known: Collection[str]) -> list[str] | None:
    fields = document.get("fields")
    if fields is None:
        return None
    if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
        raise _invalid("fields")
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise ApiError("1003", f"Invalid fields [{', '.join(unknown)}]")
    return fields


def _headers(document: Mapping[str, Any], fields: list[str]) -> list[str]:
    headers = document.get("columnHeaderNames") or {}
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
        raise _invalid("columnHeaderNames")
    if not set(fields) >= headers.keys():
        raise _invalid("columnHeaderNames")
    return [headers.get(name, name) for name in fields]


def _range(instance: Instance, name: str, value: Any) -> tuple[int, int]:
    """The first second of a range, and the first after it. UNCONFIRMED: whether `endAt` itself is in it."""
    if not isinstance(value, dict) or value.keys() != {"startAt", "endAt"}:
        raise _invalid(name)
    start, end = _time(name, value["startAt"]), _time(name, value["endAt"])
    if end < start:
        raise _invalid(name)
    if end - start > MAX_DAYS * 86_400:
        raise ApiError("1003", f"Date range of '{name}' exceeds the maximum of {MAX_DAYS} days")
    return math.ceil(start), math.floor(end) + 1 if instance.options.export_end_is_inclusive else math.ceil(end)


def _time(name: str, value: Any) -> float:
    if not isinstance(value, str) or not _DATETIME.fullmatch(value):
        raise _invalid(name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _invalid(name) from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()


def _list_id(instance: Instance, name: str, value: Any) -> int:
    for list_id, list_name in enumerate(instance.options.lists, FIRST_LIST_ID):
        if value == (list_id if name == "staticListId" else list_name):
            return list_id
    raise _invalid(name)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
