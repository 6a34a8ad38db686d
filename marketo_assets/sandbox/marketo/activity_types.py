"""The activity types of an instance: what they are and how types.json shows them.

The standard types themselves are data (standard_activity_types.py); single activities are in activities.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from marketo_assets.sandbox.marketo.standard_activity_types import STANDARD_TYPES

FIRST_CUSTOM_TYPE_ID = 100_001
SHORT_LIVED_TYPES = frozenset({1, 3, 6, 7, 13, 19, 22, 24, 36, 47})
"""What Marketo keeps for 90 days only; Delete Lead it keeps for 14 days, the others for 25 months and more."""


@dataclass(frozen=True, slots=True)
class ActivityAttribute:
    """One attribute of a type.

    `data_type`: string, text, integer, float, boolean, date, datetime and more. `api_name`: in custom types alone.
    """

    name: str
    data_type: str = "string"
    api_name: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityType:
    """One activity type. Custom ones have an `api_name` and ids from FIRST_CUSTOM_TYPE_ID."""

    id: int
    name: str
    description: str = ""
    primary: ActivityAttribute | None = None
    attributes: tuple[ActivityAttribute, ...] = ()
    api_name: str | None = None


class ActivityTypes:
    """All types by id: the standard ones, then those given; they may change while the instance runs."""

    def __init__(self, custom: Iterable[ActivityType]) -> None:
        """`custom` are added, or take the place of a standard type with the same id."""
        self._types = {activity_type.id: activity_type for activity_type in (*standard_types(), *custom)}

    def __iter__(self) -> Iterator[ActivityType]:
        """The types, ascending by id."""
        return iter(sorted(self._types.values(), key=lambda activity_type: activity_type.id))

    def __contains__(self, type_id: object) -> bool:
        return type_id in self._types

    def get(self, type_id: int) -> ActivityType | None:
        """The type with this id."""
        return self._types.get(type_id)

    def put(self, activity_type: ActivityType) -> None:
        """Add a type, or change the one with its id."""
        self._types[activity_type.id] = activity_type

    def remove(self, type_id: int) -> None:
        """Take a type away; KeyError if there is none."""
        del self._types[type_id]

    def describe(self) -> list[dict[str, Any]]:
        """`result` of activities/types.json."""
        return [_describe(activity_type) for activity_type in self]


def standard_types() -> list[ActivityType]:
    """The types every instance has."""
    return [
        ActivityType(
            id=type_id,
            name=name,
            description=description,
            primary=_attribute(primary) if primary else None,
            attributes=tuple(_attribute(text) for text in attributes.split(", ") if text),
        )
        for type_id, name, description, primary, attributes in STANDARD_TYPES
    ]


def _attribute(text: str) -> ActivityAttribute:
    name, _, data_type = text.partition(":")
    return ActivityAttribute(name, data_type or "string")


@cache
def _describe(activity_type: ActivityType) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": activity_type.id, "name": activity_type.name}
    if activity_type.api_name is not None:
        entry["apiName"] = activity_type.api_name
    entry["description"] = activity_type.description
    if activity_type.primary is not None:
        entry["primaryAttribute"] = _describe_attribute(activity_type.primary)
    entry["attributes"] = [_describe_attribute(attribute) for attribute in activity_type.attributes]
    return entry


def _describe_attribute(attribute: ActivityAttribute) -> dict[str, Any]:
    entry = {"name": attribute.name}
    if attribute.api_name is not None:
        entry["apiName"] = attribute.api_name
    return entry | {"dataType": attribute.data_type}
