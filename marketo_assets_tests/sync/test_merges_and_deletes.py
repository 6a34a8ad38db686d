"""Guards against contacts that hang on a dead lead, losers of a merge that stay alive, deletes beyond bounds."""

from collections.abc import Callable

import pytest

from marketo_assets_tests.sync.conftest import SyncWorld

Make = Callable[..., SyncWorld]


def mirrored(world: SyncWorld) -> dict[int, tuple[int | None, bool]]:
    """Lead id to the winner it was merged into, and whether it was deleted."""
    rows = world.rows("select lead_id, merged_into, deleted_at from LEADS")
    return {
        int(row["lead_id"]): (row["merged_into"] and int(row["merged_into"]), row["deleted_at"] is not None)
        for row in rows
    }


def test_merges_in_chains_point_to_the_last_winner_and_the_winner_is_read_anew(world: SyncWorld) -> None:
    a, b, c = (world.lead(f"{name}@example.com", phone=name) for name in "abc")
    d = world.lead("d@example.com", phone="d")
    world.mirror()
    world.merge(b, a)
    world.mirror()
    world.merge(c, b)
    world.merge(c, d)
    world.mirror()
    assert mirrored(world) == {a: (c, False), b: (c, False), c: (None, False), d: (c, False)}
    before = world.state()
    world.warehouse.execute("update LEAD_CHANGES set applied_at = null where activity_type_id = 32")
    world.mirror()
    assert {**world.state(), "leads": mirrored(world)} == {**before, "leads": mirrored(world)}


def test_a_chain_within_one_sync(world: SyncWorld) -> None:
    a, b, c = (world.lead(f"{name}@example.com") for name in "abc")
    world.mirror()
    world.merge(b, a)
    world.merge(c, b)
    world.mirror()
    assert mirrored(world) == {a: (c, False), b: (c, False), c: (None, False)}
    assert world.rows("select lead_id from CONTACTS_FROM_MARKETO") == [{"lead_id": c}]


def test_a_contact_follows_its_lead_to_a_winner_of_the_same_email(world: SyncWorld) -> None:
    old = world.linked("ada@example.com", first_name="Ada", phone="1")
    world.settle()
    twin = world.person().sync({"email": "ada@example.com", "firstName": "A."}, action="createDuplicate")[0]["id"]
    world.merge(twin, old)
    world.sync()
    assert world.lead_ids() == [twin]
    assert world.in_marketo(twin, "firstName", "phone") == {"firstName": "Ada", "phone": "1"}


@pytest.mark.parametrize(("deletes", "expected"), [("flag", (None, True)), ("delete", None), ("ignore", (None, False))])
def test_a_deleted_lead_in_the_mirror(make_world: Make, deletes: str, expected: object) -> None:
    world = make_world(("deletes: flag", f"deletes: {deletes}"))
    lead = world.lead("ada@example.com")
    world.mirror()
    world.delete(lead)
    world.mirror()
    assert mirrored(world).get(lead) == expected
    assert len(world.rows("select lead_id from CONTACTS_FROM_MARKETO")) == (deletes == "ignore")


@pytest.mark.parametrize("lost_leads", ["leave", "unlink", "recreate"])
def test_a_contact_whose_lead_was_deleted(make_world: Make, lost_leads: str) -> None:
    world = make_world(("lost_leads: leave", f"lost_leads: {lost_leads}"))
    ada = world.linked("ada@example.com", first_name="Ada")
    world.linked("bob@example.com", first_name="Bob")
    world.settle()
    world.delete(ada)
    told = world.told(world.sync(), "contacts", "changes")
    assert told["lost_their_lead"] == [{"reason": "deleted", "contacts": 1}]
    world.sync()
    found = world.person().get("leads.json", filterType="email", filterValues="ada@example.com")["result"]
    assert len(found) == (lost_leads == "recreate")
    states = world.rows("select contact_key, state, reason from SYNC_CONTACTS where contact_key like 'ada%%'")
    assert [(row["state"], row["reason"]) for row in states] == {
        "leave": [("lost", "deleted")],
        "unlink": [],
        "recreate": [("linked", None)],
    }[lost_leads]
    world.contact("ada@example.com", first_name="Augusta")
    world.settle()
    found = world.person().get("leads.json", filterType="email", filterValues="ada@example.com", fields="firstName")[
        "result"
    ]
    # An unlinked contact that changes is a contact like any other without a lead.
    assert [lead["firstName"] for lead in found] == ([] if lost_leads == "leave" else ["Augusta"])


@pytest.mark.parametrize("rule", ["leave", "flag", "delete"])
def test_contacts_that_are_gone_from_the_warehouse(make_world: Make, rule: str) -> None:
    field = "\n    deleted_contacts_field: unsubscribed" if rule == "flag" else ""
    world = make_world(("deleted_contacts: leave", f"deleted_contacts: {rule}{field}"))
    ada, _, carol = (world.linked(f"{name}@example.com", first_name=name) for name in ("ada", "bob", "carol"))
    world.settle()
    world.forget("ada@example.com")
    told = world.told(world.sync(), "contacts", "changes")
    assert (told["gone_from_the_warehouse"], told["gone_and_settled"]) == (1, 1)
    world.sync()
    assert world.writes_of_last_sync() == []
    assert (
        world.in_marketo(ada, "firstName", "unsubscribed")
        == {
            "leave": {"firstName": "ada", "unsubscribed": False},
            "flag": {"firstName": "ada", "unsubscribed": True},
            "delete": {},
        }[rule]
    )
    assert world.in_marketo(carol, "unsubscribed") == {"unsubscribed": False}
    world.contact("ada@example.com", first_name="Ada")
    world.settle()
    back = world.lead_ids()[0]
    assert (back == ada) == (rule != "delete")
    assert world.in_marketo(back, "firstName", "unsubscribed") == {"firstName": "Ada", "unsubscribed": False}


def test_too_many_are_gone_at_once_and_nothing_is_done(make_world: Make) -> None:
    world = make_world(("deleted_contacts: leave", "deleted_contacts: delete"))
    for name in ("ada", "bob", "carol"):
        world.linked(f"{name}@example.com")
    world.settle()
    world.warehouse.execute(f"delete from {world.table}")
    result = world.sync()
    assert world.checks(result)["deletes_within_bounds"] is False
    assert world.writes_of_last_sync() == []
    assert len(world.lead_ids()) == 3
