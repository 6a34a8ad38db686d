"""Companies and custom objects over the wire.

Guards against: results that slip to another record, records doubled by a retry, a batch that is given up whole, a
definition misread, and a CRM's refusal taken for a row's fault.
"""

from collections.abc import Sequence

import orjson
import pytest
import requests

from marketo_assets.marketo.errors import CrmSyncOnError, ReplyError, RequestError, TimedOutError
from marketo_assets.marketo.leads import LeadField
from marketo_assets.marketo.records import (
    COMPANIES,
    RecordResult,
    RecordType,
    Relationship,
    custom_object,
    custom_object_names,
    delete_records,
    describe_records,
    upsert_records,
)
from marketo_assets.sandbox.marketo import LEAD, EmulatorTransport, Fault, ObjectField, ObjectLink, ObjectType
from marketo_assets_tests.marketo.conftest import NewClient, NewEmulator
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, ok

USAGE = ok([{"date": "2026-03-04", "total": 1}])
CARS = custom_object("car_c")
CAR = ObjectType(
    "car_c",
    "Car",
    (
        ObjectField("vin", "VIN", length=17),
        ObjectField("mail", "Owner", "email"),
        ObjectField("year", "Year", "integer"),
    ),
    ("vin",),
    (ObjectLink("mail", LEAD, "email"),),
)
UPSERT = "POST /rest/v1/customobjects/car_c.json"


def rows_of(ids: Sequence[str], **values: object) -> list[bytes]:
    return [orjson.dumps({"externalCompanyId": each, **values}) for each in ids]


def test_definitions_are_read(new_client: NewClient, new_emulator: NewEmulator) -> None:
    client = new_client(EmulatorTransport(new_emulator(custom_objects=(CAR,))))
    companies = describe_records(client, COMPANIES)
    assert (companies.dedupe_fields, companies.id_field, companies.relationships) == (("externalCompanyId",), "id", ())
    fields = {field.name: field for field in companies.fields}
    assert fields["externalCompanyId"].read_only
    assert fields["company"] == LeadField("company", "Company Name", "string", 255, read_only=False)
    cars = describe_records(client, CARS)
    assert (cars.name, cars.dedupe_fields, cars.id_field) == ("car_c", ("vin",), "marketoGUID")
    assert cars.relationships == (Relationship("mail", "Lead", "email"),)
    assert LeadField("vin", "VIN", "string", 17, read_only=True) in cars.fields
    assert LeadField("year", "Year", "integer", None, read_only=False) in cars.fields
    assert custom_object_names(client) == ["car_c"]
    with pytest.raises(RequestError, match="1013"):
        describe_records(client, custom_object("bike_c"))


def test_a_relationship_is_read_in_either_of_its_documented_forms(new_client: NewClient) -> None:
    item = {
        "apiName": "car_c",
        "idField": "marketoGUID",
        "dedupeFields": ["vin", "mail"],
        "relationships": [{"field": "mail", "type": "parent", "object": {"name": "Lead", "field": "email"}}],
        "fields": [{"name": "vin", "displayName": "VIN", "dataType": "string"}],
    }
    assert describe_records(new_client(ScriptedTransport(USAGE, ok([item]))), CARS) == RecordType(
        "car_c",
        ("vin", "mail"),
        "marketoGUID",
        (Relationship("mail", "Lead", "email"),),
        (LeadField("vin", "VIN", "string", None, read_only=True),),
    )


NAMED = {"name": "x", "idField": "id"}


@pytest.mark.parametrize(
    "result",
    [
        [],
        [None],
        [{}],
        [{**NAMED, "dedupeFields": ["a"]}],
        [{**NAMED, "dedupeFields": [], "fields": []}],
        [{**NAMED, "dedupeFields": ["a"], "fields": [{"name": "a"}]}],
        [{**NAMED, "dedupeFields": ["a"], "fields": [{"name": "a", "displayName": "A", "dataType": "text"}]}] * 2,
    ],
)
def test_a_description_that_does_not_describe_one_type_is_refused(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        describe_records(new_client(ScriptedTransport(USAGE, ok(result))), CARS)


def test_a_list_of_types_without_names_is_refused(new_client: NewClient) -> None:
    with pytest.raises(ReplyError):
        custom_object_names(new_client(ScriptedTransport(USAGE, ok([{}]))))


def test_records_are_created_updated_and_deleted_and_results_are_in_order(
    new_client: NewClient, new_emulator: NewEmulator
) -> None:
    emulator = new_emulator()
    client = new_client(EmulatorTransport(emulator))
    upsert_records(client, COMPANIES, rows_of(["B"]))
    bad = orjson.dumps({"externalCompanyId": "X", "numberOfEmployees": "many"})
    results = upsert_records(client, COMPANIES, [*rows_of(["A", "B"], company="Acme"), bad, *rows_of(["C", "C"])])
    assert [(each.status, each.code) for each in results] == [
        ("created", None),
        ("updated", None),
        ("skipped", "1003"),
        ("created", None),
        ("skipped", "1036"),
    ]
    assert "many" not in str(results)
    by_id = {str(each["id"]): each["externalCompanyId"] for each in emulator.records("Company")}
    assert [by_id.get(each.record_id or "") for each in results] == ["A", "B", None, "C", None]
    gone = delete_records(client, COMPANIES, rows_of(["C", "nobody", "A"]))
    assert [(each.status, each.code) for each in gone] == [("deleted", None), ("skipped", "1013"), ("deleted", None)]
    assert [each["externalCompanyId"] for each in emulator.records("Company")] == ["B"]


def test_what_is_sent_names_the_dedupe_fields(new_client: NewClient) -> None:
    transport = ScriptedTransport(
        USAGE,
        ok([{"seq": 0, "status": "created", "marketoGUID": "g"}]),
        ok([{"status": "deleted", "marketoGUID": "g"}]),
    )
    client = new_client(transport)
    assert upsert_records(client, CARS, [b'{"vin":"1"}']) == [RecordResult("created", "g", None, None)]
    assert delete_records(client, CARS, [b'{"vin":"1"}']) == [RecordResult("deleted", "g", None, None)]
    sent = [(request.path_url, orjson.loads(request.body or b"")) for request in transport.requests[1:]]
    rows = {"input": [{"vin": "1"}]}
    assert sent == [
        ("/rest/v1/customobjects/car_c.json", {"action": "createOrUpdate", "dedupeBy": "dedupeFields", **rows}),
        ("/rest/v1/customobjects/car_c/delete.json", {"deleteBy": "dedupeFields", **rows}),
    ]
    assert [read for _, read in transport.timeouts[-2:]] == [130.0, 70.0], "longer than Marketo works on them"


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (Fault(UPSERT, "reset_after_write", first=2), 3),
        (Fault(UPSERT, "error", code="604", first=3, after_write=True), 5),  # 101 rows three times, then 50 and 51
    ],
)
def test_a_batch_sent_again_or_in_halves_makes_no_record_twice(
    new_client: NewClient, new_emulator: NewEmulator, fault: Fault, calls: int
) -> None:
    emulator = new_emulator(custom_objects=(CAR,), faults=(fault,))
    client = new_client(EmulatorTransport(emulator))
    vins = [f"V{number}" for number in range(101)]
    results = upsert_records(client, CARS, [orjson.dumps({"vin": vin}) for vin in vins])
    by_guid = {each["marketoGUID"]: each["vin"] for each in emulator.records("car_c")}
    assert [by_guid[each.record_id] for each in results] == vins
    assert client.stats.calls_by_endpoint["/rest/v1/customobjects/car_c.json"] == calls


def test_a_batch_too_large_is_halved_and_a_single_row_that_fails_raises(
    new_client: NewClient, new_emulator: NewEmulator
) -> None:
    def answer(request: requests.PreparedRequest) -> Reply:
        rows = orjson.loads(request.body or b"{}").get("input", [])
        if len(rows) > 2:
            return Reply(b"<html>Request Entity Too Large</html>", 413)
        return ok([{"seq": seq, "id": row["n"], "status": "updated"} for seq, row in enumerate(rows)])

    results = upsert_records(new_client(ScriptedTransport(answer)), COMPANIES, [b'{"n":%d}' % n for n in range(1, 8)])
    assert [each.record_id for each in results] == ["1", "2", "3", "4", "5", "6", "7"]
    slow = new_client(EmulatorTransport(new_emulator(faults=(Fault("POST /rest/*", "error", code="604", first=100),))))
    with pytest.raises(TimedOutError):
        delete_records(slow, COMPANIES, rows_of(["A"]))


@pytest.mark.parametrize(
    "result",
    [
        [{"seq": 0, "status": "created"}],
        [{"seq": 1, "status": "created"}, {"seq": 0, "status": "created"}],
        [{"seq": 0, "status": "created"}, {"seq": 1, "status": "queued"}],
        [{"seq": 0, "status": "created"}, None],
    ],
    ids=["one short", "another order", "unknown status", "nothing"],
)
def test_results_that_do_not_fit_the_records_are_no_results(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        upsert_records(new_client(ScriptedTransport(USAGE, ok(result))), CARS, [b"{}", b"{}"])


CRM_ROW = {"seq": 0, "status": "skipped", "reasons": [{"code": "1018", "message": "CRM Enabled"}]}


@pytest.mark.parametrize("reply", [error("1018", "CRM Enabled"), ok([CRM_ROW])], ids=["of the call", "of the row"])
def test_a_native_crm_sync_is_told_apart(new_client: NewClient, reply: Reply) -> None:
    with pytest.raises(CrmSyncOnError, match="its native sync is on"):
        delete_records(new_client(ScriptedTransport(USAGE, reply)), COMPANIES, rows_of(["A"]))


def test_a_record_skipped_for_no_reason_is_still_skipped(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([{"seq": 0, "status": "skipped"}]))
    assert upsert_records(new_client(transport), CARS, [b"{}"]) == [RecordResult("skipped", None, None, None)]
