"""Companies and custom objects for the emulator's tests: three types and short cuts to their endpoints.

Pets belong to leads by e-mail, visits to pets and to leads, and have a compound key. No assertion belongs here.
"""

from collections.abc import Mapping
from typing import Any

from marketo_assets.sandbox.marketo import LEAD, ObjectField, ObjectLink, ObjectType
from marketo_assets_tests.sandbox.emulator_calls import Api

PET = ObjectType(
    "pet_c",
    "Pet",
    (
        ObjectField("petId", "Pet Id", "integer"),
        ObjectField("owner", "Owner", "email"),
        ObjectField("name", "Name", "string", 10),
        ObjectField("tame", "Is Tame", "boolean"),
        ObjectField("born", "Born", "date"),
    ),
    ("petId",),
    (ObjectLink("owner", LEAD, "email"),),
)
VISIT = ObjectType(
    "visit_c",
    "Visit",
    (
        ObjectField("lead", "Lead", "integer"),
        ObjectField("pet", "Pet", "integer"),
        ObjectField("note", "Note", "text"),
    ),
    ("lead", "pet"),
    (ObjectLink("lead", LEAD, "id"), ObjectLink("pet", "pet_c", "petId")),
)
BADGE = ObjectType(
    "badge_c",
    "Badge",
    (ObjectField("code", "Code"), ObjectField("firm", "Firm")),
    ("code",),
    (ObjectLink("firm", "Company", "externalCompanyId"),),
)
TYPES = (PET, VISIT, BADGE)
ADA, BOB = "ada@example.test", "bob@example.test"


def put(api: Api, path: str, *rows: Mapping[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """Upsert companies ("companies") or custom objects ("customobjects/pet_c"); the rows of the result."""
    reply = api.post(f"{path}.json", {**settings, "input": rows})
    assert reply["success"], reply
    return list(reply["result"])


def put_companies(api: Api, **names: str) -> list[dict[str, Any]]:
    """Upsert companies with nothing but a name, by externalCompanyId."""
    return put(api, "companies", *({"externalCompanyId": key, "company": name} for key, name in names.items()))


def delete(api: Api, path: str, *rows: Mapping[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """Delete, in the same way."""
    reply = api.post(f"{path}/delete.json", {**settings, "input": rows})
    assert reply["success"], reply
    return list(reply["result"])


def find(api: Api, path: str, filter_type: str, *values: object, **parameters: Any) -> list[dict[str, Any]]:
    """Find by values of one field; one page."""
    asked = {"filterType": filter_type, "filterValues": ",".join(map(str, values)), **parameters}
    reply = api.get(f"{path}.json", **asked)
    assert reply["success"], reply
    return list(reply["result"])


def changes(api: Api, since: float) -> list[tuple[int, str, Any, Any]]:
    """Lead, field, value before and value after of every Change Data Value since a time."""
    found = []
    for activity in api.activities(since, 13):
        values = {attribute["name"]: attribute["value"] for attribute in activity["attributes"]}
        named = (activity["leadId"], activity["primaryAttributeValue"])
        found.append((*named, values.get("Old Value"), values.get("New Value")))
    return found
