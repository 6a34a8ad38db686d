"""Guards the fields the pump's mapping resolves against: names, types, lengths, what is writable and searchable."""

from marketo_assets_tests.sandbox.emulator_calls import emulated


def test_describe_has_the_standard_fields_and_the_56_custom_ones_of_the_handbook() -> None:
    with emulated() as (_, api):
        fields = api.get("leads/describe.json")["result"]
    by_display_name = {field["displayName"]: field for field in fields}
    custom = [name for name in by_display_name if name.startswith(("[CDB] ", "[PQL] "))]
    assert "[CDB]  Customer DB Confirmed Date" in custom  # with the doubled space of the handbook page
    assert len(custom) == 56
    assert len(fields) - len(custom) > 70
    assert len(by_display_name) == len(fields) == len({field["rest"]["name"] for field in fields})
    assert by_display_name["[CDB] Company Name"]["rest"] == {"name": "cDBCompanyName", "readOnly": False}
    assert by_display_name["[CDB] Company Name"]["length"] == 255
    assert by_display_name["[CDB] Is Group Namespace Member"]["dataType"] == "boolean"
    assert by_display_name["[CDB] GitLab.com Last Login Date"]["dataType"] == "datetime"
    assert by_display_name["[CDB] Zuora Created Date"]["dataType"] == "date"
    assert by_display_name["[CDB] GitLab.com User ID"]["dataType"] == "integer"
    assert by_display_name["[PQL] Stage names activated by namespace"]["dataType"] == "text"
    assert "length" not in by_display_name["[CDB] Is Paid Tier"]
    assert by_display_name["Email Address"]["rest"]["name"] == "email"
    assert by_display_name["Updated At"]["rest"]["readOnly"] is True


def test_describe2_names_what_leads_can_be_searched_by() -> None:
    with emulated() as (_, api):
        (lead,) = api.get("leads/describe2.json")["result"]
        described = {field["rest"]["name"] for field in api.get("leads/describe.json")["result"]}
    assert lead["name"] == "API Lead"
    assert {field["name"] for field in lead["fields"]} == described
    assert {field["name"] for field in lead["fields"] if not field["updateable"]} >= {"createdAt", "updatedAt"}
    searchable = {name for (name,) in lead["searchableFields"]}
    assert {"id", "email", "cDBDimMarketingContactID", "cDBGitLabComUserID"} <= searchable
    assert searchable.isdisjoint({"cDBIsPaidTier", "cDBZuoraCreatedDate", "company", "createdAt"})
