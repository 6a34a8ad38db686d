"""Guards against input the emulator did not think of: whatever JSON a client sends, each row gets a result."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketo_assets.sandbox.marketo.fields import known_fields
from marketo_assets_tests.sandbox.emulator_calls import emulated
from marketo_assets_tests.sandbox.record_calls import ADA, TYPES, delete, put, put_companies

INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats() | st.text(max_size=30) | st.datetimes().map(str)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)
NAMES = st.sampled_from([field.name for field in known_fields()]) | st.text(max_size=5)
OBJECTS = ("companies", "customobjects/pet_c", "customobjects/visit_c", "customobjects/badge_c")
RECORD_NAMES = st.sampled_from(
    [*("externalCompanyId", "id", "marketoGUID", "company"), *(field.name for each in TYPES for field in each.fields)]
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=4)
LIMITS = {"rate": None, "daily_quota": None}
READS = ("leads.json", "lists.json", "leads/delete.json", "companies.json", "customobjects/visit_c.json")
MANY = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@MANY
@given(ROWS, st.sampled_from(["email", "id", "cDBGitLabComUserID", "cDBCompanyName"]), st.booleans())
def test_every_row_of_a_write_gets_a_result_and_every_lead_can_be_read(
    rows: list[dict[str, Any]], lookup_field: str, by_duplicates: bool
) -> None:
    rows = orjson.loads(orjson.dumps(rows))  # NaN becomes null
    action = "createDuplicate" if by_duplicates else "updateOnly" if lookup_field == "id" else "createOrUpdate"
    with emulated(**LIMITS) as (emulator, api):
        result = api.sync(*rows, action=action, lookupField=lookup_field)
        assert len(result) == len(rows)
        assert all(row["status"] in {"created", "updated", "skipped"} for row in result)
        for lead in emulator.leads(["id"]):
            assert api.lead(lead["id"])["id"] == lead["id"]
        assert len(list(emulator.activities())) >= emulator.lead_count()


@MANY
@given(st.lists(st.dictionaries(RECORD_NAMES, VALUES, max_size=6), min_size=1, max_size=4), st.sampled_from(OBJECTS))
def test_every_record_of_a_write_gets_a_result_and_can_be_read_and_deleted(
    rows: list[dict[str, Any]], path: str
) -> None:
    rows = orjson.loads(orjson.dumps(rows))
    with emulated(**LIMITS, custom_objects=TYPES) as (_, api):
        api.sync({"email": ADA})
        put_companies(api, A1="ACME")
        for result in (put(api, path, *rows), delete(api, path, *rows)):
            assert [row["seq"] for row in result] == list(range(len(rows)))
            assert all(row["status"] in {"created", "updated", "deleted", "skipped"} for row in result)
        assert isinstance(api.post(f"{path}.json", {"input": rows}, _method="GET")["success"], bool)


@MANY
@given(
    VALUES,
    st.sampled_from(
        [
            *("leads.json", "leads/delete.json", "leads/partitions.json", "lists/1001/leads.json"),
            *("companies.json", "companies/delete.json", "customobjects/visit_c.json"),
            *("companies.json?_method=GET", "customobjects/visit_c.json?_method=GET"),
        ]
    ),
)
def test_every_body_gets_an_envelope(document: Any, path: str) -> None:
    with emulated(**LIMITS, custom_objects=TYPES) as (_, api):
        for body in (
            document,
            {"input": document},
            {"input": [document]},
            {"input": [{"id": document}]},
            {"filterType": "id", "filterValues": document},
        ):
            url = f"{api.base}/rest/v1/{path}"
            reply = api.session.post(url, data=orjson.dumps(body), headers={"Content-Type": "application/json"})
            assert reply.status_code == 200
            assert isinstance(reply.json()["success"], bool)


@MANY
@given(st.text(max_size=12), st.text(max_size=12), st.sampled_from(READS))
def test_every_parameter_gets_an_envelope(name: str, value: str, path: str) -> None:
    with emulated(**LIMITS, custom_objects=TYPES) as (_, api):
        for parameters in ({name: value}, {"filterType": "id", "filterValues": value}, {"id": value}):
            safe = {key.encode(errors="replace"): text.encode(errors="replace") for key, text in parameters.items()}
            reply = api.session.get(f"{api.base}/rest/v1/{path}", params=safe)
            assert isinstance(reply.json()["success"], bool)
