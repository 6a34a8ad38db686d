"""Setting values of a stored lead, whoever does it: a sync, a merge, the lead's company."""

from itertools import compress
from operator import ne
from typing import Any, NamedTuple

from marketo_assets.sandbox.marketo.fields import ReadRow
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.store import StoredLead


class LeadChange(NamedTuple):
    """What is different now: positions in the stored lead, and the values there before and after."""

    positions: list[int]
    old: list[Any]
    new: list[Any]


def change_lead(instance: Instance, lead: StoredLead, row: ReadRow, now: int) -> LeadChange | None:
    """Set the values of a row; None where they are those of the lead already. Storing the lead is left to do."""
    positions, values = row
    before = [lead.values[position] for position in positions]
    if before == values:
        return None
    differs = list(map(ne, before, values))
    changed, new = list(compress(positions, differs)), list(compress(values, differs))
    for position, value in zip(changed, new, strict=True):
        lead.values[position] = value
    lead.changed = now
    if not instance.fields.standard.isdisjoint(changed):
        lead.updated = now
    return LeadChange(changed, list(compress(before, differs)), new)
