"""E-mails that several leads hold (1007): found 300 at a time, one lead chosen by policy, updated by id.

Marketo does not keep e-mails unique, and an upsert that matches two leads writes neither.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import TooManyMatchesError
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.marketo.leads import leads_by_filter, sync_leads
from marketo_assets.pump.reader import normalise_key
from marketo_assets.pump.rows import PreparedRow, RowResult, batches
from marketo_assets.pump.upsert import DUPLICATE_CODE, row_result, upsert

Policy = Literal["latest_updated", "oldest", "all", "reject"]


class Duplicate(NamedTuple):
    """One key that several leads hold, and what was chosen."""

    row_number: int
    key: str
    lead_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    policy: Policy


class Resolved(NamedTuple):
    """What became of a group of rows whose keys several leads hold."""

    results: list[RowResult]
    duplicates: list[Duplicate]


def resolve(
    client: MarketoClient,
    lookup_field: str,
    rows: Iterable[PreparedRow],
    *,
    policy: Policy,
    calls: int,
) -> Iterator[Resolved]:
    """Settle rows that were answered 1007, a batch of 300 at a time: about two calls a batch, not two a row.

    The rows' leads are read by the lookup field, the ones to write are chosen by `policy`, and written by id.
    A row whose key meanwhile fits one lead or none is upserted as usual.
    """
    return in_flight(
        batches(rows),
        lambda batch: _resolve_batch(client, lookup_field, batch, policy),
        calls=calls,
    )


def _resolve_batch(
    client: MarketoClient,
    lookup_field: str,
    batch: Sequence[PreparedRow],
    policy: Policy,
) -> Resolved:
    # A filter's values are separated by commas, so a key that holds one cannot be asked for (fact sheet: read).
    if commas := [row for row in batch if "," in row.key]:
        rest = [row for row in batch if "," not in row.key]
        refused = [_not_resolved(row, "rejected", "the key holds a comma: it cannot be looked up") for row in commas]
        return _joined(Resolved(refused, []), _resolve_batch(client, lookup_field, rest, policy) if rest else None)
    try:
        leads = _leads_by_key(client, lookup_field, batch)
    except TooManyMatchesError:
        if len(batch) == 1:
            return Resolved([_not_resolved(batch[0], "rejected", "over 1,000 leads hold the key")], [])
        half = len(batch) // 2
        return _joined(
            _resolve_batch(client, lookup_field, batch[:half], policy),
            _resolve_batch(client, lookup_field, batch[half:], policy),
        )
    several = [row for row in batch if len(leads.get(row.key, ())) > 1]
    one_or_none = [row for row in batch if len(leads.get(row.key, ())) <= 1]
    results = upsert(client, lookup_field, one_or_none) if one_or_none else []
    duplicates = [_choose(row, leads[row.key], policy) for row in several]
    if policy == "reject":
        results += [
            _not_resolved(row, "skipped", "several leads hold the key; the policy is `reject`") for row in several
        ]
    else:
        results += _update_by_id(client, lookup_field, several, duplicates)
    return Resolved(results, duplicates)


def _joined(one: Resolved, other: Resolved | None) -> Resolved:
    return one if other is None else Resolved(one.results + other.results, one.duplicates + other.duplicates)


def _not_resolved(row: PreparedRow, status: Literal["rejected", "skipped"], reason: str) -> RowResult:
    return RowResult(row.row_number, row.key, status, DUPLICATE_CODE, reason)


def _leads_by_key(
    client: MarketoClient,
    lookup_field: str,
    rows: Sequence[PreparedRow],
) -> dict[str, list[dict[str, Any]]]:
    # Asked for as the row spells it: only here are keys folded.
    keys = [orjson.loads(row.body)[lookup_field] for row in rows]
    leads: dict[str, list[dict[str, Any]]] = {}
    for lead in leads_by_filter(client, lookup_field, keys, ["id", lookup_field, "createdAt", "updatedAt"]):
        leads.setdefault(normalise_key(str(lead[lookup_field])), []).append(lead)
    return leads


def _choose(row: PreparedRow, leads: Sequence[dict[str, Any]], policy: Policy) -> Duplicate:
    """Pick by the policy; equal times are settled by id, so that a second run picks the same lead."""
    by_age = sorted(leads, key=lambda lead: (lead["createdAt"], lead["id"]))
    chosen = {
        "latest_updated": [max(leads, key=lambda lead: (lead["updatedAt"], lead["id"]))],
        "oldest": by_age[:1],
        "all": by_age,
        "reject": [],
    }[policy]
    return Duplicate(
        row.row_number,
        row.key,
        tuple(lead["id"] for lead in by_age),
        tuple(lead["id"] for lead in chosen),
        policy,
    )


def _update_by_id(
    client: MarketoClient,
    lookup_field: str,
    rows: Sequence[PreparedRow],
    duplicates: Sequence[Duplicate],
) -> list[RowResult]:
    updates = [
        row._replace(body=_body_by_id(row.body, lookup_field, lead_id))
        for row, duplicate in zip(rows, duplicates, strict=True)
        for lead_id in duplicate.chosen_ids
    ]
    results: dict[int, RowResult] = {}
    for batch in batches(updates):
        outcomes = sync_leads(client, [row.body for row in batch], action="updateOnly", lookup_field="id")
        for row, outcome in zip(batch, outcomes, strict=True):
            result = row_result(row, outcome)
            # Under the policy `all` a row has several leads: it is updated only when each of them is.
            if row.row_number not in results or result.status != "updated":
                results[row.row_number] = result
    return list(results.values())


def _body_by_id(body: bytes, lookup_field: str, lead_id: int) -> bytes:
    fields = orjson.loads(body)
    del fields[lookup_field]
    return orjson.dumps({"id": lead_id, **fields})
