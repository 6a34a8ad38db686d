"""One file with every kind of bad row, through S3, sensor, Dagster, Marketo and the ledger.

Guards against: rows that are lost, half-written or sent to the wrong lead; a rejects file that cannot be mended; and
personal data in logs, events, metadata or exceptions.
"""

import csv
import gzip
import io
import logging
from collections import Counter
from typing import Any

import dagster as dg
import pytest

from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.pump.conftest import PumpWorld

HEADER = (
    b"Email_Address,first_name,company_name,pql_list_stages,gitlab_dotcom_user_id,is_paid_tier,"
    b"customer_db_created_date,gitlab_dotcom_last_login_date,favourite_colour"
)
LINES = [
    b"ada@example.com,Ada,Byron & Co,create,0,false,2024-02-29,2024-02-29T12:00:00+02:00,red",
    b"bob@example.com,Bobsecret,,,,,,,blue",
    b" BOB@example.com ,Bob,Bobco,,7,true,,,blue",
    b"cysecret@example.com,Cy,Cyco,,seven,,,,",
    b"deesecret@example.com,Dee,Deeco,,99999999999,,,,",
    b"evesecret@example.com,Eve,Eveco,,,perhaps,,,",
    b"faysecret@example.com,Fay,Fayco,,,,31/12/2024,,",
    b"gussecret@example.com,Gus,Gusco,,,,,soonsecret,",
    b"halsecret@example.com,H\xf6lsecret,Halco,,,,,,",
    b"ians\xc3\xa9cret@example.com,Ian,Ianco,,,,,,",
    b",Nokeysecret,Noco,,,,,,",
    b"joysecret@example.com,Joy",
    b"kaysecret@example.com,Kay,Kayco,,,,,,,too,many",
    b"",
    b"lensecret@example.com," + b"L" * 300 + b",Lenco,,,,,,",
    b'mae@example.com,Mae,"May ""M"" & Co\nLtd","' + b"x" * 40_000 + b'",-5,YES,,,"green, dark"',
    b"nulsecret@example.com,Nul\0secret,Nulco,,,,,,",
    b"not-an-address-secret,Ned,Nedco,,,,,,",
    b"=oli@example.com,=1+1,Oli,,12.0,0,,,null",
]
REJECTED = {
    4: "invalid_integer",
    5: "out_of_range",
    6: "invalid_boolean",
    7: "invalid_date",
    8: "invalid_datetime",
    9: "not_utf8",
    10: "not_ascii",
    11: "blank_key",
    12: "ragged_row",
    13: "ragged_row",
    14: "too_long",
    16: "nul_byte",
    17: "1003",
}
DIRTY = HEADER + b"\n" + b"\n".join(LINES) + b"\n"


def test_every_row_is_accounted_for_and_good_rows_are_leads_as_they_are_written(world: PumpWorld) -> None:
    result = world.sync_one(DIRTY, "dirty.csv", {"row-count": "18"})
    assert result.success
    statuses = {number: (status, code) for number, status, code in world.statuses()}
    assert statuses == {
        **{number: ("rejected", code) for number, code in REJECTED.items()},
        1: ("created", None),
        2: ("superseded", "same_key"),
        3: ("created", None),
        15: ("created", None),
        18: ("created", None),
    }
    leads = {lead["email"]: lead for lead in world.emulator.leads()}
    assert sorted(leads) == ["=oli@example.com", "BOB@example.com", "ada@example.com", "mae@example.com"]
    ada, mae = leads["ada@example.com"], leads["mae@example.com"]
    assert ada["cDBGitLabComUserID"] == 0
    assert ada["cDBIsPaidTier"] is False
    assert ada["cDBCustomerDBCreatedDate"] == "2024-02-29"
    assert ada["cDBGitLabComLastLoginDate"] == "2024-02-29T10:00:00Z"
    assert mae["cDBCompanyName"] == 'May "M" & Co\nLtd'
    assert mae["pQLStageNamesActivatedByNamespace"] == "x" * 30_000
    assert (leads["=oli@example.com"]["cDBFirstName"], leads["=oli@example.com"]["cDBGitLabComUserID"]) == ("=1+1", 12)
    _check_metadata(world.metadata(result))
    _check_checks(result)
    assert "secret" not in str(world.results()), "the ledger's reasons must not quote a row"
    (file,) = world.files()
    assert (file["state"], file["origin"], file["row_count"]) == ("done", "external", 18)
    _check_rejects(world)


def _check_metadata(told: dict[str, Any]) -> None:
    assert {name: told[name] for name in ("created", "updated", "skipped", "rejected", "superseded", "unsent")} == {
        "created": 4,
        "updated": 0,
        "skipped": 0,
        "rejected": 13,
        "superseded": 1,
        "unsent": 0,
    }
    assert told["dagster/row_count"] == 18
    assert told["ignored_columns"] == ["favourite_colour"]
    codes = {row["code"]: row["rows"] for row in told["codes"]}
    assert codes == Counter(REJECTED.values())
    assert {row["row_number"]: row["code"] for row in told["refused_rows_sample"]} == REJECTED


def _check_checks(result: dg.ExecuteInProcessResult) -> None:
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["every_row_accounted_for"].passed
    assert checks["mapped_fields_exist_and_are_writable"].passed
    assert not checks["reject_rate"].passed
    assert checks["reject_rate"].severity == dg.AssetCheckSeverity.WARN


def _rejects_file(world: PumpWorld) -> bytes:
    (rejects,) = world.s3.objects.filter(Prefix=f"{world.bucket.prefix}_rejects/")
    content: bytes = rejects.get()["Body"].read()
    return content


def _check_rejects(world: PumpWorld) -> None:
    content = _rejects_file(world)
    rejects = list(csv.reader(io.StringIO(content.decode("latin-1"), newline="")))
    assert rejects[0] == [
        "rejected_row_number",
        "rejected_code",
        "rejected_reason",
        *HEADER.decode().split(","),
    ]
    assert {int(row[0]): row[1] for row in rejects[1:]} == REJECTED
    as_it_came = {int(row[0]): ",".join(row[3:]).encode("latin-1") for row in rejects[1:]}
    lines = dict(enumerate(filter(None, LINES), start=1))
    whole = [number for number, code in REJECTED.items() if code != "ragged_row"]
    assert {number: as_it_came[number] for number in whole} == {number: lines[number] for number in whole}
    assert world.new_partitions() == [], "the rejects file must not be taken for input"


def test_mended_rejects_can_be_dropped_as_they_are(world: PumpWorld) -> None:
    world.sync_one(HEADER + b"\nada@example.com,Ada,,,seven,,,,\n", "first.csv")
    rejects = _rejects_file(world)
    result = world.sync_one(rejects.replace(b"seven", b"7"), "mended.csv")
    assert world.metadata(result)["created"] == 1
    (lead,) = world.emulator.leads()
    assert (lead["cDBFirstName"], lead["cDBGitLabComUserID"]) == ("Ada", 7)


def test_blocks_of_nothing_but_ragged_rows_are_accounted_for(world: PumpWorld) -> None:
    ragged = b"ada@example.com," + b"x" * 200_000 + b",y\n"
    result = world.sync_one(b"email_address,first_name\n" + ragged * 15 + b"bob@example.com,Bob\n" + ragged)
    told = world.metadata(result)
    assert (told["rejected"], told["created"]) == (16, 1)
    assert [number for number, status, _ in world.statuses() if status == "created"] == [16]


def test_gzip_with_columns_in_another_order_and_some_missing(world: PumpWorld) -> None:
    content = gzip.compress(b"\xef\xbb\xbfFIRST_NAME, email_address\r\nAda,ada@example.com\r\n")
    result = world.sync_one(content, "Some File.CSV.GZ")
    assert world.metadata(result)["created"] == 1
    (lead,) = world.emulator.leads()
    assert (lead["cDBFirstName"], lead["email"]) == ("Ada", "ada@example.com")
    assert "company_name" in world.metadata(result)["mapped_columns_not_in_file"]
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_a_header_without_rows_is_done_with_nothing_sent(world: PumpWorld) -> None:
    result = world.sync_one(HEADER, "empty.csv", {"row-count": "0"})
    assert result.success
    assert world.metadata(result)["dagster/row_count"] == 0
    assert [file["state"] for file in world.files()] == ["done"]


def test_no_cell_is_in_logs_events_metadata_or_exceptions(
    world: PumpWorld, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = ["secret", "ada@", "bob@", "mae@", "oli@", "Byron", "Bobco", "perhaps", "31/12", "LLLL", "green, dark"]
    world.emulator.fill(2, ["mae@example.com"], duplicate_share=1.0)
    world.contacts({"email_address": "ada@example.com", "company_name": "Byron", "last_changed": "2026-01-01"})
    world.put("dirty.csv", DIRTY)
    world.put("headless.csv", b"ada@example.com,Bobsecret\nbob@example.com,Bobsecret\n")
    world.put("open.csv", HEADER + b'\nada@example.com,"Bobsecret\n')
    said = "Invalid value for field 'email' and value 'Bobsecret'"
    world.misbehave(Fault("POST /rest/v1/leads.json", "error", code="1234", message=said, every=3))
    with caplog.at_level(logging.DEBUG):
        world.drop()
        succeeded = [result.success for result in world.sync()]
    assert sorted(succeeded) == [False, False, False, True]
    events = [str(record) for run in world.runs for record in world.instance.all_logs(run.run_id)]
    told = "\n".join([caplog.text, *capfd.readouterr(), *events])
    assert len(told) > 100_000
    assert [told[max(0, at - 200) : at + 50] for secret in secrets if (at := told.find(secret)) >= 0] == []
