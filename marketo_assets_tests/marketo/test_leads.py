"""Guards against results that slip to another row, leads doubled by a retry, and leads a filter leaves out."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import orjson
import pytest
import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import (
    BodyTooLargeError,
    ReplyError,
    RequestError,
    TimedOutError,
    TooManyMatchesError,
)
from marketo_assets.marketo.leads import LeadField, LeadResult, describe_leads, leads_by_filter, sync_leads
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, EmulatorTransport, Fault
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, form_of, ok

NewEmulator = Callable[..., Emulator]
SYNC = "POST /rest/v1/leads.json"
USAGE = ok([{"date": "2026-03-04", "total": 1}])


@pytest.fixture
def new_emulator(clock: VirtualClock) -> Iterator[NewEmulator]:
    with ExitStack() as stack:

        def new(*faults: Fault) -> Emulator:
            emulator = Emulator(EmulatorOptions(faults=faults), clock)
            stack.callback(emulator.close)
            return emulator

        yield new


def rows_of(emails: Sequence[str], **values: object) -> list[bytes]:
    return [orjson.dumps({"email": email, **values}) for email in emails]


def emails(count: int) -> list[str]:
    return [f"lead{number}@example.test" for number in range(count)]


def add_duplicates(client_transport: NewClient, emulator: Emulator, keys: Sequence[str]) -> None:
    """Leads with these e-mails, also where there is one already."""
    client = client_transport(EmulatorTransport(emulator))
    for start in range(0, len(keys), 300):
        body = {"action": "createDuplicate", "input": [{"email": key} for key in keys[start : start + 300]]}
        client.request("POST", "/rest/v1/leads.json", json_body=orjson.dumps(body))


def test_results_come_in_the_order_of_the_rows(new_client: NewClient, new_emulator: NewEmulator) -> None:
    emulator = new_emulator()
    add_duplicates(new_client, emulator, ["twice@example.test", "twice@example.test", "known@example.test"])
    rows = rows_of(["new@example.test", "known@example.test", "twice@example.test", "also-new@example.test"])
    rows.append(orjson.dumps({"email": "bad@example.test", "noSuchField": "secret"}))
    results = sync_leads(new_client(EmulatorTransport(emulator)), rows)
    assert [(result.status, result.code) for result in results] == [
        ("created", None),
        ("updated", None),
        ("skipped", "1007"),
        ("created", None),
        ("skipped", "1006"),
    ]
    assert results[2].lead_id is None
    assert results[4].message == "Field 'noSuchField' not found"
    by_id = {lead["id"]: lead["email"] for lead in emulator.leads(["id", "email"])}
    assert [by_id[result.lead_id] for result in results if result.lead_id] == [
        "new@example.test",
        "known@example.test",
        "also-new@example.test",
    ]


def test_lookup_field_action_and_partition_are_passed_on(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([{"id": 7, "status": "updated"}]))
    results = sync_leads(
        new_client(transport), [b'{"id":7}'], action="updateOnly", lookup_field="id", partition_name="Europe"
    )
    assert results == [LeadResult("updated", 7, None, None)]
    assert orjson.loads(transport.requests[-1].body or b"") == {
        "action": "updateOnly",
        "lookupField": "id",
        "partitionName": "Europe",
        "input": [{"id": 7}],
    }


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        (Fault(SYNC, "reset_before_write", first=2), {"connection": 2}),
        (Fault(SYNC, "reset_after_write", first=2), {"connection": 2}),
        (Fault(SYNC, "truncated_json", first=1), {"reply": 1}),
        (Fault(SYNC, "http_502", first=2, after_write=True), {"502": 2}),
        (Fault(SYNC, "error", code="604", first=2, after_write=True), {"604": 2}),
        (Fault(SYNC, "slow", seconds=103, first=1), {"timeout": 1}),  # ends after we hang up, before we try again
        (Fault(SYNC, "expired_token", first=1), {"602": 1}),
        (Fault(SYNC, "error", code="606", first=3), {"606": 3}),
    ],
    ids=lambda value: f"{value.kind} {value.code}" if isinstance(value, Fault) else "",
)
def test_a_batch_sent_again_makes_no_lead_twice(
    new_client: NewClient, new_emulator: NewEmulator, fault: Fault, codes: dict[str, int]
) -> None:
    emulator = new_emulator(fault)
    client = new_client(EmulatorTransport(emulator))
    results = sync_leads(client, rows_of(emails(300)))
    assert len(results) == 300
    assert {result.status for result in results} <= {"created", "updated"}
    assert emulator.lead_count() == 300
    assert client.stats.errors_by_code == codes


@pytest.mark.parametrize("after_write", [False, True])
def test_a_batch_that_times_out_is_halved_in_order(
    new_client: NewClient, new_emulator: NewEmulator, after_write: bool
) -> None:
    emulator = new_emulator(Fault(SYNC, "error", code="604", first=6, after_write=after_write))
    client = new_client(EmulatorTransport(emulator))
    keys = emails(101)
    results = sync_leads(client, rows_of(keys))
    by_id = {lead["id"]: lead["email"] for lead in emulator.leads(["id", "email"])}
    assert [by_id[result.lead_id or 0] for result in results] == keys
    assert emulator.lead_count() == 101
    # 101 rows three times, 50 rows three times, then 25, 25 and 51.
    assert client.stats.calls_by_endpoint["/rest/v1/leads.json"] == 9


def test_one_row_that_times_out_raises(new_client: NewClient, new_emulator: NewEmulator) -> None:
    client = new_client(EmulatorTransport(new_emulator(Fault(SYNC, "error", code="604", first=100))))
    with pytest.raises(TimedOutError):
        sync_leads(client, rows_of(emails(4)))
    assert client.stats.calls_by_endpoint["/rest/v1/leads.json"] == 9  # four, two and one row, three times each


def test_a_batch_too_large_for_marketo_is_halved(new_client: NewClient) -> None:
    def answer(request: requests.PreparedRequest) -> Reply:
        rows = orjson.loads(request.body or b"{}").get("input", [])
        if len(rows) > 2:
            return Reply(b"<html>Request Entity Too Large</html>", 413)
        return ok([{"id": row["n"], "status": "updated"} for row in rows])

    results = sync_leads(new_client(ScriptedTransport(answer)), [b'{"n":%d}' % n for n in range(1, 8)])
    assert [result.lead_id for result in results] == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(BodyTooLargeError):
        sync_leads(new_client(ScriptedTransport(Reply(b"", 413))), [b"{}"])


@pytest.mark.parametrize("rows", [[], [b"{}"] * 301, [b'"' + b"x" * 1_000_000 + b'"']], ids=["0", "301", "1 MB"])
def test_a_batch_that_marketo_would_not_take_is_refused(new_client: NewClient, rows: list[bytes]) -> None:
    transport = ScriptedTransport(USAGE)
    with pytest.raises(ValueError, match="1 to 300 rows and less than 1000000 bytes"):
        sync_leads(new_client(transport), rows)
    assert transport.requests == []


@pytest.mark.parametrize(
    "result",
    [
        [{"id": 1, "status": "created"}],
        [{"id": 1, "status": "created"}] * 3,
        [{"id": 1, "status": "created"}, {"id": 2, "status": "queued"}],
        [{"id": 1, "status": "created"}, {"status": "updated"}],
        [{"id": 1, "status": "created"}, None],
    ],
    ids=["one short", "one over", "unknown status", "no id", "nothing"],
)
def test_results_that_do_not_fit_the_rows_are_no_results(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        sync_leads(new_client(ScriptedTransport(USAGE, ok(result))), [b"{}", b"{}"])


def test_a_row_skipped_for_no_reason_is_still_skipped(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([{"status": "skipped"}, {"status": "skipped", "reasons": []}]))
    assert sync_leads(new_client(transport), [b"{}", b"{}"]) == [LeadResult("skipped", None, None, None)] * 2


def test_the_reason_of_a_skipped_row_holds_no_value(new_client: NewClient) -> None:
    reason = {"code": "1003", "message": "Invalid value for field 'age' and value 'Jane's age'"}
    transport = ScriptedTransport(USAGE, ok([{"status": "skipped", "reasons": [reason]}]))
    (result,) = sync_leads(new_client(transport), [b"{}"])
    assert (result.code, result.message) == ("1003", "Invalid value for field 'age' and value '…'")


def test_a_lookup_field_that_does_not_exist_fails_the_call(new_client: NewClient, new_emulator: NewEmulator) -> None:
    with pytest.raises(RequestError, match=r"1006: .*noSuchField"):
        sync_leads(new_client(EmulatorTransport(new_emulator())), rows_of(emails(1)), lookup_field="noSuchField")


def test_fields_without_a_rest_name_are_left_out(new_client: NewClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="marketo_assets.marketo")
    transport = ScriptedTransport(
        USAGE,
        ok(
            [
                {
                    "id": 2,
                    "displayName": "Company Name",
                    "dataType": "string",
                    "length": 255,
                    "rest": {"name": "company", "readOnly": False},
                },
                {
                    "id": 3,
                    "displayName": "Created At",
                    "dataType": "datetime",
                    "rest": {"name": "createdAt", "readOnly": True},
                },
                {"id": 4, "displayName": "SOAP only", "dataType": "string", "soap": {"name": "x", "readOnly": False}},
            ]
        ),
    )
    assert describe_leads(new_client(transport)) == [
        LeadField("company", "Company Name", "string", 255, read_only=False),
        LeadField("createdAt", "Created At", "datetime", None, read_only=True),
    ]
    assert "1 lead fields have no REST name" in caplog.text


@pytest.mark.parametrize("result", [[], [{"rest": {"readOnly": True}}], [{"rest": {"name": "x"}}], [None]])
def test_a_description_that_describes_nothing_is_refused(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        describe_leads(new_client(ScriptedTransport(USAGE, ok(result))))


def test_the_emulators_fields_are_read(new_client: NewClient, new_emulator: NewEmulator) -> None:
    fields = {field.name: field for field in describe_leads(new_client(EmulatorTransport(new_emulator())))}
    assert fields["email"] == LeadField("email", "Email Address", "email", 255, read_only=False)
    assert fields["createdAt"].read_only


def test_a_filter_follows_its_pages(new_client: NewClient, new_emulator: NewEmulator) -> None:
    emulator, keys = new_emulator(), emails(300)
    add_duplicates(new_client, emulator, keys * 3)
    client = new_client(EmulatorTransport(emulator))
    found = list(leads_by_filter(client, "email", keys, ["id", "email", "updatedAt"]))
    assert Counter(lead["email"] for lead in found) == dict.fromkeys(keys, 3)
    assert len({lead["id"] for lead in found}) == 900
    assert client.stats.calls_by_endpoint["/rest/v1/leads.json"] == 3


def test_a_filter_travels_as_a_form(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([{"id": 1}], nextPageToken="NEXT=", moreResult=False), ok([{"id": 2}]))
    found = list(leads_by_filter(new_client(transport), "email", ["a+b@x.test", "c&d@x.test"], ["id", "email"]))
    assert found == [{"id": 1}, {"id": 2}]
    first, second = transport.requests[1:]
    assert (first.method, first.url) == ("POST", "http://127.0.0.1:1/rest/v1/leads.json?_method=GET")
    asked = {
        "filterType": "email",
        "filterValues": "a+b@x.test,c&d@x.test",
        "fields": "id,email",
    }
    assert form_of(first) == asked
    assert form_of(second) == {**asked, "nextPageToken": "NEXT="}


def test_a_filter_that_matches_too_much_is_halved(new_client: NewClient, new_emulator: NewEmulator) -> None:
    emulator, keys = new_emulator(), emails(300)
    add_duplicates(new_client, emulator, keys * 4)
    client = new_client(EmulatorTransport(emulator))
    found = list(leads_by_filter(client, "email", keys, ["id", "email"]))
    assert Counter(lead["email"] for lead in found) == dict.fromkeys(keys, 4)
    assert client.stats.errors_by_code == {"1003": 1}


def test_one_value_that_matches_too_much_raises(new_client: NewClient, new_emulator: NewEmulator) -> None:
    emulator = new_emulator()
    add_duplicates(new_client, emulator, ["one@example.test"] * 1001)
    client = new_client(EmulatorTransport(emulator))
    with pytest.raises(TooManyMatchesError) as caught:
        list(leads_by_filter(client, "email", ["two@example.test", "one@example.test"], ["id"]))
    assert caught.value.code == "1003"


def test_another_1003_is_not_halved(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, error("1003", "Lead ids not specified"))
    with pytest.raises(RequestError):
        list(leads_by_filter(new_client(transport), "id", ["1", "2"], ["id"]))
    assert len(transport.requests) == 2


def test_a_value_with_a_comma_is_refused_before_anything_is_sent(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE)
    with pytest.raises(ValueError, match="value 2 of 2 holds a comma") as caught:
        leads_by_filter(new_client(transport), "email", ["a@x.test", "b,c@x.test"], ["id"])
    assert "@" not in str(caught.value)
    for count in (0, 301):
        with pytest.raises(ValueError, match="1 to 300 values"):
            leads_by_filter(new_client(transport), "email", ["a"] * count, ["id"])
    assert transport.requests == []


def test_a_page_that_leads_to_itself_does_not_go_on_for_ever(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([{"id": 1}], nextPageToken="SAME="))
    with pytest.raises(ReplyError, match="the same page again"):
        list(leads_by_filter(new_client(transport), "email", ["a"], ["id"]))
