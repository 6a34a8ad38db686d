"""A backfill of days of activities by Dagster's own daemon.

Guards against: what holds for a run in a test and not for one that the daemon launches, days marked that were not
asked for, a run (and an export job) for each day.
"""

from datetime import UTC, datetime, time, timedelta

from marketo_assets_tests.e2e.conftest import Platform

VISIT = 1
MATERIALIZED = """
{ assetNodeOrError(assetKey: {path: ["marketo", "activities"]}) { ... on AssetNode {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
    assetMaterializations { partition metadataEntries { label ... on IntMetadataEntry { intRepr } } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
} } }
"""


def test_a_backfill_through_graphql_is_one_run_that_marks_exactly_its_days(platform: Platform) -> None:
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=number) for number in range(6, 0, -1)]
    guids = {}
    for number, day in enumerate(days, 1):
        noon = datetime.combine(day, time(12), UTC).timestamp()
        guids[day] = [str(each) for each in platform.emulator.add_activities(VISIT, range(1, number + 1), noon)]
    asked = days[1:-1]
    backfill_id = platform.launch_backfill("marketo/activities", *(day.isoformat() for day in asked))

    def runs() -> list[dict[str, str]]:
        found: list[dict[str, str]] = platform.query(
            "query($id: String!) { partitionBackfillOrError(backfillId: $id)"
            " { ... on PartitionBackfill { runs { runId status } } } }",
            id=backfill_id,
        )["partitionBackfillOrError"]["runs"]
        assert not {run["status"] for run in found} & {"FAILURE", "CANCELED"}, platform.dagster.log.read_text()[-3000:]
        return found

    platform.until("the backfill's run", lambda: {run["status"] for run in runs()} == {"SUCCESS"})

    assert len(runs()) == 1
    asset = platform.query(MATERIALIZED)["assetNodeOrError"]
    first, last = asked[0].isoformat(), asked[-1].isoformat()
    assert asset["assetPartitionStatuses"]["ranges"] == [
        {"status": "MATERIALIZED", "startKey": first, "endKey": last},
    ]
    new = {
        each["partition"]: next(entry["intRepr"] for entry in each["metadataEntries"] if entry["label"] == "rows_new")
        for each in asset["assetMaterializations"]
    }
    assert new == {day.isoformat(): str(len(guids[day])) for day in asked}
    verdicts = {
        check["name"]: check["executionForLatestMaterialization"] for check in asset["assetChecksOrError"]["checks"]
    }
    assert verdicts["rows_read_are_rows_stored"] == {"status": "SUCCEEDED"}
    stored = platform.warehouse.rows("select marketo_guid from ACTIVITIES")
    assert {row["marketo_guid"] for row in stored} == {guid for day in asked for guid in guids[day]}
    assert len(stored) == sum(len(guids[day]) for day in asked)
    assert len(platform.warehouse.rows("select * from EXPORT_JOBS")) == 1
