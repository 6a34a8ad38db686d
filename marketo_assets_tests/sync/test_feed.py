"""Guards against changes that are skipped in silence: by retention, by a token gone bad, by a field that is gone."""

from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.sync.conftest import SyncWorld

DAY = 24 * 60


def test_a_watermark_older_than_marketo_remembers_is_named_and_closed_by_a_reconciliation(world: SyncWorld) -> None:
    lead = world.lead("ada@example.com", phone="1")
    gone = world.lead("bob@example.com")
    world.mirror()
    world.change(lead, phone="2")
    world.delete(gone)
    result = world.mirror(minutes=91 * DAY)
    assert world.checks(result)["no_changes_forgotten"] is False
    assert "gap" in world.told(result, "marketo", "leads")["reconciled"]
    rows = world.rows("select lead_id, fields['phone']::varchar as phone, deleted_at from LEADS order by lead_id")
    assert [(int(row["lead_id"]), row["phone"], row["deleted_at"] is None) for row in rows] == [
        (lead, "2", True),
        (gone, None, False),
    ]
    result = world.mirror()
    assert world.checks(result)["no_changes_forgotten"] is True
    assert world.told(result, "marketo", "leads")["reconciled"] == "not needed"


def test_a_token_that_went_bad_is_replaced_and_nothing_is_lost_or_told_twice(world: SyncWorld) -> None:
    lead = world.lead("ada@example.com", phone="1")
    world.mirror()
    world.change(lead, phone="2")
    world.warehouse.execute("update SYNC_WATERMARKS set token = 'bad' where stream like 'lead_%%' and token <> ''")
    before = world.rows("select count(*) as n from LEAD_CHANGES")[0]["n"]
    world.mirror()
    assert world.rows("select count(*) as n from LEAD_CHANGES")[0]["n"] == before + 1
    assert world.rows("select phone_in_marketo from CONTACTS_FROM_MARKETO") == [{"phone_in_marketo": "2"}]


def test_a_change_read_twice_is_stored_once(world: SyncWorld) -> None:
    lead = world.lead("ada@example.com", phone="1")
    world.mirror()
    world.change(lead, phone="2")
    world.mirror()
    before = world.state()
    stored = world.rows("select count(*) as n from LEAD_CHANGES")
    # A token of an hour before, as after a token that went bad.
    (old,) = world.rows("select token from SYNC_WATERMARKS where stream = 'lead_deletes'")
    world.warehouse.execute("update SYNC_WATERMARKS set token = %(token)s where stream like 'lead_%%'", **old)
    world.mirror()
    assert (world.rows("select count(*) as n from LEAD_CHANGES"), world.state()) == (stored, before)


def test_new_leads_are_read_in_full_calls(world: SyncWorld) -> None:
    world.mirror()
    emails = [f"p{number}@example.com" for number in range(601)]
    for start in (0, 300, 600):
        world.person().sync(*({"email": email} for email in emails[start : start + 300]))
    told = world.told(world.mirror(), "marketo", "leads")
    reads = [call for call in world.calls_of_last_sync() if call.startswith("POST /rest/v1/leads.json?_method=GET")]
    assert (told["leads_read"], len(reads)) == (601, 3)


def test_the_days_quota_stops_the_sync_and_the_next_one_goes_on(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada")
    world.settle()
    world.contact("ada@example.com", first_name="Augusta")
    world.misbehave(Fault("POST /rest/v1/leads.json", "error", code="607", first=1))
    assert not world.sync().success
    tags = world.instance.get_runs(limit=1)[0].tags
    assert tags["marketo_assets/stopped_by_quota"] == "database_sync"
    world.sync(minutes=DAY)
    assert world.in_marketo(lead_id, "firstName") == {"firstName": "Augusta"}
