"""A day read by both routes, to see whether they agree.

Guards against: routes that differ and nobody is told, and a comparison that stores what it looked at.
"""

from marketo_assets_tests.extract.conftest import ExtractWorld


def test_both_routes_are_compared_and_a_route_that_misses_one_is_told(world: ExtractWorld) -> None:
    for _ in range(301):
        world.activity("2026-02-25T12:00:00")
    for hour in range(5):
        world.activity(f"2026-02-20T{hour:02}:00:00")
    world.activity("2026-02-19T23:59:59")
    world.activity("2026-02-21T00:00:00")
    agreed = world.materialize("activities_by_both_routes", partition_key="2026-02-28")
    assert world.checks(agreed) == {"both_routes_agree": True}
    # Five more days of the stream lie between the day and these: beyond the three that REST reads on for late ones.
    compared = world.materialize("activities_by_both_routes", partition_key="2026-02-20")
    (check,) = compared.get_asset_check_evaluations()
    assert not check.passed
    assert {name: value.value for name, value in check.metadata.items()} == {
        "day": "2026-02-20",
        "both": 0,
        "only_bulk": 5,
        "only_rest": 0,
    }
    assert world.rows("select * from ACTIVITIES") == [], "looked at, not stored"
    assert [row["state"] for row in world.rows("select state from EXPORT_JOBS")] == ["abandoned", "abandoned"]
