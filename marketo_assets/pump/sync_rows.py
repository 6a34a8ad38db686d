"""One file's rows become leads: what is left of it is sent, duplicates are resolved, every row is settled."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from marketo_assets.config import PumpConfig
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.pump.duplicates import Resolved, resolve
from marketo_assets.pump.mapping import LeadMapping
from marketo_assets.pump.reader import CsvFile, chunks
from marketo_assets.pump.recorder import Recorder
from marketo_assets.pump.rows import (
    HeaderMatch,
    PreparedRow,
    RowResult,
    batches,
    prepare,
    select,
    too_large,
)
from marketo_assets.pump.upsert import DUPLICATE_CODE, upsert

_TOO_LARGE_REASON: Final = "the row is over 1 MB as JSON, more than Marketo takes in one call"


@dataclass(frozen=True)
class RowsTask:
    """All that is known of a file before its rows are sent."""

    csv_file: CsvFile
    match: HeaderMatch
    mapping: LeadMapping
    row_count: int
    unsettled: npt.NDArray[np.bool_]
    """By row number (index 0 unused): rows that no earlier run of the file has settled."""
    superseded: npt.NDArray[np.bool_]
    """By row number: the same key comes again later, in this file or in a newer one."""


@dataclass
class Unsent:
    """Rows that Marketo neither took nor refused, by code: another run sends them again."""

    codes: dict[str, int] = field(default_factory=dict)

    def add(self, code: str | None) -> None:
        """Count one row."""
        self.codes[code or "no_reason"] = self.codes.get(code or "no_reason", 0) + 1


def sync_rows(task: RowsTask, pump: PumpConfig, client: MarketoClient, recorder: Recorder, *, calls: int) -> Unsent:
    """Send the unsettled rows of a file and hand every settled one to the recorder.

    Each key is in one call only. Memory does not grow with the file but for one bit a row.
    Raises what the client raises, after everything that Marketo answered has been handed over.
    """
    lookup_field = task.mapping.key.field.name
    several = np.zeros(task.row_count + 1, np.bool_)
    unsent = Unsent()

    def settle(results: list[RowResult]) -> None:
        done = []
        for result in results:
            if result.status != "unsent":
                done.append(result)
            elif result.code == DUPLICATE_CODE:
                several[result.row_number] = True
            else:
                unsent.add(result.code)
        recorder.add(done)

    first_pass = batches(prepared_rows(task, task.unsettled, task.superseded, recorder))
    for results in in_flight(first_pass, lambda batch: upsert(client, lookup_field, batch), calls=calls):
        settle(results)
    if several.any():
        # The rows are read again rather than kept: their number has no bound.
        again = prepared_rows(task, several, np.zeros_like(several), recorder)
        for resolved in resolve(client, lookup_field, again, policy=pump.duplicates, calls=calls):
            _settle_resolved(resolved, recorder, unsent)
    return unsent


def _settle_resolved(resolved: Resolved, recorder: Recorder, unsent: Unsent) -> None:
    done = [result for result in resolved.results if result.status != "unsent"]
    for result in resolved.results:
        if result.status == "unsent":
            unsent.add(result.code)
    settled = {result.row_number for result in done}
    recorder.add(done, [duplicate for duplicate in resolved.duplicates if duplicate.row_number in settled])


def prepared_rows(
    task: RowsTask,
    wanted: npt.NDArray[np.bool_],
    superseded: npt.NDArray[np.bool_],
    recorder: Recorder,
) -> Iterator[PreparedRow]:
    """The wanted rows of the file that can be sent; those that cannot are handed to the recorder on the way."""
    for chunk in chunks(task.csv_file, [name for name, _ in task.match.columns]):
        to_send, settled = prepare(select(chunk, wanted), task.match, task.mapping, superseded)
        settled += [
            RowResult(row.row_number, row.key, "rejected", "row_too_large", _TOO_LARGE_REASON)
            for row in to_send
            if too_large(row)
        ]
        recorder.add(settled)
        yield from (row for row in to_send if not too_large(row))
