"""What must hold of every file, as asset checks of the leads asset."""

from collections.abc import Sequence

import dagster as dg

from marketo_assets.config import PumpConfig
from marketo_assets.pump.load_file import FileReport

ACCOUNTED_FOR = "every_row_accounted_for"
REJECT_RATE = "reject_rate"
MAPPED_FIELDS = "mapped_fields_exist_and_are_writable"


def specs(asset: dg.AssetKey, pump: PumpConfig) -> Sequence[dg.AssetCheckSpec]:
    """The checks that `results` answers."""
    return [
        dg.AssetCheckSpec(
            ACCOUNTED_FOR,
            asset=asset,
            blocking=True,
            description="rows = created + updated + skipped + rejected + superseded + unsent",
        ),
        dg.AssetCheckSpec(
            REJECT_RATE,
            asset=asset,
            description=f"at most {pump.max_reject_rate:.1%} of a file's rows are rejected (max_reject_rate)",
        ),
        dg.AssetCheckSpec(
            MAPPED_FIELDS,
            asset=asset,
            description="every field that marketo.yaml maps is in Describe Lead and writable",
        ),
    ]


def results(report: FileReport, pump: PumpConfig) -> Sequence[dg.AssetCheckResult]:
    """Judge one file."""
    return [
        dg.AssetCheckResult(
            check_name=ACCOUNTED_FOR,
            passed=report.is_accounted_for,
            metadata={"rows": report.rows, **report.counts},
        ),
        dg.AssetCheckResult(
            check_name=REJECT_RATE,
            passed=report.reject_rate <= pump.max_reject_rate,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"reject_rate": report.reject_rate, "max_reject_rate": pump.max_reject_rate},
        ),
        dg.AssetCheckResult(
            check_name=MAPPED_FIELDS,
            passed=not report.mapping.left_out,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"left_out": list(report.mapping.left_out)},
        ),
    ]


def misfit(problems: Sequence[str]) -> dg.AssetCheckResult:
    """The mapping does not fit Marketo's fields: nothing is sent and the run fails."""
    return dg.AssetCheckResult(check_name=MAPPED_FIELDS, passed=False, metadata={"problems": list(problems)})
