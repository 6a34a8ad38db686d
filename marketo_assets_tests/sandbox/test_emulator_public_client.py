"""Guards against an emulator that only our own client understands: a public one from PyPI runs against it over HTTP."""

from typing import Any

import pytest
from marketorestpython.client import MarketoClient

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, LocalServer


def test_token_describe_upsert_read_back_and_delete_with_marketorestpython() -> None:
    options = EmulatorOptions()
    emulator = Emulator(options, SystemClock())
    with LocalServer(emulator) as server:
        client = MarketoClient("000-AAA-000", options.client_id, options.client_secret)
        client.host = server.url
        described = {field["rest"]["name"] for field in client.execute(method="describe")}
        assert {"email", "firstName", "cDBCompanyName"} <= described

        rows = [{"email": "a@example.test", "firstName": "A"}, {"email": "b@example.test"}]
        assert _statuses(client.execute(method="create_update_leads", leads=rows)) == ["created", "created"]
        again: list[dict[str, Any]] = client.execute(
            method="create_update_leads", leads=[{"email": "a@example.test"}], action="createDuplicate"
        )
        assert _statuses(again) == ["created"]
        mixed = client.execute(method="create_update_leads", leads=[{**row, "lastName": "L"} for row in rows])
        assert _statuses(mixed) == ["skipped", "updated"]
        assert mixed[0]["reasons"][0]["code"] == "1007"

        found = client.execute(
            method="get_multiple_leads_by_filter_type",
            filterType="email",
            filterValues=["a@example.test", "b@example.test"],
            fields=["email", "firstName", "lastName"],
        )
        assert [(lead["email"], lead["lastName"]) for lead in found] == [
            ("a@example.test", None),
            ("b@example.test", "L"),
            ("a@example.test", None),
        ]
        deleted = client.execute(method="delete_lead", id=[lead["id"] for lead in found])
        assert _statuses(deleted) == ["deleted"] * 3
        with pytest.raises(Exception, match="1006"):
            client.execute(method="get_multiple_leads_by_filter_type", filterType="nope", filterValues=["x"])
    assert emulator.lead_count() == 0
    emulator.close()


def _statuses(result: list[dict[str, Any]]) -> list[str]:
    return [str(row["status"]) for row in result]
