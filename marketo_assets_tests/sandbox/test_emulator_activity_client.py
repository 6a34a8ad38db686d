"""Guards against activity endpoints that only our own client understands: a public one reads them over HTTP."""

from datetime import UTC, datetime

import pytest
from marketorestpython.client import MarketoClient

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, LocalServer

SINCE = "2020-01-01"


def test_types_token_activities_and_deletes_with_marketorestpython() -> None:
    options = EmulatorOptions()
    emulator = Emulator(options, SystemClock())
    emulator.fill(40, duplicate_share=0)
    emulator.fill_activities(1_000, 3)
    with LocalServer(emulator) as server:
        client = MarketoClient("000-AAA-000", options.client_id, options.client_secret)
        client.host = server.url
        names = {entry["id"]: entry["name"] for entry in client.execute(method="get_activity_types")}
        assert names[1] == "Visit Webpage"
        token = client.execute(method="get_paging_token", sinceDatetime=datetime.now(UTC).isoformat())
        assert client.execute(method="get_lead_activities", activityTypeIds=["1"], nextPageToken=token) == []

        found = client.execute(method="get_lead_activities", activityTypeIds=["1", "6"], sinceDatetime=SINCE)
        assert found == [entry for entry in emulator.activities() if entry["activityTypeId"] in {1, 6}]
        pages = client.execute(method="get_lead_activities_yield", activityTypeIds=["2"], sinceDatetime=SINCE)
        assert [row for page in pages for row in page] == list(emulator.activities(2))

        client.execute(method="create_update_leads", leads=[{"email": "ada@example.com", "city": "Paris"}])
        client.execute(method="create_update_leads", leads=[{"email": "ada@example.com", "city": "Rome"}])
        changes = client.execute(
            method="get_lead_changes", fields=["city"], sinceDatetime=datetime.now(UTC).isoformat()[:10]
        )
        (values,) = [field for row in changes for field in row["fields"] if field["newValue"] == "Rome"]
        assert (values["name"], values["oldValue"]) == ("city", "Paris")

        client.execute(method="delete_lead", id=[3, 5])
        deleted = client.execute(method="get_deleted_leads", sinceDatetime=SINCE)
        assert [row["leadId"] for row in deleted] == [3, 5]
        with pytest.raises(Exception, match="704"):
            client.execute(method="get_paging_token", sinceDatetime="soon")
    emulator.close()
