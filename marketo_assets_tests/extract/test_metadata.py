"""What Dagster shows of a run.

Guards against: counts shown as 2,018.0, and calls to Marketo that no run owns up to.
"""

from marketo_assets_tests.extract.conftest import ExtractWorld


def test_counts_are_whole_numbers_by_either_route(world: ExtractWorld) -> None:
    world.activity("2026-03-01T10:00:00")
    world.activity("2026-03-02T10:00:00")
    for day in ("2026-03-01", "2026-03-02"):
        shown = world.metadata(world.load(day))[day]
        counts = {name: shown[name] for name in ("rows_read", "rows_new", "rows_late", "rows_new_of_other_days")}
        assert counts == {"rows_read": 1, "rows_new": 1, "rows_late": 0, "rows_new_of_other_days": 0}
        assert {type(count) for count in counts.values()} == {int}


def test_every_call_is_in_the_metadata_of_a_run(world: ExtractWorld) -> None:
    for key in ("activity_types", "lead_fields", "deleted_leads"):
        world.materialize(key)
    world.load("2026-03-02")
    shown = [value for run in world.runs for value in world.metadata(run).values()]
    assert sum(value["api_calls"] for value in shown) == world.emulator.calls()
