"""What Dagster shows of companies and custom objects: counts, codes, names and hashes. Never a value from a row."""

from typing import Any

import dagster as dg

from marketo_assets.extract.metadata import calls
from marketo_assets.marketo.stats import CallStats
from marketo_assets.pump.metadata import table
from marketo_assets.sync.objects_definition import ObjectSync
from marketo_assets.sync.objects_report import OUTCOMES, ObjectReport

Metadata = dict[str, Any]


def definition(sync: ObjectSync, source: dg.AssetKey) -> Metadata:
    """Fields and the columns that fill them; their types are Describe's to say, at each cycle that sends."""
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {line.to: [dg.TableColumnDep(source, line.column)] for line in sync.mapping}
        ),
        "key": dg.MetadataValue.json(list(sync.key)),
        "deletes": "delete" if sync.deletes else "leave",
    }


def cycle(report: ObjectReport, stats: CallStats, seconds: float) -> Metadata:
    """What one cycle did."""
    told: Metadata = {
        "dagster/row_count": report.rows,
        **{outcome: report.counts[outcome] for outcome in OUTCOMES},
        "deleted": report.counts["deleted"],
        "undeleted": report.counts["undeleted"],
        "gone_from_the_source": report.gone,
        "problems": dg.MetadataValue.json(list(report.problems)),
        "left_out": dg.MetadataValue.json(list(report.left_out)),
        "links": dg.MetadataValue.json(
            [f"{link.field} -> {link.related_to}.{link.related_field}" for link in report.relationships]
        ),
        **calls(stats),
        "seconds": round(seconds, 1),
    }
    if report.codes:
        codes = [
            {"outcome": outcome, "code": code, "rows": rows} for (outcome, code), rows in sorted(report.codes.items())
        ]
        told["codes"] = table(("outcome", "code", "rows"), codes)
    if report.sample:
        # Not the key, which may be a person's: the hash finds the record in SYNC_OBJECTS.
        told["refused_rows_sample"] = table(("tried_fingerprint", "state", "code", "reason"), report.sample)
    return told
