"""E-mails that several leads hold.

Guards against: two API calls for each such row, a lead other than the policy's being written, and a duplicate that is
resolved without a trace.
"""

import json
from typing import Any

import pytest

from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.pump.conftest import PumpWorld

CONTENT = b"email_address,first_name,company_name\ntwin@example.com,Ada,Byron\nnew@example.com,Bob,\n"


def twins(world: PumpWorld, email: str = "twin@example.com") -> dict[str, int]:
    """Two or three leads of one e-mail: ids of the one updated last and of the oldest."""
    world.emulator.fill(1, [email], duplicate_share=1.0)
    world.emulator.fill(1, [email], duplicate_share=1.0, seed=1)
    leads = [
        lead
        for lead in world.emulator.leads(["id", "email", "createdAt", "updatedAt", "cDBFirstName"])
        if lead["email"] == email
    ]
    return {
        "latest_updated": max(leads, key=lambda lead: (lead["updatedAt"], lead["id"]))["id"],
        "oldest": min(leads, key=lambda lead: (lead["createdAt"], lead["id"]))["id"],
        "leads": len(leads),
    }


def written(world: PumpWorld, name: str = "Ada") -> list[int]:
    return [lead["id"] for lead in world.emulator.leads() if lead.get("cDBFirstName") == name]


def duplicates(world: PumpWorld) -> list[dict[str, Any]]:
    rows = world.warehouse.rows("select * from DUPLICATE_LEADS order by row_number")
    return [row | {name: json.loads(row[name]) for name in ("lead_ids", "chosen_ids")} for row in rows]


@pytest.mark.parametrize("policy", ["latest_updated", "oldest", "all", "reject"])
def test_the_policy_decides_which_lead_is_written(make_world: Any, policy: str) -> None:
    world: PumpWorld = make_world(duplicates=policy)
    known = twins(world)
    result = world.sync_one(CONTENT)
    assert result.success
    expected = {"all": known["leads"], "reject": 0}.get(policy, 1)
    chosen = written(world)
    assert len(chosen) == expected
    if policy in known:
        assert chosen == [known[policy]]
    status = ("skipped", "1007") if policy == "reject" else ("updated", None)
    assert world.statuses() == [(1, *status), (2, "created", None)]
    (row,) = duplicates(world)
    assert (row["key"], row["policy"], row["row_number"]) == ("twin@example.com", policy, 1)
    assert len(row["lead_ids"]) == known["leads"]
    assert sorted(row["chosen_ids"]) == sorted(chosen)
    assert world.metadata(result)["duplicates_resolved"] == len(chosen[:1])


def test_300_duplicates_of_two_leads_each_take_four_calls_and_not_600(world: PumpWorld) -> None:
    emails = [f"twin{number}@example.com" for number in range(300)]
    for _ in range(2):
        world.emulator.fill(300, emails, duplicate_share=0)
    lines = "".join(f"{email.upper()},Ada\n" for email in emails)
    told = world.metadata(world.sync_one(f"email_address,first_name\n{lines}".encode()))
    assert (told["updated"], told["duplicates_resolved"], len(duplicates(world))) == (300, 300, 300)
    first_pass = 2 + 1  # usage, Describe Lead, the upsert
    assert told["api_calls"] - first_pass <= 4
    assert len(written(world)) == 300


def test_a_key_with_a_comma_cannot_be_looked_up_and_is_rejected_alone(world: PumpWorld) -> None:
    twins(world, "a,b@example.com")
    twins(world)
    world.sync_one(CONTENT + b'"a,b@example.com",Cy,\n')
    assert world.statuses() == [(1, "updated", None), (2, "created", None), (3, "rejected", "1007")]
    (reason,) = [row["reason"] for row in world.results() if row["status"] == "rejected"]
    assert reason == "the key holds a comma: it cannot be looked up"


def test_a_cut_between_first_pass_and_resolution_settles_the_duplicates_in_the_next_run(world: PumpWorld) -> None:
    known = twins(world)
    world.misbehave(Fault("GET /rest/v1/leads.json", "error", code="610", every=1))
    world.put("file.csv", CONTENT)
    (partition,) = world.new_partitions()
    assert "610" in world.failure(world.leads(partition))
    assert world.statuses() == [(2, "created", None)]
    world.misbehave()
    result = world.leads(partition)
    assert world.metadata(result)["updated"] == 1
    assert world.statuses() == [(1, "updated", None), (2, "created", None)]
    assert written(world) == [known["latest_updated"]]
    assert [lead["email"] for lead in world.emulator.leads()].count("new@example.com") == 1


def test_a_key_that_over_1000_leads_hold_is_rejected_alone_and_not_the_file_for_ever(world: PumpWorld) -> None:
    world.emulator.fill(1001, emails=["all@example.com"] * 1001, duplicate_share=0)
    twins(world)
    world.sync_one(CONTENT + b"all@example.com,Cy,\n")
    assert world.statuses() == [(1, "updated", None), (2, "created", None), (3, "rejected", "1007")]
    (reason,) = [row["reason"] for row in world.results() if row["status"] == "rejected"]
    assert reason == "over 1,000 leads hold the key"
