"""From a row of the contact table to a lead and back into the ledger, through Dagster.

Guards against: contacts that never arrive or arrive again and again, and a ledger that does not add up.
"""

from marketo_assets_tests.pump.conftest import PumpWorld


def test_changed_contacts_become_leads_and_are_not_sent_again(world: PumpWorld) -> None:
    world.contacts(
        {
            "email_address": "ada@example.com",
            "first_name": "Ada",
            "gitlab_dotcom_user_id": 0,
            "is_paid_tier": False,
            "last_changed": "2026-01-01",
        },
        {
            "email_address": "bob@example.com",
            "first_name": "Bob",
            "gitlab_dotcom_last_login_date": "2026-02-03 04:05:06",
            "last_changed": "2026-01-01",
        },
    )
    assert world.drop()["dagster/row_count"] == 2
    (result,) = world.sync()
    assert result.success
    assert world.statuses() == [(1, "created", None), (2, "created", None)]
    leads = {lead["email"]: lead for lead in world.emulator.leads()}
    assert leads["ada@example.com"]["cDBFirstName"] == "Ada"
    assert leads["ada@example.com"]["cDBGitLabComUserID"] == 0
    assert leads["bob@example.com"]["cDBGitLabComLastLoginDate"] == "2026-02-03T04:05:06Z"
    assert world.drop()["dagster/row_count"] == 0
    assert world.new_partitions() == []
    world.contacts({"email_address": "cy@example.com", "last_changed": "2026-01-02"})
    world.warehouse.execute(f"update {world.table} set first_name = 'Augusta' where email_address = 'ada@example.com'")
    assert world.drop()["dagster/row_count"] == 2
