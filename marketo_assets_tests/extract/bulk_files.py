"""Bulk files as Marketo writes them, from activities as activities.json shows them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from marketo_assets.extract.csv_file import read_activities
from marketo_assets.extract.rows import ACTIVITY_SCHEMA

COLUMNS = (
    "marketoGUID",
    "leadId",
    "activityDate",
    "activityTypeId",
    "campaignId",
    "primaryAttributeValueId",
    "primaryAttributeValue",
    "attributes",
)
GUID = "8ca1c4bc-09f4-4b5c-8a5c-0f9e2a1d3b7e"
WHEN = "2026-01-16T23:32:19Z"
MOMENT = datetime.fromisoformat(WHEN).replace(tzinfo=None)

Activity = dict[str, Any]


def activity(value: str | None = None, attributes: Mapping[str, Any] | None = None, **more: Any) -> Activity:
    """An activity of activities.json; what is given as None is left out, as Marketo does."""
    pairs = [{"name": name, "value": each} for name, each in (attributes or {}).items()]
    keys = {
        "marketoGUID": GUID,
        "leadId": 7,
        "activityDate": WHEN,
        "activityTypeId": 1,
        "primaryAttributeValue": value,
        "attributes": pairs,
        **more,
    }
    return {key: each for key, each in keys.items() if each is not None}


def quoted(text: str) -> str:
    """A text as RFC 4180 has it, in quotes only where it needs them."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in '",\r\n') else text


def lone(text: str) -> str:
    """The same with the quotes inside left as they are."""
    return f'"{text}"' if any(mark in text for mark in '",\r\n') else text


def raw_json(values: Any) -> str:
    """JSON whose strings hold their control characters unescaped."""
    marks = {f"\\u{code:04x}": chr(code) for code in range(32)} | {r"\n": "\n", r"\r": "\r", r"\t": "\t"}
    marks |= {r"\b": "\b", r"\f": "\f"}
    text, raw = json.dumps(values, ensure_ascii=False), ""
    while text:
        mark = text[:6] if text.startswith("\\u") else text[:2] if text.startswith("\\") else text[:1]
        raw += marks.get(mark, mark)
        text = text[len(mark) :]
    return raw


def compact_json(values: Any) -> str:
    """JSON as short as it gets."""
    return orjson.dumps(values).decode()


def line(
    activity: Activity,
    *,
    columns: Sequence[str] = COLUMNS,
    to_json: Callable[[Any], str] = compact_json,
    quote: Callable[[str], str] = quoted,
) -> str:
    """One row of a file, without its line break."""
    values = {name: "null" if activity.get(name) is None else str(activity[name]) for name in columns}
    if value := activity.get("primaryAttributeValue"):
        values["primaryAttributeValue"] = quote(value)
    else:
        values["primaryAttributeValue"] = "null"
    values["attributes"] = quoted(to_json({each["name"]: each["value"] for each in activity["attributes"]}))
    return ",".join(values[name] for name in columns)


def file_of(lines: Iterable[str], *, columns: Sequence[str] = COLUMNS, newline: str = "\n") -> bytes:
    """The bytes of a file."""
    return "".join(f"{each}{newline}" for each in [",".join(columns), *lines]).encode()


def read(folder: Path, content: bytes, *, rows: int | None = None) -> pa.Table:
    """A file of these bytes, read to its end; the tables in one."""
    path = folder / "export.csv"
    path.write_bytes(content)
    return pa.concat_tables([ACTIVITY_SCHEMA.empty_table(), *read_activities(path, rows=rows)])


def records(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with their attributes as JSON values, by which they compare."""
    assert table.schema == ACTIVITY_SCHEMA
    table.validate(full=True)
    return [row | {"attributes": orjson.loads(row["attributes"])} for row in table.to_pylist()]
