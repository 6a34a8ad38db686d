"""Batches of rows go to Marketo and come back as results, row by row.

The same key is never in two calls in flight: a file's rows reach this module with each key once (later rows win),
and only one run at a time writes leads (`marketo.limits.lead_write_lock`).
"""

from collections.abc import Sequence
from typing import Final

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import is_row_code, redact
from marketo_assets.marketo.leads import LeadResult, sync_leads
from marketo_assets.pump.rows import PreparedRow, RowResult

DUPLICATE_CODE: Final = "1007"
"""Several leads match the key: Marketo wrote none of them (fact sheet: error codes)."""


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
