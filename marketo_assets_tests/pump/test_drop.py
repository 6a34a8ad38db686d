"""Which contacts the drop exports, and how they lie on S3.

Guards against: contacts that are sent again and again or never again, values that change on their way out of the
warehouse, and files without what is needed to believe them.
"""

import csv
import hashlib
import io
from typing import Any

import pytest

from marketo_assets.pump.files import file_version
from marketo_assets_tests.pump.conftest import PumpWorld

ADA, BOB = "ada@example.com", "bob@example.com"


def contact(email: str | None, name: str | None = None, changed: str = "2026-01-01", **more: Any) -> dict[str, Any]:
    return {"email_address": email, "first_name": name, "last_changed": changed, **more}


def rename(world: PumpWorld, email: str, name: str) -> None:
    world.warehouse.execute(
        f"update {world.table} set first_name = %(name)s where email_address = %(email)s", name=name, email=email
    )


def exported(world: PumpWorld, **arguments: Any) -> int:
    return int(world.drop(**arguments)["dagster/row_count"])


def objects(world: PumpWorld) -> list[Any]:
    return sorted(world.s3.objects.all(), key=lambda item: item.key)


def names(world: PumpWorld) -> dict[str, str | None]:
    return {lead["email"]: lead.get("cDBFirstName") for lead in world.emulator.leads()}


def test_files_are_bounded_and_carry_row_count_hash_and_encryption(make_world: Any) -> None:
    world: PumpWorld = make_world(rows_per_file=2)
    world.contacts(*(contact(f"{number}@example.com") for number in range(5)))
    told = world.drop()
    files = objects(world)
    assert [f"s3://{item.bucket_name}/{item.key}" for item in files] == told["files"]
    assert [item.key.rsplit("/", 1)[1] for item in files] == ["part-00000.csv", "part-00001.csv", "part-00002.csv"]
    for item, expected in zip(files, (2, 2, 1), strict=True):
        got = item.get()
        content = got["Body"].read()
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        assert len(rows) - 1 == expected
        assert rows[0] == [line.column for line in world.settings.config.pumps["contacts"].mapping]
        assert got["Metadata"] == {"row-count": str(expected), "sha256": hashlib.sha256(content).hexdigest()}
        assert got["ServerSideEncryption"] == "AES256"
    assert [world.metadata(result)["created"] for result in world.sync()] == [2, 2, 1]


def test_nothing_changed_writes_no_file_and_calls_no_write_of_marketo(world: PumpWorld) -> None:
    assert exported(world) == 0
    world.contacts(contact(ADA, "Ada"))
    world.drop()
    world.sync()
    written = len(objects(world))
    calls = world.emulator.calls()
    told = world.drop()
    assert (told["dagster/row_count"], told["files"], len(objects(world))) == (0, [], written)
    assert world.emulator.calls() - calls == 1, "Describe Lead alone"
    rename(world, ADA, "Ada")
    world.warehouse.execute(f"update {world.table} set not_mapped = 'x', last_changed = '2026-02-02'")
    assert exported(world) == 0, "only mapped values count"


def test_a_value_that_goes_away_and_comes_back_is_sent_both_times(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "A"))
    for name in ("A", "B", "A"):
        rename(world, ADA, name)
        assert exported(world) == 1
        world.sync()
        assert names(world) == {ADA: name}
    assert exported(world) == 0


def test_values_leave_the_warehouse_as_they_are(world: PumpWorld) -> None:
    odd: dict[str, Any] = {
        "company_name": 'Byron, "B" & Co\r\n=1+1',
        "pql_list_stages": "",
        "gitlab_dotcom_user_id": 0,
        "is_paid_tier": False,
        "customer_db_created_date": "2024-02-29",
        "gitlab_dotcom_last_login_date": "2024-02-29 12:00:00.987654",
    }
    world.emulator.fill(1, [ADA], duplicate_share=0)
    world.contacts(contact(f" {ADA} ", "null", **odd), contact(BOB, None))
    world.drop()
    (result,) = world.sync()
    assert world.metadata(result)["updated"] == 1
    leads = {lead["email"]: lead for lead in world.emulator.leads()}
    ada = leads[ADA]
    assert (ada["cDBFirstName"], ada["cDBCompanyName"]) == ("null", odd["company_name"])
    assert (ada["cDBGitLabComUserID"], ada["cDBIsPaidTier"]) == (0, False)
    assert ada["cDBCustomerDBCreatedDate"] == "2024-02-29"
    assert ada["cDBGitLabComLastLoginDate"] == "2024-02-29T12:00:00Z"
    assert exported(world) == 0


def test_null_leaves_a_field_empty_clears_it_and_when_null_clear_clears_it(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "Ada", company_name="Byron"), contact(BOB, "Bob", company_name="Bobco"))
    world.drop()
    world.sync()
    world.warehouse.execute(f"update {world.table} set first_name = null, company_name = null")
    rename(world, BOB, "")
    assert exported(world) == 2
    world.sync()
    leads = {lead["email"]: lead for lead in world.emulator.leads()}
    assert leads[ADA].get("cDBFirstName") == "Ada", "null leaves the field as it is"
    assert leads[BOB].get("cDBFirstName") is None, "an empty text clears it"
    assert leads[ADA].get("cDBCompanyName") is leads[BOB].get("cDBCompanyName") is None, "when_null: clear"
    assert exported(world) == 0


def test_of_contacts_with_one_key_the_last_changed_is_sent_and_the_others_and_blanks_are_counted(
    world: PumpWorld,
) -> None:
    world.contacts(
        contact(ADA, "old", "2026-01-01"),
        contact(f" {ADA.upper()} ", "new", "2026-01-03"),
        contact(ADA, "older", "2025-01-01"),
        contact(BOB, "Bob"),
        contact(None, "Nobody"),
        contact("  ", "Blank"),
    )
    told = world.drop()
    assert told["dagster/row_count"] == 2
    assert told["contacts"] == 6
    assert told["contacts_without_a_key"] == 2
    assert told["older_contacts_of_a_key"] == 2
    world.sync()
    assert sorted(names(world).values(), key=str) == ["Bob", "new"]
    assert exported(world) == 0


def test_keys_that_differ_in_blanks_of_any_kind_are_one_key_here_and_in_the_file(world: PumpWorld) -> None:
    world.contacts(contact(f"\t{ADA}\r\n", "old", "2026-01-01"), contact(ADA, "new", "2026-01-02"))
    assert exported(world) == 1
    world.sync()
    assert exported(world) == 0
    assert names(world) == {ADA: "new"}


def test_a_contact_under_way_is_exported_again_only_when_it_changes_and_the_older_values_do_not_win(
    world: PumpWorld,
) -> None:
    world.contacts(contact(ADA, "first"), contact(BOB, "Bob"))
    told = world.drop()
    assert (told["dagster/row_count"], told["open_files"]) == (2, 1)
    (older,) = world.new_partitions()
    assert exported(world) == 0, "both are under way"
    rename(world, ADA, "second")
    told = world.drop()
    assert (told["dagster/row_count"], told["open_files"]) == (1, 2)
    newer = (set(world.new_partitions()) - {older}).pop()
    assert world.metadata(world.leads(newer))["created"] == 1
    late = world.metadata(world.leads(older))
    assert (late["created"], late["superseded"]) == (1, 1)
    assert names(world) == {ADA: "second", BOB: "Bob"}
    assert exported(world) == 0


def test_a_refused_contact_is_sent_again_only_when_something_that_matters_changes(world: PumpWorld) -> None:
    world.contacts(contact("no address", "Ada"), contact(BOB, "B" * 300))
    world.drop()
    (result,) = world.sync()
    assert world.metadata(result)["rejected"] == 2
    assert exported(world) == 0
    assert exported(world, retry_refused=True) == 2
    world.sync()
    rename(world, "no address", "Eda")
    assert exported(world) == 1
    world.sync()
    world.load(('first_name: "[CDB] First Name"', 'first_name: {to: "[CDB] First Name", when_too_long: truncate}'))
    assert exported(world) == 2, "the new rule may make a refused row good"
    world.sync()
    assert names(world) == {BOB: "B" * 255}
    assert exported(world) == 0


def test_after_somebody_elses_file_the_warehouses_values_are_sent_again(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "Ada"), contact(BOB, "Bob"))
    world.drop()
    world.sync()
    world.sync_one(f"email_address,first_name\n{ADA},Eve\nbad address,Eve\n".encode(), "by hand.csv")
    assert names(world) == {ADA: "Eve", BOB: "Bob"}
    assert exported(world) == 1
    world.sync()
    assert names(world) == {ADA: "Ada", BOB: "Bob"}
    assert exported(world) == 0


def test_a_drop_that_could_not_put_its_file_exports_its_contacts_again(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "Ada"))
    world.s3.delete()
    with pytest.raises(AssertionError):
        world.drop()
    assert "NoSuchBucket" in world.failure(world.runs[-1])
    assert [file["state"] for file in world.files()] == ["writing"]
    world.s3.create()
    assert exported(world) == 1
    assert [file["state"] for file in world.files()] == ["abandoned", "open"]
    world.sync()
    assert names(world) == {ADA: "Ada"}
    snapshots = world.warehouse.rows("select 1 from information_schema.tables where table_name ilike 'PUMP_SNAPSHOT%%'")
    assert snapshots == [], "a copy of personal data must not be left behind"


def test_a_drop_killed_after_the_upload_does_not_export_its_contacts_again(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "Ada"))
    world.drop()
    world.warehouse.execute("update PUMP_FILES set state = 'writing'")
    assert exported(world) == 0
    assert [file["state"] for file in world.files()] == ["open"]
    world.sync()
    assert names(world) == {ADA: "Ada"}


def test_a_file_of_the_drop_that_was_replaced_or_refused_has_its_contacts_exported_again(world: PumpWorld) -> None:
    world.contacts(contact(ADA, "Ada"))
    world.drop()
    (item,) = objects(world)
    path = item.key.removeprefix(world.bucket.prefix)
    world.put(path, f"email_address,first_name\n{BOB},Bob\n".encode())
    (result,) = world.sync()
    assert world.metadata(result)["created"] == 1
    assert sorted(file["state"] for file in world.files()) == ["done", "replaced"]
    assert exported(world) == 1
    (newest,) = world.new_partitions()
    world.s3.Object(f"{world.bucket.prefix}{file_version(newest).path}").delete()
    assert "removed before its run" in world.failure(world.leads(newest))
    assert exported(world) == 1
    world.sync()
    assert names(world) == {ADA: "Ada", BOB: "Bob"}
