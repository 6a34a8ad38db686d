"""Batches of rows go to Marketo, several calls at a time, and come back as results, row by row.

The same key is never in two calls in flight: a file's rows reach this module with each key once (later rows win),
and only one run at a time writes leads (`marketo.limits.lead_write_lock`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import is_row_code, redact
from marketo_assets.marketo.leads import LeadResult, sync_leads
from marketo_assets.pump.rows import PreparedRow, RowResult

DUPLICATE_CODE: Final = "1007"
"""Several leads match the key: Marketo wrote none of them (fact sheet: error codes)."""

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


def upsert(client: MarketoClient, lookup_field: str, batch: Sequence[PreparedRow]) -> list[RowResult]:
    """Send one batch by `createOrUpdate`; results in the order of the rows."""
    outcomes = sync_leads(client, [row.body for row in batch], lookup_field=lookup_field)
    return [row_result(row, outcome) for row, outcome in zip(batch, outcomes, strict=True)]


def row_result(row: PreparedRow, outcome: LeadResult) -> RowResult:
    """What Marketo said of a row, in the ledger's words.

    A row that Marketo skipped is rejected if the code says that the row is at fault, and otherwise unsent: 1007 until
    its duplicates are resolved, anything else until another run.
    """
    if outcome.status != "skipped":
        return RowResult(row.row_number, row.key, outcome.status, lead_id=outcome.lead_id)
    code = outcome.code or "no_reason"
    at_fault = is_row_code(code) and code != DUPLICATE_CODE
    return RowResult(
        row.row_number,
        row.key,
        "rejected" if at_fault else "unsent",
        code,
        redact(outcome.message or "Marketo gave no reason"),
    )


def in_flight(
    items: Iterable[_Item],
    send: Callable[[_Item], _Outcome],
    *,
    calls: int,
) -> Iterator[_Outcome]:
    """Apply `send` to the items in `calls` threads; outcomes in the order of the items.

    Items are taken only a little ahead of the calls, so memory does not grow with their number. When a call fails,
    no further one is begun; those in flight are waited for and their outcomes come first, then the error is raised:
    what Marketo did is never forgotten.
    """
    waiting: deque[Future[_Outcome]] = deque()
    with ThreadPoolExecutor(max_workers=calls, thread_name_prefix="marketo") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(send, item))
                if len(waiting) == 2 * calls:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except GeneratorExit:
            # The one who takes the outcomes has failed: nobody is there to be given the others.
            for future in waiting:
                future.cancel()
            raise
        except BaseException:
            # Also when the run is cancelled: what Marketo is doing now is to be recorded.
            for future in waiting:
                future.cancel()
            for future in waiting:
                if not future.cancelled() and future.exception() is None:
                    yield future.result()
            raise
