"""The activities that writes leave behind, and how one stored event expands into the activities it stands for.

Two forms are stored: a write is kept short, as an array from which its activities are made; an activity of any other
origin is kept as an object that says what is in it. The endpoints that read activities are in activity_reads.py.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from marketo_assets.sandbox.marketo.activity_store import StoredActivity
from marketo_assets.sandbox.marketo.fields import FieldTable
from marketo_assets.sandbox.marketo.wire import stamp

NEW_LEAD = 12
CHANGE_DATA_VALUE = 13
ADD_TO_LIST = 24
REMOVE_FROM_LIST = 25
MERGE_LEADS = 32
DELETE_LEAD = 37

_HEAD = ("id", "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId")

Event = tuple[int, int, int, Any]
"""Lead id, activity type, number of activities, detail: what Store.add_activities takes."""


def new_lead(lead_id: int, request_id: str, method: str) -> Event:
    """A lead came to be."""
    return lead_id, NEW_LEAD, 1, [request_id, method]


def changed_values(
    lead_id: int, request_id: str, method: str, positions: list[int], old: list[Any], new: list[Any]
) -> Event:
    """Fields of a lead changed: one activity each."""
    return lead_id, CHANGE_DATA_VALUE, len(positions), [request_id, method, positions, old, new]


def list_change(lead_id: int, type_id: int, list_id: int, list_name: str) -> Event:
    """A lead was put on a static list or taken off it."""
    return lead_id, type_id, 1, [list_id, list_name]


def merged(winner_id: int, loser_ids: list[int], winner_changed: bool) -> Event:
    """Leads were merged into one."""
    return winner_id, MERGE_LEADS, 1, [loser_ids, winner_changed]


def deleted(lead_id: int, full_name: str | None) -> Event:
    """A lead is gone."""
    return lead_id, DELETE_LEAD, 1, [full_name]


def any_activity(
    attributes: Mapping[str, Any], primary: str | None, primary_id: int | None, campaign_id: int | None
) -> dict[str, Any]:
    """The detail of an activity of any type, with exactly these attributes, nulls among them."""
    detail = {"campaignId": campaign_id, "primaryAttributeValueId": primary_id, "primaryAttributeValue": primary}
    return {name: value for name, value in detail.items() if value is not None} | {"attributes": dict(attributes)}


def expand(event: StoredActivity, fields: FieldTable, user: str) -> Iterator[dict[str, Any]]:
    """The activities of one stored event, in the shape activities.json has them."""
    for activity in expand_flat(event, fields, user):
        attributes = [{"name": name, "value": value} for name, value in activity["attributes"].items()]
        yield {**activity, "attributes": attributes}


def expand_flat(event: StoredActivity, fields: FieldTable, user: str) -> Iterator[dict[str, Any]]:
    """The same with the attributes as one object, as exported files have them."""
    if isinstance(event.detail, dict):
        yield {**_head(event, 0), **event.detail}
    elif event.type == CHANGE_DATA_VALUE:
        request_id, method, positions, olds, news = event.detail
        for offset, (position, old, new) in enumerate(zip(positions, olds, news, strict=True)):
            field = fields.fields[position]
            yield _activity(event, offset, field.id, field.display_name) | {
                "attributes": _attributes(
                    {
                        "New Value": new,
                        "Old Value": old,
                        "Reason": "Web service API",
                        "Source": "Web service API",
                        "API Method Name": method,
                        "Modifying User": user,
                        "Request Id": request_id,
                    }
                )
            }
    elif event.type == NEW_LEAD:
        request_id, method = event.detail
        yield _activity(event, 0, event.lead_id, None) | {
            "attributes": _attributes(
                {
                    "Source Type": "Web service API",
                    "Created Date": stamp(event.at)[:10],
                    "API Method Name": method,
                    "Modifying User": user,
                    "Request Id": request_id,
                }
            )
        }
    elif event.type == MERGE_LEADS:
        losers, winner_changed = event.detail
        attributes = {
            "Merge IDs": str(losers),
            "Master Updated": winner_changed,
            "Merged in Sales": False,
            "Merge Source": "leaddb",
        }
        yield _activity(event, 0, event.lead_id, None) | {"attributes": _attributes(attributes)}
    elif event.type == DELETE_LEAD:
        yield _activity(event, 0, event.lead_id, event.detail[0]) | {"attributes": {}}
    else:
        list_id, list_name = event.detail
        yield _activity(event, 0, list_id, list_name) | {"attributes": _attributes({"Source": "Web service API"})}


def lead_changes(
    event: StoredActivity, fields: FieldTable, user: str, asked: Container[str]
) -> Iterator[dict[str, Any] | None]:
    """The same in the shape leadchanges.json has them; None for a change of a field that is not asked for.

    Documented of a change: `fields` with the field's id and REST name and both values, and these three attributes.
    UNCONFIRMED: what a New Lead has there. Here: no fields, and its attributes as in activities.json.
    """
    for activity in expand_flat(event, fields, user):
        attributes, changed = activity["attributes"], []
        if event.type == CHANGE_DATA_VALUE:
            field = fields.by_id.get(activity.get("primaryAttributeValueId", 0))
            if field is None or field.name not in asked:
                yield None
                continue
            values = {"newValue": attributes.get("New Value"), "oldValue": attributes.get("Old Value")}
            changed = [{"id": field.id, "name": field.name, **values}]
            attributes = {name: attributes[name] for name in ("Reason", "Source") if name in attributes}
            attributes["Lead ID"] = event.lead_id
        named = [{"name": name, "value": value} for name, value in attributes.items()]
        head = {name: activity[name] for name in _HEAD if name in activity}
        yield {**head, "fields": changed, "attributes": named}


def _activity(event: StoredActivity, offset: int, primary_id: int, primary_value: str | None) -> dict[str, Any]:
    activity = _head(event, offset) | {"primaryAttributeValueId": primary_id}
    if primary_value is not None:
        activity["primaryAttributeValue"] = primary_value
    return activity


def _head(event: StoredActivity, offset: int) -> dict[str, Any]:
    return {
        "id": event.id + offset,
        "marketoGUID": str(event.id + offset),
        "leadId": event.lead_id,
        "activityDate": stamp(event.at),
        "activityTypeId": event.type,
    }


def _attributes(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
