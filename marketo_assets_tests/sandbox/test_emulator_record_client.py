"""Guards against companies, custom objects, lists and programs that only our own client understands.

A public one from PyPI works with them over HTTP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from marketorestpython.client import MarketoClient

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, LocalServer
from marketo_assets_tests.sandbox.record_calls import ADA, BOB, TYPES


@contextmanager
def served(**options: Any) -> Iterator[tuple[Emulator, MarketoClient]]:
    emulator = Emulator(EmulatorOptions(custom_objects=TYPES, **options), SystemClock())
    with LocalServer(emulator) as server:
        client = MarketoClient("000-AAA-000", emulator.options.client_id, emulator.options.client_secret)
        client.host = server.url
        yield emulator, client
    emulator.close()


def test_companies_and_their_leads_with_marketorestpython() -> None:
    with served() as (emulator, client):
        (described,) = client.execute(method="describe_company")
        assert described["dedupeFields"] == ["externalCompanyId"]
        rows = [{"externalCompanyId": key, "company": "ACME", "industry": "Anvils"} for key in ("A1", "B1", "C1")]
        assert _statuses(client.execute(method="create_update_companies", input=rows)) == ["created"] * 3
        client.execute(method="create_update_leads", leads=[{"email": ADA, "externalCompanyId": "A1"}])
        client.execute(
            method="create_update_companies",
            input=[{"externalCompanyId": "A1", "industry": "Rockets"}],
            action="updateOnly",
            dedupeBy="dedupeFields",
        )
        found = client.execute(
            method="get_companies",
            filterType="company",
            filterValues=["acme"],
            fields=["industry", "externalCompanyId"],
            batchSize=2,
        )
        assert [(row["externalCompanyId"], row["industry"]) for row in found] == [
            ("A1", "Rockets"),
            ("B1", "Anvils"),
            ("C1", "Anvils"),
        ]
        changed = client.execute(method="get_lead_changes", fields=["industry"], sinceDatetime="2020-01-01")
        assert [field["newValue"] for row in changed for field in row["fields"]] == ["Rockets"]
        gone = client.execute(method="delete_companies", input=[{"id": 2}, {"id": 9}], deleteBy="idField")
        assert _statuses(gone) == ["deleted", "skipped"]
        assert len(list(emulator.records("Company"))) == 2


def test_custom_objects_with_marketorestpython() -> None:
    with served() as (emulator, client):
        emulator.fill(2, [ADA, BOB], duplicate_share=0)
        assert len(client.execute(method="get_list_of_custom_objects")) == len(TYPES)
        (described,) = client.execute(method="describe_custom_object", name="visit_c")
        assert described["dedupeFields"] == ["lead", "pet"]
        pets = [{"petId": 7, "owner": ADA}, {"petId": 8, "owner": "nobody@example.test"}]
        result = client.execute(method="create_update_custom_objects", name="pet_c", input=pets)
        assert _statuses(result) == ["created", "skipped"]
        assert result[1]["reasons"][0]["code"] == "1004"
        keys = [{"lead": lead, "pet": 7} for lead in (1, 2)]
        visits = [key | {"note": f"of {key['lead']}"} for key in keys]
        client.execute(method="create_update_custom_objects", name="visit_c", input=visits)
        found = client.execute(
            method="get_custom_objects",
            name="visit_c",
            input=keys,
            filterType="dedupeFields",
            fields=["note"],
            batchSize=1,
        )
        assert [row["note"] for row in found] == ["of 1", "of 2"]
        assert found[0]["marketoGUID"] != found[1]["marketoGUID"]
        gone = client.execute(method="delete_custom_objects", name="visit_c", input=[*keys, {"lead": 3, "pet": 7}])
        assert _statuses(gone) == ["deleted", "deleted", "skipped"]
        with pytest.raises(Exception, match="1013"):
            client.execute(method="describe_custom_object", name="none_c")


def test_lists_and_programs_with_marketorestpython() -> None:
    with served() as (emulator, client):
        emulator.fill(5, duplicate_share=0)
        emulator.put_program_members(2001, [2, 3, 5], "Attended")
        lists = client.execute(method="get_multiple_lists", name=["Newsletter"])
        assert [found["id"] for found in lists] == [1001]
        client.execute(method="add_leads_to_list", listId=1001, id=[1, 4])
        members = client.execute(method="get_multiple_leads_by_list_id", listId=1001, fields="email", batchSize=1)
        assert [lead["id"] for lead in members] == [1, 4]
        members = client.execute(method="get_multiple_leads_by_program_id", programId=2001, fields="email", batchSize=2)
        assert [(lead["id"], lead["membership"]["progressionStatus"]) for lead in members] == [
            (2, "Attended"),
            (3, "Attended"),
            (5, "Attended"),
        ]


def _statuses(result: list[dict[str, Any]]) -> list[str]:
    return [str(row["status"]) for row in result]
