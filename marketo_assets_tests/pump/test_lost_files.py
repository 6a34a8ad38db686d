"""Files that vanish, are overwritten or are put back, and rules that change.

Guards against: contacts that wait for ever for a file that is not coming, values that come too late, a mended file that
nobody takes.
"""

from typing import Any

from marketo_assets.sandbox.marketo import Fault
from marketo_assets_tests.pump.conftest import PumpWorld

ADA = {"email_address": "ada@example.com", "first_name": "Ada", "last_changed": "2026-01-01"}


def dropped_file(world: PumpWorld) -> Any:
    (file,) = [row for row in world.files() if row["origin"] == "drop" and row["state"] == "open"]
    return world.s3.Object(f"{world.bucket.prefix}{file['file']}")


def first_name(world: PumpWorld) -> object:
    (lead,) = world.emulator.leads()
    return lead["cDBFirstName"]


def rename(world: PumpWorld, name: str) -> None:
    world.warehouse.execute(f"update {world.table} set first_name = %(name)s", name=name)


def test_a_dropped_file_that_was_removed_before_the_sensor_saw_it_is_dropped_again(world: PumpWorld) -> None:
    world.contacts(ADA)
    world.drop()
    dropped_file(world).delete()
    assert world.new_partitions() == []
    assert world.drop()["dagster/row_count"] == 1
    assert [result.success for result in world.sync()] == [True]
    assert sorted(row["state"] for row in world.files()) == ["done", "gone"]


def test_a_dropped_file_whose_run_failed_and_that_was_overwritten_then_is_dropped_again(world: PumpWorld) -> None:
    world.contacts(ADA)
    world.drop()
    world.misbehave(Fault("GET /rest/v1/leads/describe.json", "error", code="610", first=1))
    assert [result.success for result in world.sync()] == [False]
    dropped_file(world).put(Body=b"email_address,first_name\nbob@example.com,Bob\n")
    assert [result.success for result in world.sync()] == [True]
    assert world.drop()["dagster/row_count"] == 1


def test_a_file_that_is_put_back_after_its_run_found_it_gone_is_taken(world: PumpWorld) -> None:
    world.contacts(ADA)
    world.drop()
    file = dropped_file(world)
    answer = file.get()
    content = answer["Body"].read()
    (partition,) = world.new_partitions()
    file.delete()
    assert not world.leads(partition).success
    # S3 tells time in seconds: put back within the same one, it is the same partition, which is run again by hand.
    file.put(Body=content, Metadata=answer["Metadata"])
    results = world.sync() or [world.leads(partition)]
    assert [result.success for result in results] == [True]
    assert world.drop()["dagster/row_count"] == 0, "it was recognised as the drop's"


def test_a_value_that_changes_back_while_an_older_file_is_open_is_sent(world: PumpWorld) -> None:
    world.contacts(ADA)
    world.drop()
    world.misbehave(Fault("GET /rest/v1/leads/describe.json", "error", code="610", first=1))
    (old,) = world.new_partitions()
    assert not world.leads(old).success
    rename(world, "Augusta")
    world.drop()
    assert [result.success for result in world.sync()] == [True]
    assert first_name(world) == "Augusta"
    rename(world, "Ada")
    assert world.drop()["dagster/row_count"] == 1
    assert [result.success for result in world.sync()] == [True]
    assert first_name(world) == "Ada"


def test_a_run_that_fails_over_the_mapping_says_so_in_its_check(world: PumpWorld) -> None:
    world.put("a.csv", b"email_address,first_name\nada@example.com,Ada\n")
    (partition,) = world.new_partitions()
    world.misbehave(Fault("GET /rest/v1/leads/describe.json", "error", code="610", first=1))
    assert list(world.leads(partition).get_asset_check_evaluations()) == []
    world.load(("[CDB] First Name", "no such field"))
    result = world.leads(partition)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("mapped_fields_exist_and_are_writable", False)
    assert "Marketo has no lead field 'no such field'" in str(check.metadata["problems"].value)
    assert world.emulator.lead_count() == 0


def test_a_row_count_that_is_no_number_refuses_the_file(world: PumpWorld) -> None:
    result = world.sync_one(b"email_address\nada@example.com\n", metadata={"row-count": "12 rows"})
    assert "the file's metadata 'row-count' is not a number" in world.failure(result)
    assert [file["state"] for file in world.files()] == ["refused"]
    assert world.emulator.lead_count() == 0


def test_a_new_policy_for_duplicates_sends_what_the_old_one_left_alone(make_world: Any) -> None:
    world: PumpWorld = make_world(duplicates="reject")
    world.emulator.fill(2, emails=["ada@example.com"] * 2, duplicate_share=0)
    world.contacts(ADA)
    world.drop()
    world.sync()
    assert [row["status"] for row in world.results()] == ["skipped"]
    assert world.drop()["dagster/row_count"] == 0
    world.load(("duplicates: reject", "duplicates: latest_updated"))
    assert world.drop()["dagster/row_count"] == 1
