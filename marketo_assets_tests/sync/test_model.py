"""Guards against a sync that stops, or forgets, because a field or column came, went, or changed its type."""

from dataclasses import replace

from marketo_assets.sandbox.marketo import COMPANY, Field
from marketo_assets_tests.sync.conftest import SyncWorld

LONG = 121
"""Minutes after which Marketo is asked for its fields in any case."""


def emails(world: SyncWorld) -> list[str]:
    return sorted(lead["email"] for lead in world.emulator.leads())


def test_a_field_hidden_in_marketo_is_named_and_the_rest_flows(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", title="Countess", phone="1")
    world.settle()
    hidden = world.emulator.lead_field("title")
    world.emulator.put_lead_field(replace(hidden, hidden=True))
    world.contact("ada@example.com", first_name="Augusta", title="Enchantress")
    world.change(lead_id, phone="2")
    result = world.sync()
    checks = world.checks(result)
    assert (checks["model_is_as_configured"], checks["model_is_unchanged"]) == (False, False)
    assert world.in_marketo(lead_id, "firstName", "phone") == {"firstName": "Augusta", "phone": "2"}
    world.emulator.put_lead_field(hidden)
    world.sync(minutes=LONG)
    assert world.in_marketo(lead_id, "title") == {"title": "Enchantress"}


def test_with_a_field_hidden_a_new_contact_becomes_a_lead_and_none_comes_back_from_the_dead(world: SyncWorld) -> None:
    world.load(("lost_leads: leave", "lost_leads: unlink"))
    dead = world.linked("ada@example.com", first_name="Ada", title="Countess")
    dying = world.linked("zoe@example.com", first_name="Zoe", title="Lady")
    eve = world.linked("eve@example.com", first_name="Eve")
    world.settle()
    world.delete(dead)
    world.sync()
    hidden = world.emulator.lead_field("title")
    world.emulator.put_lead_field(replace(hidden, hidden=True))
    world.delete(dying)
    world.contact("bob@example.com", first_name="Bob", title="Baron")
    world.settle()
    file = [run for run in world.runs if "mapped_fields_exist_and_are_writable" in world.checks(run)][-1]
    assert world.checks(file)["mapped_fields_exist_and_are_writable"] is False
    assert emails(world) == ["bob@example.com", "eve@example.com"]
    world.emulator.put_lead_field(hidden)
    world.change(eve, title="Duchess")
    world.sync()  # which does not know yet that the field is back
    world.sync(minutes=LONG)
    world.settle()
    assert emails(world) == ["bob@example.com", "eve@example.com"]
    mirrored = world.rows("select fields['title']::varchar as title from LEADS where contact_key = 'eve@example.com'")
    assert mirrored == [{"title": "Duchess"}]
    assert world.in_marketo(world.lead_ids()[0], "firstName", "title") == {"firstName": "Bob", "title": "Baron"}


def test_a_field_that_is_new_retyped_or_has_another_display_name(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", phone="1")
    world.settle()
    phone = world.emulator.lead_field("phone")
    world.emulator.put_lead_field(replace(phone, display_name="Telephone"))
    world.emulator.put_lead_field(replace(world.emulator.lead_field("title"), data_type="integer"))
    world.emulator.put_lead_field(Field(9_999, "shoeSize", "Shoe Size", "integer"))
    world.change(lead_id, phone="2")
    result = world.sync(minutes=LONG)
    assert result.success, world.failure()
    assert world.checks(result)["model_is_unchanged"] is False
    world.change(lead_id, phone="3")
    assert world.sync().success, world.failure()
    assert world.rows("select phone_in_marketo from CONTACTS_FROM_MARKETO") == [{"phone_in_marketo": "3"}]


def test_a_column_dropped_from_the_contact_table_and_one_added(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", title="Countess")
    world.settle()
    world.warehouse.execute(f"alter table {world.table} drop column title")
    world.warehouse.execute(f"alter table {world.table} add column nickname varchar")
    world.contact("ada@example.com", first_name="Augusta")
    world.contact("bob@example.com", first_name="Bob")
    result = world.sync()
    assert world.checks(result)["model_is_as_configured"] is False
    assert world.told(result, "contacts", "drop")["left_out"] != []
    assert world.in_marketo(lead_id, "firstName", "title") == {"firstName": "Augusta", "title": "Countess"}
    assert emails(world) == ["ada@example.com", "bob@example.com"]


def test_a_field_newly_mirrored_is_read_for_all_leads(world: SyncWorld) -> None:
    lead = world.lead("ada@example.com", city="Paris")
    world.mirror()
    world.load(("pull: {columns: {", "pull: {columns: {city: city, "))
    result = world.mirror()
    assert "city" in world.told(result, "marketo", "leads")["reconciled"]
    assert world.rows("select lead_id, city from CONTACTS_FROM_MARKETO") == [{"lead_id": lead, "city": "Paris"}]


def test_a_companys_field_changed_through_its_lead_is_a_change_of_the_company(world: SyncWorld) -> None:
    world.load(("pull: {columns: {", "extra_fields: [company]\n    pull: {columns: {"))
    world.emulator.put_records(COMPANY, [{"externalCompanyId": "C1", "company": "Analytical"}])
    world.lead("bob@example.com", company="Alone")
    lead_id = world.lead("ada@example.com", externalCompanyId="C1")
    world.mirror()
    world.clock.advance(1)
    world.emulator.put_records(COMPANY, [{"externalCompanyId": "C1", "company": "Engines"}])
    world.lead("bob@example.com", company="Still alone")
    world.mirror()
    changes = world.rows("select external_company_id, field, new_value, lead_id from COMPANY_CHANGES")
    assert changes == [{"external_company_id": "C1", "field": "company", "new_value": "Engines", "lead_id": lead_id}]
    mirrored = world.rows("select fields['company']::varchar as company from LEADS order by lead_id desc")
    assert [row["company"] for row in mirrored] == ["Engines", "Still alone"]


def test_a_lead_moves_to_another_company_and_cannot_be_taken_out_of_one(world: SyncWorld) -> None:
    world.load(("company_id: externalCompanyId", "company_id: {to: externalCompanyId, when_null: clear}"))
    world.emulator.put_records(COMPANY, [{"externalCompanyId": name} for name in ("C1", "C2")])
    lead_id = world.linked("ada@example.com", first_name="Ada", company_id="C1")
    world.settle()
    world.contact("ada@example.com", company_id="C2")
    world.sync()
    assert world.in_marketo(lead_id, "externalCompanyId") == {"externalCompanyId": "C2"}
    world.contact("ada@example.com", company_id=None)
    told = world.told(world.sync(), "contacts", "changes")
    assert told["cannot_be_taken_out_of_their_company"] == 1
    assert world.in_marketo(lead_id, "externalCompanyId") == {"externalCompanyId": "C2"}
    world.sync()
    assert world.writes_of_last_sync() == []


def test_a_contact_whose_company_comes_later_is_tried_again(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada")
    world.settle()
    world.contact("ada@example.com", first_name="Augusta", company_id="C9")
    result = world.sync()
    assert world.checks(result)["every_change_is_settled"] is False
    world.emulator.put_records(COMPANY, [{"externalCompanyId": "C9"}])
    world.sync()
    assert world.in_marketo(lead_id, "externalCompanyId", "firstName") == {
        "externalCompanyId": "C9",
        "firstName": "Augusta",
    }
