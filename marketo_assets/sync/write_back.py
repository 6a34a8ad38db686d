"""Marketo's values in a table beside the contact table: one row per live lead, kept as the mirror has it."""

from collections.abc import Mapping
from typing import Final

from snowflake.connector.errors import ProgrammingError

from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.sync.fields import SyncFields
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import identifier, literal, plain_parts

_TYPES: Final = {
    "boolean": "boolean",
    "integer": "number(38, 0)",
    "score": "number(38, 0)",
    "float": "float",
    "currency": "float",
    "percent": "float",
    "date": "date",
    "datetime": "timestamp_ntz",
}


def is_beside(config: LeadSyncConfig) -> bool:
    """Whether Marketo's values go to a table beside the contact table."""
    return config.pull is not None and config.pull.into == "table_beside"


def table_beside(config: LeadSyncConfig) -> str:
    """The table's name, as marketo.yaml has it or by default."""
    named = config.pull.table if config.pull else None
    return named or f"{config.pump}_FROM_MARKETO".upper()


def write_back(warehouse: Warehouse, config: LeadSyncConfig, fields: SyncFields) -> tuple[int, int]:
    """Bring the table beside up to the mirror; returns rows written and rows taken away.

    A column that marketo.yaml names since the last time is added; one that it no longer names is left as it is.
    """
    table = identifier(table_beside(config))
    typed = [(identifier(column), _TYPES.get(each.data_type, "varchar"), each.name) for column, each in fields.pulled]
    _make(warehouse, table, {column: kind for column, kind, _ in typed})
    if not warehouse.rows(
        f"select 1 as differs from {table} t full outer join ("
        " select lead_id, fields_hash from LEADS where merged_into is null and deleted_at is null"
        ") l on l.lead_id = t.lead_id where coalesce(l.fields_hash, '-') <> coalesce(t.lead_hash, '-') limit 1"
    ):
        return 0, 0
    values = "".join(
        f", {f'try_cast({text} as {kind})' if kind != 'varchar' else text}"
        for text, kind in ((f"l.fields[{literal(name)}]::varchar", kind) for _, kind, name in typed)
    )
    names = "".join(f", {column}" for column, _, _ in typed)
    with warehouse.transaction():
        # A row goes where its lead is gone, or is not as it was; the latter comes again.
        taken = warehouse.execute(
            f"delete from {table} where lead_id in (select t.lead_id from {table} t"
            " left join LEADS l on l.lead_id = t.lead_id and l.merged_into is null and l.deleted_at is null"
            " where l.lead_id is null or l.fields_hash <> t.lead_hash)"
        )
        written = warehouse.execute(
            f"insert into {table} (lead_id, contact_key, lead_hash{names})"
            f" select l.lead_id, l.contact_key, l.fields_hash{values} from LEADS l"
            f" left join {table} t on t.lead_id = l.lead_id"
            " where t.lead_id is null and l.merged_into is null and l.deleted_at is null"
        )
    return written, taken


def _make(warehouse: Warehouse, table: str, columns: Mapping[str, str]) -> None:
    """See to it that the table is there, with these columns and types."""
    try:
        there = set(warehouse.columns(table))
    except ProgrammingError:
        typed = "".join(f", {column} {kind}" for column, kind in columns.items())
        warehouse.execute(
            f"create table if not exists {table}"
            f" (lead_id number(38, 0) not null, contact_key varchar, lead_hash varchar not null{typed})"
            " comment = 'One row per lead in Marketo, kept as Marketo has it; times in UTC'"
        )
        return
    for column, kind in columns.items():
        if plain_parts(column)[-1] not in there:
            warehouse.execute(f"alter table {table} add column {column} {kind}")
            warehouse.execute(f"update {table} set lead_hash = ''")
