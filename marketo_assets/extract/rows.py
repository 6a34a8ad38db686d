"""Activities as rows: the schema that both routes deliver, and what activities.json holds brought into it.

The bulk file's way into the same schema is `csv_file`. What the rows become in the warehouse belongs elsewhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pyarrow as pa

ACTIVITY_SCHEMA: Final = pa.schema(
    [
        pa.field("marketo_guid", pa.string(), nullable=False),
        pa.field("lead_id", pa.int64(), nullable=False),
        pa.field("activity_date", pa.timestamp("us"), nullable=False),
        pa.field("activity_type_id", pa.int64(), nullable=False),
        pa.field("campaign_id", pa.int64()),
        pa.field("primary_attribute_value_id", pa.int64()),
        pa.field("primary_attribute_value", pa.string()),
        pa.field("attributes", pa.string(), nullable=False),
    ]
)
"""One row per activity. `activity_date` is in UTC, without a zone; `attributes` is the text of a JSON object."""

NO_ATTRIBUTES: Final = "{}"
INT64: Final = range(-(2**63), 2**63)


class ActivityRowError(ValueError):
    """An activity of activities.json that cannot be read; names its position in the page and the key."""


def from_rest(activities: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Activities of activities.json as a table of ACTIVITY_SCHEMA, in their order.

    An empty primary value is none: the bulk file does not tell the two apart, and both routes give the same row.
    Raises ActivityRowError for one without lead, date, type or any id: without them it is not an activity.
    """
    rows = [_row(activity, position) for position, activity in enumerate(activities, start=1)]
    columns = zip(*rows, strict=True) if rows else [()] * len(ACTIVITY_SCHEMA)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, ACTIVITY_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ACTIVITY_SCHEMA)


def moment(text: str) -> datetime:
    """A Marketo time as naive UTC; one without an offset is UTC. A leap second becomes the second before it.

    Raises ValueError for what is no time in ISO 8601.
    """
    # The second 60 is the day's last: a clock without it would put the activity on the next day.
    found = datetime.fromisoformat(re.sub(r"(?<=:[0-9]{2}:)60", "59", text.strip()))
    try:
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


def attributes_object(pairs: Sequence[Mapping[str, Any]]) -> str:
    """The JSON object of an array of `{"name": …, "value": …}`, values by their JSON types.

    A name that comes again gets " (2)", " (3)" and so on, in the order of the array: an object holds each name once,
    and no value is dropped. Raises KeyError or TypeError for what is no such array.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        values[_free_name(pair["name"], values)] = pair.get("value")
    return orjson.dumps(values).decode()


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _row(activity: Mapping[str, Any], position: int) -> tuple[Any, ...]:
    values = []
    for key, read in _READERS.items():
        try:
            values.append(read(activity))
        except (KeyError, TypeError, ValueError, AttributeError):
            # What the error says is not told: it may quote the activity.
            raise ActivityRowError(f"activity {position} of the page: {key} is missing or cannot be read") from None
    return tuple(values)


def _guid(activity: Mapping[str, Any]) -> str:
    # Instances that are not yet on the activity service send the id alone, others the GUID alone.
    value = activity.get("marketoGUID") or activity["id"]
    if value is None:
        raise KeyError
    return str(value)


def _whole(key: str) -> Callable[[Mapping[str, Any]], int]:
    def read(activity: Mapping[str, Any]) -> int:
        value = activity[key]
        if type(value) is not int or value not in INT64:
            raise ValueError
        return value

    return read


def _optional_whole(key: str) -> Callable[[Mapping[str, Any]], int | None]:
    whole = _whole(key)
    return lambda activity: None if activity.get(key) is None else whole(activity)


def _primary_value(activity: Mapping[str, Any]) -> str | None:
    value = activity.get("primaryAttributeValue")
    # Documented as a string; a number or boolean reads as the bulk file would write it.
    text = value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
    return text or None


def _attributes(activity: Mapping[str, Any]) -> str:
    pairs = activity.get("attributes")
    return attributes_object(pairs) if pairs else NO_ATTRIBUTES


# In the order of ACTIVITY_SCHEMA.
_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Any]]] = {
    "marketoGUID": _guid,
    "leadId": _whole("leadId"),
    "activityDate": lambda activity: moment(activity["activityDate"]),
    "activityTypeId": _whole("activityTypeId"),
    "campaignId": _optional_whole("campaignId"),
    "primaryAttributeValueId": _optional_whole("primaryAttributeValueId"),
    "primaryAttributeValue": _primary_value,
    "attributes": _attributes,
}
