"""What must hold of the extract, as asset checks."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

import dagster as dg

from marketo_assets.extract.catalog import Chosen, Drift
from marketo_assets.extract.deleted_leads import Deletes
from marketo_assets.extract.load import Loaded
from marketo_assets.extract.metadata import changes
from marketo_assets.extract.store import ActivityStore

STORED: Final = "rows_read_are_rows_stored"
UNIQUE: Final = "no_guid_twice"
TYPES: Final = "chosen_types_exist"
FRESH: Final = "latest_closed_day_is_loaded"
USUAL: Final = "today_is_like_its_weekday"
DRIFT: Final = "model_is_unchanged"
NO_GAP: Final = "no_deletes_forgotten"
AGREE: Final = "both_routes_agree"

GRACE: Final = timedelta(hours=6)
"""How long after midnight (UTC) yesterday may still be missing."""

USUAL_RANGE: Final = (0.3, 3.0)
"""Today's rows against the mean of the same weekday until the same time, before somebody should look."""

_DESCRIPTIONS: Final = {
    STORED: "every row that Marketo sent is found in the table, repeated ones once",
    UNIQUE: "no marketo_guid of the loaded days is held by two rows",
    TYPES: "every activity type of marketo.yaml is in Get Activity Types",
    FRESH: "yesterday (UTC) was read from end to end",
    USUAL: "today's rows are within 0.3 and 3 times those of the same weekday until the time of the last poll",
}


def activity_specs(asset: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """The checks that `activity_results` answers."""
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=name == STORED, description=text)
        for name, text in _DESCRIPTIONS.items()
    ]


def activity_results(
    store: ActivityStore, loaded: Sequence[Loaded], chosen: Chosen, now: datetime
) -> Sequence[dg.AssetCheckResult]:
    """Judge a run's days, and the state of the table."""
    days = sorted({day for one in loaded for day in one.days})
    read = sum(one.counts.read.total() - one.counts.repeated.total() for one in loaded)
    stored = sum(one.counts.stored.total() for one in loaded)
    twice = store.guids_held_twice(days[0], days[-1]) if days else 0
    return [
        dg.AssetCheckResult(
            check_name=STORED, passed=read == stored, metadata={"rows_read": read, "rows_stored": stored}
        ),
        dg.AssetCheckResult(check_name=UNIQUE, passed=not twice, metadata={"guids_held_twice": twice}),
        dg.AssetCheckResult(
            check_name=TYPES,
            passed=not chosen.unknown,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"unknown": list(chosen.unknown)},
        ),
        _fresh(store, now),
        _usual(store, now),
    ]


def _fresh(store: ActivityStore, now: datetime) -> dg.AssetCheckResult:
    yesterday = (now - GRACE).date() - timedelta(days=1)
    loaded_at = store.completed_at(yesterday)
    return dg.AssetCheckResult(
        check_name=FRESH,
        passed=loaded_at is not None,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"day": yesterday.isoformat(), "loaded_at": loaded_at.isoformat() if loaded_at else "never"},
    )


def _usual(store: ActivityStore, now: datetime) -> dg.AssetCheckResult:
    today = now.date()
    # As of its last reading: of a day that nobody has read yet, or not since, nothing is missing.
    read_at = store.read_at(today)
    # A fresh table is compared with nothing: four weekdays make a habit, two are enough to begin with.
    earlier = [today - timedelta(weeks=number) for number in range(1, 5)]
    counts = store.rows_until([today, *earlier], read_at.time()) if read_at else {}
    usual = [count for day in earlier if (count := counts.get(day))]
    mean = sum(usual) / len(usual) if len(usual) > 1 else 0.0
    low, high = (mean * share for share in USUAL_RANGE)
    return dg.AssetCheckResult(
        check_name=USUAL,
        passed=not mean or low <= counts.get(today, 0) <= high,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rows_today": counts.get(today, 0),
            "usual_until_then": mean,
            "weekdays_compared": len(usual),
            "read_at": read_at.isoformat() if read_at else "not read today",
        },
    )


def drift_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that `drift_result` answers."""
    return dg.AssetCheckSpec(DRIFT, asset=asset, description="nothing appeared, vanished or changed")


def drift_result(found: Drift) -> dg.AssetCheckResult:
    """A warning names what moved; the extract goes on."""
    return dg.AssetCheckResult(
        check_name=DRIFT, passed=not found.is_some, severity=dg.AssetCheckSeverity.WARN, metadata=changes(found)
    )


def gap_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that `gap_result` answers."""
    return dg.AssetCheckSpec(NO_GAP, asset=asset, description="deletes were read before Marketo forgot them")


def gap_result(found: Deletes) -> dg.AssetCheckResult:
    """Marketo keeps deletes for 14 days. What it had forgotten before the first reading is told, and no fault."""
    gap = {"from": found.gap[0].isoformat(), "to": found.gap[1].isoformat()} if found.gap else {}
    return dg.AssetCheckResult(
        check_name=NO_GAP, passed=found.is_first or not found.gap, severity=dg.AssetCheckSeverity.WARN, metadata=gap
    )


def agreement_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check that `agreement_result` answers."""
    return dg.AssetCheckSpec(AGREE, asset=asset, description="bulk extract and REST give the same activities")


def agreement_result(day: date, only: dict[str, int], both: int) -> dg.AssetCheckResult:
    """`only`: activities by the one route that had them; `both`: those that both had."""
    return dg.AssetCheckResult(
        check_name=AGREE, passed=not any(only.values()), metadata={"day": day.isoformat(), "both": both, **only}
    )
