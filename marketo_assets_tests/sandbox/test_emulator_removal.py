"""Guards deletes, merges, partitions and static lists: the state they leave and the rows they answer."""

from marketo_assets_tests.sandbox.emulator_calls import Api, code, codes, emulated


def test_delete_in_all_its_forms() -> None:
    with emulated() as (emulator, api):
        _make(api, 7)
        assert codes(api.post("leads/delete.json", {"input": [{"id": 1}, {"id": 99}]})["result"]) == ["deleted", "1004"]
        assert codes(api.post("leads/delete.json", id="2,3")["result"]) == ["deleted", "deleted"]
        assert codes(api.delete("leads.json", {"input": [{"id": 4}, {"id": 4}]})["result"]) == ["deleted", "1004"]
        assert codes(api.delete("leads.json", id=[5, 6])["result"]) == ["deleted", "deleted"]
        assert codes(api.post("leads.json", {"input": [{"id": 7}]}, _method="DELETE")["result"]) == ["deleted"]
        assert emulator.lead_count() == 0
        assert code(api.post("leads/delete.json")) == "1003"
        assert api.sync({"email": "again@example.test"}) == [{"id": 8, "status": "created"}]


def test_a_deleted_lead_is_a_new_one_when_it_comes_back() -> None:
    with emulated() as (_, api):
        _make(api, 1)
        api.post("leads/delete.json", id="1")
        assert codes(api.sync({"email": "person1@example.test"})) == ["created"]


def test_merge_fills_what_is_empty_and_the_losers_are_gone() -> None:
    with emulated() as (emulator, api):
        api.sync(
            {"email": "a@example.test", "firstName": "A"},
            {"email": "b@example.test", "firstName": "B", "lastName": "Bee"},
            {"email": "c@example.test", "lastName": "Sea", "company": "ACME"},
        )
        api.post("lists/1001/leads.json", {"input": [{"id": 3}]})
        reply = api.post("leads/1/merge.json", leadIds="2,3", mergeInCRM="false")
        assert reply["success"]
        assert "result" not in reply
        assert api.lead(1, "email", "firstName", "lastName", "company") == {
            "id": 1,
            "email": "a@example.test",
            "firstName": "A",
            "lastName": "Bee",
            "company": "ACME",
        }
        assert emulator.lead_count() == 1
        assert [lead["id"] for lead in api.get("lists/1001/leads.json")["result"]] == [1]
        assert {activity["leadId"] for activity in emulator.activities()} == {1}


def test_merges_that_cannot_be() -> None:
    with emulated() as (_, api):
        _make(api, 27)
        assert code(api.post("leads/1/merge.json", leadId="99")) == "1004"
        assert code(api.post("leads/99/merge.json", leadId="1")) == "1004"
        assert code(api.post("leads/1/merge.json", leadId="1")) == "1003"
        assert code(api.post("leads/1/merge.json")) == "1003"
        assert code(api.post("leads/1/merge.json", leadIds=",".join(map(str, range(2, 28))))) == "1080"
        assert api.post("leads/1/merge.json", leadIds=",".join(map(str, range(2, 27))))["success"]


def test_partitions_are_named_and_leads_move_between_them() -> None:
    with emulated() as (_, api):
        _make(api, 2)
        named = {partition["id"]: partition["name"] for partition in api.get("leads/partitions.json")["result"]}
        assert named == {1: "Default", 2: "Europe"}
        rows = [
            {"id": 1, "partitionName": "Europe"},
            {"id": 2, "partitionName": "Secret"},
            {"id": 2},
            {"id": 9, "partitionName": "Europe"},
        ]
        assert codes(api.post("leads/partitions.json", {"input": rows})["result"]) == [
            "updated",
            "1008",
            "1002",
            "1004",
        ]
        assert [
            lead["id"] for lead in api.get("leads.json", filterType="leadPartitionId", filterValues="2")["result"]
        ] == [1]


def test_lists_and_their_members() -> None:
    with emulated() as (_, api):
        _make(api, 3)
        assert [found["name"] for found in api.get("lists.json")["result"]] == ["Newsletter", "Customers"]
        assert [found["id"] for found in api.get("lists.json", name="Customers")["result"]] == [1002]
        assert api.get("lists/1001.json")["result"][0]["name"] == "Newsletter"
        assert codes(api.post("lists/1001/leads.json", id=[1, 2, 9])["result"]) == ["added", "added", "1004"]
        assert codes(api.post("lists/1001/leads.json", {"input": [{"id": 1}]})["result"]) == ["added"]
        members = api.get("lists/1001/leads/ismember.json", id=[1, 3, 9])["result"]
        assert codes(members) == ["memberof", "notmemberof", "1004"]
        assert [row["id"] for row in members] == [1, 3, 9]
        first = api.get("lists/1001/leads.json", batchSize="1", fields="email")
        assert first["result"] == [{"id": 1, "email": "person1@example.test"}]
        rest = api.get("list/1001/leads.json", batchSize="1", fields="email", nextPageToken=first["nextPageToken"])
        assert rest["result"] == [{"id": 2, "email": "person2@example.test"}]
        assert "nextPageToken" not in rest
        removed = api.delete("lists/1001/leads.json", {"input": [{"id": 1}, {"id": 3}, {"id": 9}]})["result"]
        assert codes(removed) == ["removed", "1015", "1004"]
        api.post("leads/delete.json", id="2")
        assert api.get("lists/1001/leads.json")["result"] == []
        assert code(api.get("lists/7/leads.json")) == "1013"


def _make(api: Api, count: int) -> None:
    api.sync(*({"email": f"person{number}@example.test"} for number in range(1, count + 1)))
