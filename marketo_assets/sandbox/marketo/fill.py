"""Existing leads for an instance to start with: invented, reproducible, some addresses held by several leads."""

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.store import StoredLead

CHUNK = 5_000
OLDEST_LEAD_DAYS = 60
"""Filled leads are half as old to as old."""
_FIRST = ("Ada", "Grace", "Linus", "Margaret", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken")
_LAST = ("Byron", "Hopper", "Torvald", "Hamilton", "Turin", "Dijk", "Liskow", "Knut", "Perlmann", "Thomson")
_COUNTRIES = ("Germany", "France", "India", "Japan", "Brazil", "United States", "Kenya", "Canada")


def fill_leads(instance: Instance, count: int, emails: Iterable[str] | None, duplicate_share: float, seed: int) -> int:
    """Add `count` leads in a few large transactions; see Emulator.fill."""
    draws = random.Random(seed)
    leads = islice(_leads(instance, emails, duplicate_share, draws), count)
    email_position = instance.fields.position["email"]
    added = 0
    while chunk := list(islice(leads, CHUNK)):
        with instance.store.transaction():
            for lead, lead_id in zip(chunk, instance.store.new_lead_ids(len(chunk)), strict=True):
                lead.id = lead.values[instance.fields.position["id"]] = lead_id
            instance.store.insert_leads(chunk, email_position)
        added += len(chunk)
    return added


def _leads(
    instance: Instance, emails: Iterable[str] | None, duplicate_share: float, draws: random.Random
) -> Iterator[StoredLead]:
    start = instance.store.next_lead_id
    for email in emails if emails is not None else _invented(start):
        holders = draws.choice((2, 3)) if draws.random() < duplicate_share else 1
        for _ in range(holders):
            yield _lead(instance, email, draws)


def _invented(start: int) -> Iterator[str]:
    number = start
    while True:
        yield f"lead{number:08d}@example.test"
        number += 1


def _lead(instance: Instance, email: str, draws: random.Random) -> StoredLead:
    position = instance.fields.position
    created = instance.now() - draws.randrange(OLDEST_LEAD_DAYS * 43_200, OLDEST_LEAD_DAYS * 86_400)
    updated = created + draws.randrange(OLDEST_LEAD_DAYS * 43_200)
    values: list[Any] = list(instance.fields.blank)
    for name, value in (
        ("email", email),
        ("firstName", draws.choice(_FIRST)),
        ("lastName", draws.choice(_LAST)),
        ("country", draws.choice(_COUNTRIES)),
        ("leadSource", "Import"),
        ("leadPartitionId", 1),
    ):
        values[position[name]] = value
    return StoredLead(0, created, updated, updated, values)
