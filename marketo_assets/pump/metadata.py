"""What Dagster shows of the pump: counts, codes, names and times. Never a value from a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from marketo_assets.config import PumpConfig
from marketo_assets.marketo.stats import CallStats
from marketo_assets.pump.drop import Drop, SourceState
from marketo_assets.pump.load_file import FileReport
from marketo_assets.pump.mapping import LeadMapping
from marketo_assets.warehouse.session import Row

Metadata = dict[str, Any]


def source(state: SourceState) -> Metadata:
    """The observation of the contact table."""
    told: Metadata = {
        "dagster/row_count": state.contacts,
        "blank_keys": state.blank_keys,
        "older_contacts_of_a_key": state.contacts - state.blank_keys - state.keys,
    }
    if state.last_changed is not None:
        told["last_changed"] = dg.MetadataValue.text(state.last_changed.isoformat())
    return told


def drop_definition(pump: PumpConfig, source_key: dg.AssetKey) -> Metadata:
    """Columns of the CSV files and where they come from."""
    columns = [line.column for line in pump.mapping]
    return {
        "dagster/table_name": pump.source.table,
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name) for name in columns]),
        "dagster/column_lineage": dg.TableColumnLineage(
            {name: [dg.TableColumnDep(source_key, name)] for name in columns},
        ),
    }


def drop(dropped: Drop, state: SourceState, mapping: LeadMapping, open_files: Sequence[Row]) -> Metadata:
    """What one drop put on S3, and what is still under way."""
    told: Metadata = {
        "dagster/row_count": dropped.rows,
        "contacts": state.contacts,
        "contacts_without_a_key": state.blank_keys,
        "older_contacts_of_a_key": state.contacts - state.blank_keys - state.keys,
        "files": dg.MetadataValue.json(list(dropped.uris)),
        "bytes": dropped.byte_count,
        "open_files": len(open_files),
        "left_out": dg.MetadataValue.json(list(mapping.left_out)),
    }
    if open_files:
        told["oldest_open_file_since"] = dg.MetadataValue.text(min(row["opened_at"] for row in open_files).isoformat())
    return told


def leads_definition(pump: PumpConfig, drop_key: dg.AssetKey) -> Metadata:
    """Lead fields and the columns that fill them; their types are Describe's to say, at each run."""
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {line.to: [dg.TableColumnDep(drop_key, line.column)] for line in pump.mapping},
        ),
        "lookup_field": pump.lookup_field,
        "duplicates": pump.duplicates,
    }


def leads(report: FileReport, stats: CallStats, seconds: float) -> Metadata:
    """What became of one file."""
    told: Metadata = {
        "dagster/row_count": report.rows,
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(mapped.field.display_name, mapped.field.data_type, description=mapped.field.name)
                for mapped in report.mapping.fields
            ],
        ),
        **report.counts,
        "duplicates_resolved": report.duplicates,
        "api_calls": stats.calls,
        "api_errors": dg.MetadataValue.json(dict(stats.errors_by_code)),
        "api_retries": stats.retries,
        "seconds_waited_for_limits": round(stats.seconds_waited, 1),
        "seconds": round(seconds, 1),
        "ignored_columns": dg.MetadataValue.json(list(report.ignored_columns)),
        "mapped_columns_not_in_file": dg.MetadataValue.json(list(report.absent_columns)),
    }
    if report.codes:
        told["codes"] = table(("code", "rows"), [{"code": c, "rows": n} for c, n in sorted(report.codes.items())])
    if report.sample:
        told["refused_rows_sample"] = table(("row_number", "code", "reason"), report.sample)
    if report.rejects_uri:
        told["rejects"] = dg.MetadataValue.text(report.rejects_uri)
    return told


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """The columns of rows as Dagster shows a table."""
    records = [dg.TableRecord({column: row[column] for column in columns}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(column) for column in columns]))
