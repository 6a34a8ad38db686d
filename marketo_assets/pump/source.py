"""A source table as SQL and as text: one row per key, its fingerprint, and values that a reader takes back."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from marketo_assets.config import PumpConfig
from marketo_assets.pump.mapping import LeadMapping, MappedField
from marketo_assets.warehouse.sql import identifier, statement


def source_names(pump: PumpConfig) -> dict[str, str]:
    """The parts of a statement over a pump's contact table."""
    return {
        "table": identifier(pump.source.table),
        "updated_at": identifier(pump.source.updated_at),
        "key_text": f"lower({trimmed(pump.source.key)})",
    }


def trimmed(column: str) -> str:
    """A key column as text without blanks of any kind around it, as the reader of a file compares keys."""
    # TRIM takes spaces alone.
    return rf"regexp_replace(to_varchar({identifier(column)}), '^\\s+|\\s+$', '')"


def latest_contacts(pump: PumpConfig, mapping: LeadMapping) -> str:
    """Common table expressions; `latest` has a row per key: contact_key, contact_fingerprint, changed_at, C_0, C_1."""
    return statement(
        "marketo_assets.pump",
        "latest_contacts",
        columns=", ".join(f"{identifier(m.column)} as C_{at}" for at, m in enumerate(mapping.fields)),
        fingerprint_parts=fingerprint_parts(mapping.fields),
        **source_names(pump),
    )


def fingerprint_parts(fields: Iterable[MappedField]) -> str:
    """Arguments of CONCAT: each field's name, the length of its text, and the text; nothing for a null.

    So a field newly mapped changes the fingerprints of just those contacts that have a value in it. A null that is to
    clear its field says so. Not OBJECT_CONSTRUCT: the order of an object's keys is not defined.
    """
    parts = []
    for mapped in sorted(fields, key=lambda m: m.field.name):
        text = f"to_varchar({identifier(mapped.column)})"
        name = _literal(mapped.field.name)
        null = f"'{name} cleared;'" if mapped.when_null == "clear" else "''"
        parts.append(f"coalesce('{name}=' || length({text}) || ':' || {text} || ';', {null})")
    return ", ".join(parts)


def _literal(name: str) -> str:
    return name.replace("'", "''").replace("%", "%%").replace("\\", "\\\\")


def as_text(column: Any) -> Any:
    """Values as text that the reader takes back without loss; times in UTC, to the microsecond."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        utc = column.cast(pa.timestamp("us", kind.tz), safe=False)
        return (pc.local_timestamp(utc.cast(pa.timestamp("us", "UTC"))) if kind.tz else utc).cast(pa.string())
    return column.cast(pa.string())
