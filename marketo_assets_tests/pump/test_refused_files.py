"""Files and mappings that cannot be used.

Guards against: half of an unreadable file being sent, a refusal that the ledger does not know or that quotes the file,
and a wrong marketo.yaml that is found out only after something was written.
"""

import gzip
from typing import Any

import pytest

from marketo_assets_tests.pump.conftest import PumpWorld

HEADER = b"email_address,first_name\n"
GOOD = HEADER + b"ada@example.com,Ada\nbob@example.com,Bob\n"
REFUSED: dict[str, tuple[bytes, dict[str, str], str]] = {
    "0-zero.csv": (b"", {}, "the file is empty (0 bytes); expected a header row"),
    "1-headless.csv": (b"ada@example.com,Ada\n", {}, "the first row has no column 'email_address' (it has 2 cells"),
    "2-utf16.csv": (GOOD.decode().encode("utf-16"), {}, "the file is in UTF-16 or UTF-32; expected UTF-8"),
    "3-open.csv": (GOOD + b'cy@example.com,"Cy\n', {}, "row 3: a quote is opened and never closed"),
    "4-short.csv.gz": (gzip.compress(GOOD)[:-9], {}, "the name ends in .gz, but the file is cut short"),
    "5-sha.csv": (GOOD, {"sha256": "0" * 64}, "its metadata says " + "0" * 64),
    "6-count.csv": (GOOD, {"row-count": "3"}, "the file has 2 rows, its metadata says 3"),
    "7-twice.csv": (b"email_address,first_name,FIRST_NAME\n", {}, "the header names the column 'first_name' twice"),
    "8-long.csv": (HEADER + b"ada@example.com," + b"x" * 34_000_000, {}, "after row 0: a row is longer than 16 MiB"),
}


def test_a_file_that_cannot_be_believed_is_refused_whole_and_the_ledger_says_why(world: PumpWorld) -> None:
    for path, (content, metadata, _) in REFUSED.items():
        world.put(path, content, metadata)
    results = world.sync()
    assert len(results) == len(REFUSED)
    ledger = {row["file"]: row for row in world.files()}
    told = "\n".join(world.failure(result) for result in results)
    for path, (_, _, reason) in REFUSED.items():
        assert ledger[path]["state"] == "refused"
        assert reason in ledger[path]["reason"]
        assert f"{path}: " in told
        assert reason in told
    assert not [value for value in ("ada@", "cy@", "bob@", "Ada\n") if value in told]
    assert (world.results(), world.emulator.lead_count()) == ([], 0)
    assert world.new_partitions() == [], "a refused file waits for a person"


def test_a_refused_file_that_is_put_right_is_taken(world: PumpWorld) -> None:
    world.sync_one(b"ada@example.com,Ada\n")
    result = world.sync_one(GOOD)
    assert world.metadata(result)["created"] == 2
    assert [file["state"] for file in world.files()] == ["refused", "done"]


def test_a_file_that_is_gone_or_overwritten_before_its_run_sends_nothing(world: PumpWorld) -> None:
    world.put("gone.csv", GOOD)
    world.put("other.csv", GOOD)
    gone, other = world.new_partitions()
    world.s3.Object(f"{world.bucket.prefix}gone.csv").delete()
    world.put("other.csv", HEADER + b"cy@example.com,Cy\n")
    assert "removed before its run" in world.failure(world.leads(gone))
    assert "overwritten before its run" in world.failure(world.leads(other))
    assert world.emulator.lead_count() == 0
    assert [(file["file"], file["state"]) for file in world.files()] == [("gone.csv", "gone"), ("other.csv", "gone")]
    (result,) = world.sync()
    assert world.metadata(result)["created"] == 1


MAPPING_FAULTS = {
    "unknown field": ('"[CDB] First Name"', '"[CDB] Frist Name"', "has no lead field '[CDB] Frist Name'; did you mean"),
    "read-only": ('"[CDB] First Name"', "mktoName", "the field 'mktoName' is read-only in Marketo"),
    "one field twice": (
        '"[CDB] First Name"',
        "cDBCompanyName",
        "ends in the field 'cDBCompanyName', as does",
    ),
    "key": ("email_address: email", "email_address: company", "must be mapped to the lookup field 'email'"),
}


@pytest.mark.parametrize("fault", MAPPING_FAULTS)
def test_a_mapping_that_does_not_fit_marketo_stops_drop_and_leads_before_anything_is_written(
    world: PumpWorld, fault: str
) -> None:
    before, after, message = MAPPING_FAULTS[fault]
    world.contacts({"email_address": "ada@example.com", "last_changed": "2026-01-01"})
    world.put("file.csv", GOOD)
    world.load((before, after))
    (partition,) = world.new_partitions()
    for said in (_failed_drop(world), world.failure(world.leads(partition))):
        assert message in said
        assert "marketo.yaml:" in said
    _nothing_was_written(world)


def test_a_source_without_the_mapped_column_or_without_the_table_is_named(world: PumpWorld) -> None:
    world.contacts({"email_address": "ada@example.com", "last_changed": "2026-01-01"})
    world.load(("first_name: ", "frist_name: "))
    said = _failed_drop(world)
    assert "marketo.yaml:9: the table" in said
    assert "has no column 'frist_name'" in said
    world.load(("frist_name: ", "first_name: "), ("updated_at: last_changed", "updated_at: changed_at"))
    assert "has no column 'changed_at'" in _failed_drop(world)
    world.load(("updated_at: changed_at", "updated_at: last_changed"), (".CONTACTS,", ".NO_SUCH_TABLE,"))
    assert ".NO_SUCH_TABLE of marketo.yaml cannot be read" in _failed_drop(world)
    _nothing_was_written(world)


def _failed_drop(world: PumpWorld) -> str:
    with pytest.raises(AssertionError):
        world.drop()
    return world.failure(world.runs[-1])


def _nothing_was_written(world: PumpWorld) -> None:
    keys: list[Any] = [item.key for item in world.s3.objects.all() if not item.key.endswith("file.csv")]
    assert (keys, world.emulator.lead_count()) == ([], 0)
