"""Guards reads by filter: what comes back for whom, in which shape, in how many pages, and what is refused."""

import pytest

from marketo_assets_tests.sandbox.emulator_calls import Api, code, emulated


def test_asked_fields_come_back_as_null_and_booleans_as_false() -> None:
    with emulated() as (_, api):
        api.sync({"email": "a@example.test"})
        fields = "email,firstName,cDBIsPaidTier,cDBZuoraCreatedDate,mktoName"
        reply = api.get(
            "leads.json", filterType="email", filterValues="A@EXAMPLE.TEST,nobody@example.test", fields=fields
        )
    (lead,) = reply["result"]
    assert lead == {
        "id": 1,
        "email": "a@example.test",
        "firstName": None,
        "cDBIsPaidTier": False,
        "cDBZuoraCreatedDate": None,
        "mktoName": None,
    }
    assert "nextPageToken" not in reply


def test_default_fields_and_a_missing_lead() -> None:
    with emulated() as (_, api):
        api.sync({"email": "a@example.test"})
        assert set(api.lead(1)) == {"id", "email", "updatedAt", "createdAt", "lastName", "firstName"}
        assert api.get("lead/2.json")["result"] == []
        assert api.get("leads.json", filterType="id", filterValues="2")["result"] == []


@pytest.mark.parametrize("method_in", ["query", "form"])
def test_a_long_filter_goes_by_post(method_in: str) -> None:
    with emulated() as (_, api):
        emails = [f"person{number}@example.test" for number in range(300)]
        api.sync(*({"email": email} for email in emails))
        form = {"filterType": "email", "filterValues": ",".join(emails)}
        if method_in == "form":
            reply = api.form("leads.json", {**form, "_method": "GET"})
        else:
            reply = api.form("leads.json", form, _method="GET")
    assert [lead["email"] for lead in reply["result"]] == emails


def test_more_than_a_page_is_paged_to_the_end_once_each() -> None:
    with emulated() as (_, api):
        _twins(api, 650)
        assert [len(page) for page in _pages(api)] == [300, 300, 50]
        ids = [lead_id for page in _pages(api, batchSize="200") for lead_id in page]
    assert ids == list(range(1, 651))


def test_more_than_1000_matches_are_refused_however_small_the_page() -> None:
    with emulated() as (_, api):
        _twins(api, 1001)
        reply = api.get("leads.json", filterType="email", filterValues="twin@example.test", batchSize="10")
    assert code(reply) == "1003"
    assert reply["errors"][0]["message"] == "Too many results match the filter"


def test_a_custom_field_finds_its_leads_before_and_after_too_many_matches() -> None:
    with emulated() as (_, api):
        for start in range(0, 1200, 300):
            rows = [{"cDBCompanyName": "ACME", "cDBCountry": f"C{start + number}"} for number in range(300)]
            api.sync(*rows, action="createDuplicate")
        assert code(api.get("leads.json", filterType="cDBCompanyName", filterValues="acme")) == "1003"
        found = api.get("leads.json", filterType="cDBCountry", filterValues="c7,C299,none")["result"]
        assert [lead["id"] for lead in found] == [8, 300]
        api.sync({"id": 8, "cDBCountry": "moved"}, action="updateOnly", lookupField="id")
        found = api.get("leads.json", filterType="cDBCountry", filterValues="c7,MOVED")["result"]
        assert [lead["id"] for lead in found] == [8]


def test_letters_beyond_ascii_match_as_they_are_written() -> None:
    with emulated() as (_, api):
        api.sync({"cDBCompanyName": "ÜBER Bolts"}, action="createDuplicate")
        found = api.get("leads.json", filterType="cDBCompanyName", filterValues="Über bolts")["result"]
    assert [lead["id"] for lead in found] == [1]


def test_filters_that_cannot_be() -> None:
    with emulated() as (_, api):
        for filter_type, expected in (("nope", "1006"), ("createdAt", "1011"), ("company", "1011")):
            assert code(api.get("leads.json", filterType=filter_type, filterValues="x")) == expected
        assert api.get("leads.json", filterType="sfdcLeadId", filterValues="x")["result"] == []
        assert code(api.get("leads.json", filterType="email")) == "1002"
        assert code(api.get("leads.json", filterValues="x")) == "1002"
        assert code(api.get("leads.json", filterType="email", filterValues="x", fields="email,nope")) == "1006"
        many = {"filterType": "id", "filterValues": ",".join(map(str, range(301)))}
        assert code(api.form("leads.json", many, _method="GET")) == "1003"
        assert code(api.get("leads.json", filterType="id", filterValues="1", batchSize="x")) == "1001"
        assert code(api.get("leads.json", filterType="id", filterValues="1", nextPageToken="GIYDAOBN")) == "1003"


def test_a_token_of_another_question_is_refused() -> None:
    with emulated() as (_, api):
        _twins(api, 3)
        question = {"filterType": "email", "filterValues": "twin@example.test", "batchSize": "2"}
        token = api.get("leads.json", **question)["nextPageToken"]
        assert len(api.get("leads.json", **question, nextPageToken=token)["result"]) == 1
        other = {**question, "filterValues": "other@example.test"}
        assert code(api.get("leads.json", **other, nextPageToken=token)) == "1003"


def test_unknown_paths_and_wrong_methods() -> None:
    with emulated() as (_, api):
        assert code(api.get("nope.json")) == "610"
        assert code(api.get("/leads.json", filterType="id", filterValues="1")) == "610"
        assert code(api.get("lead/abc.json")) == "610"
        assert code(api.post("leads/describe.json")) == "605"


def _twins(api: Api, count: int) -> None:
    for start in range(0, count, 300):
        rows = [{"email": "twin@example.test"}] * min(300, count - start)
        api.sync(*rows, action="createDuplicate")


def _pages(api: Api, **parameters: str) -> list[list[int]]:
    pages: list[list[int]] = []
    token = ""
    while True:
        parameters = {**parameters, "filterType": "email", "filterValues": "twin@example.test", "nextPageToken": token}
        reply = api.get("leads.json", **parameters)
        pages.append([lead["id"] for lead in reply["result"]])
        token = reply.get("nextPageToken", "")
        if not token:
            return pages
