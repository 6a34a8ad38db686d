"""Guards against a system of record that is written unasked, or asked and not written."""

from collections.abc import Callable

from marketo_assets_tests.sync.conftest import SyncWorld

PULL = "pull: {columns: {phone: phone_in_marketo, leadScore: score, firstName: first_name_in_marketo}}"
INTO = 'pull: {into: contact_table, columns: {phone: phone, title: title, "[CDB] Is Paid Tier": is_customer}}'


def test_the_contact_table_itself_if_asked(make_world: Callable[..., SyncWorld]) -> None:
    world = make_world((PULL, INTO))
    world.contact("ada@example.com", first_name="Ada", phone="1", is_customer=False)
    world.settle()
    (lead_id,) = world.lead_ids()
    world.change(lead_id, phone="2", firstName="A.", cDBIsPaidTier=True)
    assert world.sync().success, world.failure()
    (row,) = world.rows(f"select first_name, phone, is_customer from {world.table}")
    assert row == {"first_name": "Ada", "phone": "2", "is_customer": True}
    world.sync()
    assert world.writes_of_last_sync() == []
