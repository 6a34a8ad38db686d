"""Guards against changes that do not arrive, that arrive as echoes, or that go back and forth for ever."""

from marketo_assets_tests.sync.conftest import SyncWorld


def test_a_change_on_each_side_arrives_on_the_other(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", title="Countess", phone="1")
    world.settle()
    world.change(lead_id, phone="2", leadScore=7)
    world.contact("ada@example.com", first_name="Augusta Ada")
    assert world.sync().success, world.failure()
    assert world.in_marketo(lead_id, "firstName", "phone", "title") == {
        "firstName": "Augusta Ada",
        "phone": "2",
        "title": "Countess",
    }
    world.sync()
    assert world.rows(
        "select contact_key, phone_in_marketo, score, first_name_in_marketo from CONTACTS_FROM_MARKETO"
    ) == [
        {
            "contact_key": "ada@example.com",
            "phone_in_marketo": "2",
            "score": 7,
            "first_name_in_marketo": "Augusta Ada",
        }
    ]


def test_it_settles_and_our_own_writes_are_no_news(world: SyncWorld) -> None:
    world.contact("ada@example.com", first_name="Ada", title="Countess", phone="1", is_customer=True)
    world.contact("bob@example.com", title=None)
    world.lead("carol@example.com", firstName="Carol", phone="5")
    world.settle()
    world.contact("ada@example.com", first_name="Augusta", title=None)
    world.sync()
    before = world.state()
    world.sync()
    assert world.writes_of_last_sync() == []
    assert world.state() == before
    told = world.told(world.last_sync, "contacts", "changes")
    assert (told["pushed"], told["fields_pulled"], told["conflicts"]) == (0, 0, 0)


def test_an_idle_sync_makes_at_most_four_calls(world: SyncWorld) -> None:
    world.linked("ada@example.com", first_name="Ada")
    world.settle()
    usage, fields = "GET /rest/v1/stats/usage.json", "GET /rest/v1/leads/describe.json"
    for minutes, asked in ((5, set()), (60, {usage}), (5, {fields}), (121, {usage, fields})):
        world.sync(minutes=minutes)
        calls = {call.split("?")[0] for call in world.calls_of_last_sync()}
        assert calls & {usage, fields} == asked, minutes
        # Both at once only where nobody came for two hours.
        assert len(world.calls_of_last_sync()) == 3 + len(asked)


def test_each_call_is_counted_by_an_asset_also_those_of_the_first_fill(world: SyncWorld) -> None:
    world.linked("ada@example.com", first_name="Ada")
    result = world.sync()
    assets = (("marketo", "lead_changes"), ("marketo", "leads"), ("contacts", "changes"), ("contacts", "drop"))
    counted = sum(world.told(result, *key).get("api_calls", 0) for key in assets)
    assert any("/bulk/" in call for call in world.calls_of_last_sync())
    assert counted == len(world.calls_of_last_sync())


def test_both_changed_and_the_rule_of_the_field_decides(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", title="Countess", phone="1", is_customer=False)
    world.settle()
    world.contact("ada@example.com", first_name="Augusta", title="Older", phone="11")
    world.change(lead_id, firstName="A.", title="Newer", phone="22")
    world.sync()
    assert world.in_marketo(lead_id, "firstName", "title", "phone") == {
        "firstName": "Augusta",
        "title": "Newer",
        "phone": "22",
    }
    conflicts = world.rows(
        "select field, winner, rule, warehouse_hash, marketo_hash from SYNC_CONFLICTS order by field"
    )
    assert [(row["field"], row["winner"], row["rule"]) for row in conflicts] == [
        ("firstName", "warehouse", "warehouse"),
        ("phone", "marketo", "marketo"),
        ("title", "marketo", "latest"),
    ]
    hashes = {row[name] for row in conflicts for name in ("warehouse_hash", "marketo_hash")}
    assert len(hashes) == 6
    assert not hashes & {"Augusta", "A.", "Older", "Newer", "11", "22"}
    world.change(lead_id, title="Newest?")
    world.contact("ada@example.com", title="Newest")
    world.sync()
    assert world.in_marketo(lead_id, "title") == {"title": "Newest"}
    world.sync()
    assert world.writes_of_last_sync() == []


def test_fields_that_did_not_change_are_not_sent(world: SyncWorld) -> None:
    lead_id = world.linked("ada@example.com", first_name="Ada", title="Countess", phone="1")
    world.settle()
    world.change(lead_id, title="Enchantress")
    world.sync()
    world.contact("ada@example.com", first_name="Augusta")
    world.sync()
    assert world.in_marketo(lead_id, "firstName", "title") == {"firstName": "Augusta", "title": "Enchantress"}
    assert world.rows("select fields, status from SYNC_WRITES") == [{"fields": "firstName", "status": "updated"}]
