"""What a poll of today's activities costs in calls when nothing is new."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bench.results import Bound, Measurement
from bench.stand_ins import Past, place, stand_ins

ACTIVITIES, QUICK_ACTIVITIES = 20_000, 300
MOST_CALLS = 2
TEN_TYPES = [1, 2, 3, 6, 7, 8, 9, 10, 11, 13]
"""What one call of Get Lead Activities takes."""


def measure(*, quick: bool) -> Measurement:
    """A poll that reads what there is, then one that finds nothing new; ten types, then all of them."""
    past = Past(QUICK_ACTIVITIES if quick else ACTIVITIES, 2, "rest", TEN_TYPES)
    with stand_ins(past=past) as environment:
        first, idle = _polls(environment)
        _, idle_all = _polls(environment | {"MARKETO_ASSETS_CONFIG": str(_all_types(environment))})
    calls, calls_all = sum(idle.values()), sum(idle_all.values())
    return Measurement(
        title="calls of a poll that finds nothing new",
        bounds=(Bound(f"calls, {len(TEN_TYPES)} activity types", calls, "at most", MOST_CALLS, ""),),
        arithmetic=(
            (
                "Today's partition materialized through Dagster, from the stored paging token on; the poll before it"
                " has read all there is. Every call counts, whatever it is for."
            ),
            (
                f"{len(TEN_TYPES)} types: {calls} calls, one for the page and one for the calls used today, which is"
                " asked for every ten minutes: with a poll every five minutes, every other one does without."
            ),
            (
                f"Get Lead Activities takes ten types a call: each ten more cost one more. With all types of the"
                f" emulator: {calls_all} calls."
            ),
        ),
        figures={
            f"calls by endpoint, {len(TEN_TYPES)} types, nothing new": idle,
            "the same, all types": idle_all,
            f"calls by endpoint, {len(TEN_TYPES)} types, the poll before it": first,
        },
    )


def _polls(environment: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """Calls by endpoint of two polls, one after the other."""
    today = datetime.now(UTC).date()
    found = []
    with place(environment) as here:
        here.activity_types()
        for _ in range(2):
            _forget_usage(here.marketo.state_dir)
            before = Counter(here.marketo.calls())
            here.activities(today, today)
            found.append(dict(Counter(here.marketo.calls()) - before))
    return found[0], found[1]


def _forget_usage(state_dir: Path) -> None:
    """As after ten minutes: the calls used today are asked for anew."""
    for file in state_dir.glob("calls.sqlite*"):
        file.unlink()


def _all_types(environment: Mapping[str, str]) -> Path:
    path = Path(environment["MARKETO_ASSETS_CONFIG"])
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["extract"]["activities"]["types"] = "all"
    other = path.with_name("all_types.yaml")
    other.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return other
