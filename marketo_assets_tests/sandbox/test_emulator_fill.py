"""Guards the ready-made leads: reproducible, some addresses held by several, all findable as written ones are."""

from collections import Counter

from marketo_assets_tests.sandbox.emulator_calls import codes, emulated


def test_the_asked_number_of_leads_with_some_addresses_held_by_two_or_three() -> None:
    with emulated() as (emulator, api):
        assert emulator.fill(5_000, seed=1) == 5_000
        assert emulator.lead_count() == 5_000
        by_email = Counter(lead["email"] for lead in emulator.leads(["email"]))
        ((most_held, _),) = by_email.most_common(1)
        assert codes(api.sync({"email": most_held})) == ["1007"]
    holders = Counter(by_email.values())
    assert set(holders) == {1, 2, 3}
    assert 0.01 < (holders[2] + holders[3]) / sum(holders.values()) < 0.03


def test_the_same_seed_makes_the_same_leads() -> None:
    made = []
    for seed in (1, 1, 2):
        with emulated() as (emulator, _):
            emulator.fill(50, seed=seed)
            made.append(list(emulator.leads()))
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_given_addresses_are_used_in_order_and_new_leads_come_after() -> None:
    with emulated() as (emulator, api):
        emails = [f"known{number}@example.test" for number in range(20)]
        assert emulator.fill(1_000, emails, duplicate_share=0) == 20
        assert [lead["email"] for lead in emulator.leads(["email"])] == emails
        assert codes(api.sync({"email": "Known7@example.test"}, {"email": "new@example.test"})) == [
            "updated",
            "created",
        ]
        assert emulator.fill(10, emails, duplicate_share=1) == 10
        assert {lead["id"] for lead in emulator.leads(["id"])} == set(range(1, 32))
