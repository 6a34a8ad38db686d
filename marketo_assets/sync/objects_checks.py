"""What must hold of companies and custom objects, as asset checks."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from marketo_assets.sync.objects_definition import ObjectSync
from marketo_assets.sync.objects_report import OUTCOMES, ObjectReport

ACCOUNTED_FOR: Final = "every_row_accounted_for"
DEFINITION: Final = "definition_fits"
DELETES: Final = "deletes_within_bounds"
NO_LONG_WAIT: Final = "nothing_waits_longer_than_a_day"


def specs(asset: dg.AssetKey, sync: ObjectSync) -> Sequence[dg.AssetCheckSpec]:
    """The checks that `results` answers."""
    bounds = f"at most {sync.max_delete_share:.1%} of the records are deleted at once (max_delete_share)"
    return [
        dg.AssetCheckSpec(ACCOUNTED_FOR, asset=asset, blocking=True, description=f"rows = {' + '.join(OUTCOMES)}"),
        dg.AssetCheckSpec(
            DEFINITION,
            asset=asset,
            description="table, mapping and key fit what Describe says, and Marketo may be written to",
        ),
        dg.AssetCheckSpec(
            DELETES, asset=asset, description=bounds if sync.deletes else "nothing is deleted (deletes: leave)"
        ),
        dg.AssetCheckSpec(
            NO_LONG_WAIT,
            asset=asset,
            description="no record has waited for a day: for what it links to, or for Marketo",
        ),
    ]


def results(report: ObjectReport) -> Sequence[dg.AssetCheckResult]:
    """Judge one cycle. A line of the mapping that is left out is a warning; that nothing is sent is an error."""
    return [
        dg.AssetCheckResult(
            check_name=ACCOUNTED_FOR,
            passed=report.is_accounted_for,
            metadata={"rows": report.rows, **{outcome: report.counts[outcome] for outcome in OUTCOMES}},
        ),
        dg.AssetCheckResult(
            check_name=DEFINITION,
            passed=not report.problems and not report.left_out,
            severity=dg.AssetCheckSeverity.ERROR if report.problems else dg.AssetCheckSeverity.WARN,
            metadata={"problems": list(report.problems), "left_out": list(report.left_out)},
        ),
        dg.AssetCheckResult(
            check_name=DELETES,
            passed=report.held_back is None,
            metadata={"gone": report.gone, "in_marketo": report.there, "what_to_do": report.held_back or "nothing"},
        ),
        dg.AssetCheckResult(
            check_name=NO_LONG_WAIT,
            passed=not report.waiting_long,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"waiting_longer_than_a_day": report.waiting_long},
        ),
    ]
