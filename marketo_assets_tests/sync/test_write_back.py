"""Guards against a system of record that is written unasked, or asked and not written."""

from collections.abc import Callable
from typing import Any

import pytest

from marketo_assets.sync.contact_store import ContactStore
from marketo_assets_tests.sync.conftest import KilledError, SyncWorld

PULL = "pull: {columns: {phone: phone_in_marketo, leadScore: score, firstName: first_name_in_marketo}}"
INTO = 'pull: {into: contact_table, columns: {phone: phone, title: title, "[CDB] Is Paid Tier": is_customer}}'


def test_the_contact_table_itself_if_asked(make_world: Callable[..., SyncWorld]) -> None:
    world = make_world((PULL, INTO))
    lead_id = world.linked("ada@example.com", first_name="Ada", phone="1", is_customer=False)
    world.settle()
    world.change(lead_id, phone="2", firstName="A.", cDBIsPaidTier=True)
    assert world.sync().success, world.failure()
    (row,) = world.rows(f"select first_name, phone, is_customer from {world.table}")
    assert row == {"first_name": "Ada", "phone": "2", "is_customer": True}
    world.sync()
    assert world.writes_of_last_sync() == []


def test_one_change_of_marketo_after_the_other_is_no_conflict(make_world: Callable[..., SyncWorld]) -> None:
    world = make_world((PULL, INTO.replace("phone: phone", "firstName: first_name")))
    lead_id = world.linked("ada@example.com", first_name="one")
    world.settle()
    for name in ("two", "three"):
        world.change(lead_id, firstName=name)
        world.sync()
    assert world.in_marketo(lead_id, "firstName") == {"firstName": "three"}
    assert world.rows(f"select first_name from {world.table}") == [{"first_name": "three"}]
    assert world.rows("select field from SYNC_CONFLICTS") == []


def test_killed_between_the_contact_table_and_our_record_the_later_change_of_marketo_stands(
    make_world: Callable[..., SyncWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world((PULL, INTO.replace("phone: phone", "firstName: first_name")))
    lead_id = world.linked("ada@example.com", first_name="one")
    world.settle()
    world.change(lead_id, firstName="two")
    with monkeypatch.context() as patch:
        real = ContactStore.take_over

        def die(self: ContactStore, *arguments: Any) -> None:
            real(self, *arguments)
            raise KilledError

        patch.setattr(ContactStore, "take_over", die)
        assert not world.sync().success
    assert world.rows(f"select first_name from {world.table}") == [{"first_name": "two"}]
    world.change(lead_id, firstName="three")
    world.sync()
    assert world.in_marketo(lead_id, "firstName") == {"firstName": "three"}
    assert world.rows(f"select first_name from {world.table}") == [{"first_name": "three"}]
    assert world.rows("select field from SYNC_CONFLICTS") == []
