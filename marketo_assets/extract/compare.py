"""One day read by both routes, to see whether they give the same activities. Stores none of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from marketo_assets.extract.bulk_route import windows_exported
from marketo_assets.extract.csv_file import read_activities
from marketo_assets.extract.load import LoadTask, read_beyond
from marketo_assets.extract.windows import Window


@dataclass(frozen=True)
class Agreement:
    """Activities of a day by the routes that gave them."""

    both: int
    only_bulk: int
    only_rest: int


def compare_routes(task: LoadTask, day: date) -> Agreement:
    """Costs an export job and the calls of the day and of those after it in which late ones may have arrived.

    Raises what the client raises.
    """
    window = Window(day, day)
    by_bulk: set[str] = set()
    for file in windows_exported(task.exports, [window]):
        by_bulk |= _guids(read_activities(file.path, rows=file.job.record_count), day)
        task.jobs.abandon(file.job.export_id, "compared with REST")
        file.path.unlink()
    by_rest: set[str] = set()
    for rows in read_beyond(task, window):
        by_rest |= _guids(rows.tables(), day)
        rows.remove()
    return Agreement(len(by_bulk & by_rest), len(by_bulk - by_rest), len(by_rest - by_bulk))


def _guids(tables: Iterable[pa.Table], day: date) -> set[str]:
    return {
        guid
        for table in tables
        for guid, at in zip(table["marketo_guid"].to_pylist(), table["activity_date"].to_pylist(), strict=True)
        if at.date() == day
    }
