"""What a contact costs in processor time, from the file to the body of a request; and row by row with pandas beside it.

No HTTP, no warehouse, no limits. The functions are the pump's own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pandas as pd

from bench.contacts import clean_contacts, dirty_contacts, write_csv
from bench.mapping import project_mapping
from bench.results import Bound, Measurement
from marketo_assets.marketo.leads import sync_body
from marketo_assets.pump.mapping import LeadMapping
from marketo_assets.pump.reader import CsvFile, chunks, scan, store
from marketo_assets.pump.recorder import Recorder
from marketo_assets.pump.rows import MAX_BATCH_ROWS, batches, match_header, prepare
from marketo_assets.pump.sync_rows import RowsTask, prepared_rows
from marketo_assets.pump.values import cast_column

ROWS, QUICK_ROWS = 100_000, 600
PANDAS_ROWS, QUICK_PANDAS_ROWS = 6_000, 600
REPETITIONS = 5
MOST_SECONDS = 20.0
MILLION = 1_000_000

Seconds = dict[str, float]


def measure(*, quick: bool) -> Measurement:
    """CPU seconds per million contacts, by stage."""
    rows, pandas_rows = (QUICK_ROWS, QUICK_PANDAS_ROWS) if quick else (ROWS, PANDAS_ROWS)
    mapping = project_mapping()
    with TemporaryDirectory() as name:
        folder = Path(name)
        clean, dirty = _stored(folder, "clean", clean_contacts(rows), mapping), folder / "dirty.csv"
        _stored(folder, "dirty", dirty_contacts(rows), mapping)
        whole = _repeated(lambda: _whole(clean, mapping), rows)
        with_dirt = _repeated(lambda: _whole(dirty, mapping), rows)
        stages = _repeated(lambda: _stages(clean, mapping), rows)
        sample = _stored(folder, "sample", clean_contacts(pandas_rows), mapping)
        by_row = _row_by_row(sample, mapping)
        _same(by_row.bodies, sample, mapping)
    total, per_row = median(whole["seconds"]), by_row.seconds / pandas_rows * MILLION
    return Measurement(
        title="processor time from the file to request bodies",
        bounds=(
            Bound("CPU s per million contacts, clean", total, "at most", MOST_SECONDS, "s"),
            Bound("the same, with real-world dirt", median(with_dirt["seconds"]), "at most", MOST_SECONDS, "s"),
        ),
        arithmetic=(
            (
                f"{rows:,} contacts of {len(mapping.fields)} columns, {REPETITIONS} times; the median of the CPU"
                " seconds of this one process (user and system, all threads), scaled to a million."
            ),
            (
                "From the file as it comes from S3 to the bytes of the requests: copy with SHA-256 and quotes checked,"
                " scan for the last row of each key, parse, map and cast every cell, JSON, batches of 300."
            ),
            (
                f"Row by row over DataFrame.iterrows, the same casts in plain Python, the same bodies (compared byte by"
                f" byte over {pandas_rows:,} contacts): {per_row:.0f} s per million, {per_row / total:.1f} times as"
                " much. It reads and casts only: no scan, no checks, no hash."
            ),
        ),
        figures={
            "clean contacts, CPU s per million, each repetition": whole["seconds"],
            "contacts with dirt, CPU s per million, each repetition": with_dirt["seconds"],
            "by stage, measured each alone, CPU s per million": {n: median(s) for n, s in stages.items()},
            "sum of the stages": sum(median(s) for s in stages.values()) - median(stages["of which cast"]),
            "row by row with iterrows, CPU s per million": per_row,
            "ratio of iterrows to ours": per_row / total,
            "contacts/s of one core, ours": MILLION / total,
            "contacts/s of one core, iterrows": MILLION / per_row,
        },
    )


def _stored(folder: Path, name: str, tables: Iterator[Any], mapping: LeadMapping) -> Path:
    path = folder / f"{name}.csv"
    write_csv(tables, [field.column for field in mapping.fields], path)
    return path


def _repeated(run: Callable[[], Seconds], rows: int) -> dict[str, list[float]]:
    """CPU seconds per million by name, one figure for each repetition."""
    runs = [run() for _ in range(REPETITIONS)]
    return {name: [seconds[name] / rows * MILLION for seconds in runs] for name in runs[0]}


@contextmanager
def _cpu(seconds: Seconds, name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.process_time() - started


def _fetch(path: Path) -> CsvFile:
    with path.open("rb") as body:
        return store(body, path.with_suffix(".fetched"), compressed=False)


def _whole(path: Path, mapping: LeadMapping) -> Seconds:
    """All of it in one go, as a run does it."""
    seconds: Seconds = {}
    with _cpu(seconds, "seconds"), Recorder(lambda _results, _duplicates: None) as recorder:
        file = _fetch(path)
        scanned = scan(file, match_header(file.header, mapping).key_column)
        wanted = np.ones(scanned.row_count + 1, np.bool_)
        task = RowsTask(
            file, match_header(file.header, mapping), mapping, scanned.row_count, wanted, scanned.superseded
        )
        for batch in batches(prepared_rows(task, wanted, scanned.superseded, recorder)):
            sync_body([row.body for row in batch])
    return seconds


def _stages(path: Path, mapping: LeadMapping) -> Seconds:
    """The same, stage by stage."""
    seconds: Seconds = {}
    with _cpu(seconds, "fetch: copy, SHA-256, quotes"):
        file = _fetch(path)
    match = match_header(file.header, mapping)
    with _cpu(seconds, "scan for last rows"):
        scanned = scan(file, match.key_column)
    source = chunks(file, [name for name, _ in match.columns])
    while True:
        with _cpu(seconds, "parse"):
            chunk = next(source, None)
        if chunk is None:
            return seconds
        with _cpu(seconds, "rows: cast, map, JSON"):
            rows, _ = prepare(chunk, match, mapping, scanned.superseded)
        with _cpu(seconds, "batches and bodies"):
            for batch in batches(rows):
                sync_body([row.body for row in batch])
        with _cpu(seconds, "of which cast"):
            for name, field in match.columns:
                cast_column(chunk.cells.column(name), field)


class _RowByRow:
    """The bodies that `_row_by_row` made, and the CPU seconds it took."""

    def __init__(self, bodies: list[bytes], seconds: float) -> None:
        self.bodies = bodies
        self.seconds = seconds


def _row_by_row(path: Path, mapping: LeadMapping) -> _RowByRow:
    seconds: Seconds = {}
    bodies, rows = [], []
    with _cpu(seconds, "all"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        for _, row in frame.iterrows():
            lead = {}
            for field in mapping.fields:
                value = row[field.column]
                if not pd.isna(value):
                    lead[field.field.name] = _plain_cast(value, field.field.data_type)
            rows.append(orjson.dumps(lead))
            if len(rows) == MAX_BATCH_ROWS:
                bodies.append(sync_body(rows))
                rows = []
        if rows:
            bodies.append(sync_body(rows))
    return _RowByRow(bodies, seconds["all"])


def _plain_cast(value: str, data_type: str) -> Any:
    match data_type:
        case "boolean":
            return value == "true"
        case "integer":
            return int(value)
        case "datetime":
            return datetime.fromisoformat(value).strftime("%Y-%m-%dT%H:%M:%SZ")
        case _:
            return value


def _same(bodies: list[bytes], path: Path, mapping: LeadMapping) -> None:
    """Raise AssertionError unless our bodies for the file are these, to the byte."""
    file = _fetch(path)
    match = match_header(file.header, mapping)
    scanned = scan(file, match.key_column)
    wanted = np.ones(scanned.row_count + 1, np.bool_)
    with Recorder(lambda _results, _duplicates: None) as recorder:
        task = RowsTask(file, match, mapping, scanned.row_count, wanted, scanned.superseded)
        ours = [
            sync_body([row.body for row in batch])
            for batch in batches(prepared_rows(task, wanted, scanned.superseded, recorder))
        ]
    assert ours == bodies, "the two ways make different request bodies"
