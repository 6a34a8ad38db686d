"""What Dagster shows of the extract: counts, names, routes and their reasons. Never a value from a row."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from marketo_assets.extract.catalog import Chosen, Drift
from marketo_assets.extract.deleted_leads import Deletes
from marketo_assets.extract.lead_lookup import LeadCounts
from marketo_assets.extract.load import Loaded
from marketo_assets.extract.rows import ACTIVITY_SCHEMA
from marketo_assets.marketo.stats import CallStats

Metadata = dict[str, Any]


def activities_definition() -> Metadata:
    """The table and its columns."""
    columns = [
        dg.TableColumn(field.name, "variant" if field.name == "attributes" else str(field.type))
        for field in ACTIVITY_SCHEMA
    ]
    return {"dagster/table_name": "ACTIVITIES", "dagster/column_schema": dg.TableSchema(columns)}


def day(loaded: Loaded, of: date) -> Metadata:
    """What one day's partition shows."""
    counts = loaded.counts
    return {
        "dagster/partition_row_count": loaded.held.get(of, 0),
        "rows_read": counts.rows(of),
        "rows_new": counts.new[of],
        "rows_late": loaded.late.get(of, 0),
        "route": loaded.route,
        "route_reason": loaded.reason,
    }


def run(loaded: Sequence[Loaded], chosen: Chosen, stats: CallStats, seconds: float) -> Metadata:
    """What a run shows, whatever days it loaded."""
    asked = {each for one in loaded for each in one.days}
    others = sum(count for one in loaded for each, count in one.counts.new.items() if each not in asked)
    return {
        "rows_late_in_run": sum(sum(one.late.values()) for one in loaded),
        "rows_new_of_other_days": others,
        "export_bytes": sum(one.byte_count for one in loaded),
        "activity_types": len(chosen.types),
        **calls(stats),
        "seconds": round(seconds, 1),
    }


def calls(*stats: CallStats) -> Metadata:
    """What Marketo was asked, by one client or several."""
    errors = sum((Counter(each.errors_by_code) for each in stats), Counter[str]())
    return {
        "api_calls": sum(each.calls for each in stats),
        "api_errors": dg.MetadataValue.json(dict(errors)),
        "api_retries": sum(each.retries for each in stats),
        "seconds_waited": round(sum(each.seconds_waited for each in stats), 1),
    }


def drift(found: Drift, count: int, stats: CallStats) -> Metadata:
    """How the model moved."""
    return {"dagster/row_count": count, **changes(found), **calls(stats)}


def changes(found: Drift) -> Mapping[str, Any]:
    """The names of what moved."""
    return {
        "appeared": dg.MetadataValue.json(list(found.appeared)),
        "vanished": dg.MetadataValue.json(list(found.vanished)),
        "changed": dg.MetadataValue.json(list(found.changed)),
    }


def leads(counts: LeadCounts, fields: Sequence[str], unknown: Sequence[str], stats: CallStats) -> Metadata:
    """What a look-up of leads did."""
    return {
        "leads_read": counts.found,
        "leads_missing": counts.missing,
        "fields": dg.MetadataValue.json(list(fields)),
        "unknown_fields": dg.MetadataValue.json(list(unknown)),
        **calls(stats),
    }


def deletes(found: Deletes, stats: CallStats) -> Metadata:
    """What a reading of deletes found."""
    return {"rows_read": found.read, "rows_new": found.new, **calls(stats)}
