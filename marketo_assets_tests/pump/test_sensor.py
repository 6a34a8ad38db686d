"""The files' sensor against S3 and Dagster.

Guards against: files that are never taken because of their name, and ticks that take on more than they can do.
"""

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.utils import make_new_run_id

from marketo_assets.pump.sensors import MAX_RUNS_PER_TICK
from marketo_assets_tests.pump.conftest import PumpWorld

LEADS = dg.AssetKey(["contacts", "leads"])

ODD_NAMES = [
    'sub folder/it\'s "odd" & more?#.csv',
    "größe-名前-🎉...csv",
    "a,b;c @20260302T120000Z-aaaaaaaa.csv",
    "100%25+%2F = [x]{y}|\\z.CSV",
]


def content(name: str) -> bytes:
    return f"email_address,first_name\n{name}@example.com,Ada\n".encode()


def test_odd_names_go_from_s3_through_sensor_and_partition_to_leads_and_ledger(world: PumpWorld) -> None:
    for number, name in enumerate(ODD_NAMES):
        world.put(name, content(f"{number}") if number else content("0") + b"bad,Ada\n")
    results = world.sync()
    assert [result.success for result in results] == [True] * len(ODD_NAMES)
    assert {row["file"]: row["state"] for row in world.files()} == dict.fromkeys(ODD_NAMES, "done")
    assert world.emulator.lead_count() == len(ODD_NAMES)
    rejects = [item.key for item in world.s3.objects.filter(Prefix=f"{world.bucket.prefix}_rejects/")]
    (file,) = [row for row in world.files() if row["file"] == ODD_NAMES[0]]
    name = ODD_NAMES[0].removesuffix(".csv")
    assert rejects == [f"{world.bucket.prefix}_rejects/{name}@{file['version']}.csv"]
    assert world.new_partitions() == []


def test_only_csv_files_below_the_prefix_are_taken(world: PumpWorld) -> None:
    for name in ("a.csv", "b.CSV.GZ", "c.txt", "d.csv.bak", "e.csv/", "_rejects/f.csv", "deep/er/g.csv", "csv"):
        world.put(name, content(name[0]))
    world.s3.put_object(Key="elsewhere/h.csv", Body=content("h"))
    assert sorted(file.path for file in world.bucket.list_files()) == ["a.csv", "b.CSV.GZ", "deep/er/g.csv"]


def test_a_tick_asks_for_a_bounded_number_of_runs_and_the_next_ticks_for_the_others(world: PumpWorld) -> None:
    for number in range(MAX_RUNS_PER_TICK + 10):
        world.put(f"{number:03d}.csv", content(f"{number}"))
    first = world.tick()
    assert len(first) == MAX_RUNS_PER_TICK
    for request in first:
        _begin_run(world, str(request.partition_key))
    second = world.tick()
    assert len(second) == 10
    assert not {request.partition_key for request in first} & {request.partition_key for request in second}


def test_a_file_of_another_pump_with_the_same_name_time_and_content_is_a_file_of_its_own(world: PumpWorld) -> None:
    world.put("a.csv", content("a"))
    (partition,) = world.new_partitions()
    _begin_run(world, partition, asset=dg.AssetKey(["others", "leads"]))
    assert world.new_partitions() == [partition]
    _begin_run(world, partition)
    assert world.new_partitions() == []


def _begin_run(world: PumpWorld, partition: str, asset: dg.AssetKey = LEADS) -> None:
    """What Dagster notes when a run is created, before it does anything."""
    planned = DagsterEvent.build_asset_materialization_planned_event(
        "a_job", "a_step", AssetMaterializationPlannedData(asset, partition=partition)
    )
    world.instance.report_dagster_event(planned, run_id=make_new_run_id())
