"""The endpoint by which others write activities of custom types: what happened outside of Marketo, possibly long ago.

Documented: 300 rows, a row is added or skipped by itself, with its codes under `errors` (not `reasons`, as leads have
it). Which code what is wrong with a row gets is a choice, but for 1004 and 1049.
"""

from typing import Any

import orjson

from marketo_assets.sandbox.marketo.activities import any_activity
from marketo_assets.sandbox.marketo.activity_store import PastActivity
from marketo_assets.sandbox.marketo.activity_types import FIRST_CUSTOM_TYPE_ID, ActivityType
from marketo_assets.sandbox.marketo.instance import Instance, lead_id, read_time
from marketo_assets.sandbox.marketo.lead_removal import NOT_FOUND
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call

MAX_ATTRIBUTE_BYTES = 65_536
_REQUIRED = ("leadId", "activityDate", "activityTypeId", "primaryAttributeValue")


class ActivityWrites:
    """Adding custom activities to one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance

    def add(self, call: Call) -> Answer:
        """POST activities/external.json: each row is added, at its date and committed now, or skipped."""
        store, added, result = self._instance.store, list[PastActivity](), list[dict[str, Any]]()
        rows = call.rows(call.json())
        for row in rows:
            try:
                added.append(self._read(row))
            except ApiError as error:
                errors = [{"code": error.code, "message": error.message}]
                result.append({"status": "skipped", "errors": errors})
            else:
                number = store.next_activity_id + len(added) - 1
                result.append({"id": number, "marketoGUID": str(number), "status": "added"})
        store.add_past_activities(added)
        return Answer(result)

    def _read(self, row: dict[str, Any]) -> PastActivity:
        """The activity of a row; ApiError with the code of what is wrong with it."""
        for name in _REQUIRED:
            if row.get(name) in (None, ""):
                raise ApiError("1002", f"Missing value for the required parameter '{name}'")
        lead, now = lead_id(row["leadId"]), self._instance.now()
        if not self._instance.store.existing_ids([lead]):
            raise ApiError(*NOT_FOUND)
        type_id = lead_id(row["activityTypeId"])
        activity_type = self._instance.activity_types.get(type_id)
        if activity_type is None or type_id < FIRST_CUSTOM_TYPE_ID:
            raise ApiError("1003", f"Invalid activity type id '{type_id}'")
        at = read_time(row["activityDate"])
        if at is None or at > now:
            raise ApiError("1003", "Invalid value for 'activityDate'")
        attributes = _read_attributes(activity_type, row.get("attributes") or [])
        detail = any_activity(attributes, str(row["primaryAttributeValue"]), None, None)
        return now, at, lead, type_id, orjson.dumps(detail)


def _read_attributes(activity_type: ActivityType, given: Any) -> dict[str, Any]:
    """Values by the names of the type's attributes, which may be given by `name` or `apiName`; nulls are left out."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ApiError("1001", "Invalid value for 'attributes'. Required of type 'array of objects'")
    if len(orjson.dumps(given)) > MAX_ATTRIBUTE_BYTES:
        raise ApiError("1049", f"Attributes are larger than {MAX_ATTRIBUTE_BYTES} bytes")
    names = {name: each.name for each in activity_type.attributes for name in (each.name, each.api_name) if name}
    values: dict[str, Any] = {}
    for each in given:
        name = each.get("name") or each.get("apiName")
        if name not in names:
            raise ApiError("1006", f"Field '{name}' not found")
        if each.get("value") is not None:
            values[names[name]] = each["value"]
    return values
