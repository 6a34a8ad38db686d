"""What becomes of a lead of the mirror, given the lead as Marketo has it. Pure; no I/O."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from marketo_assets.sync.mirror import Lead

_WORD_NULL: Final = "null"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison says, and the row to be stored, if any.

    completed: some fields were not mirrored yet when the lead was read. left: it has changed since, which is the feed's
    to tell.
    """

    kind: Literal["agrees", "inserted", "repaired", "completed", "revived", "left"]
    lead: Lead | None = None
    fields: tuple[str, ...] = ()
    """Those that differed."""


def judge(before: Lead | None, now: Lead, as_of: datetime, ended: Container[int]) -> Verdict:
    """Compare the mirror's row with Marketo's lead; `now` holds at least what had happened by `as_of`.

    `ended`: leads that were deleted or merged at that time or later.
    """
    if before is None:
        return Verdict("left") if now.lead_id in ended else Verdict("inserted", now)
    is_older = unchanged_since(before, as_of)
    if not before.is_live:
        is_back = is_older and now.lead_id not in ended
        return Verdict("revived", _replaced(before, now, ())) if is_back else Verdict("left")
    differing = tuple(name for name, value in now.fields.items() if _differs(before, name, value))
    lacking = {name: value for name, value in now.fields.items() if name not in before.fields}
    if is_older and differing:
        return Verdict("repaired", _replaced(before, now, differing), differing)
    if lacking:
        # No change of such a field has been applied, or it would be there: the value is the newest known.
        before.fields |= lacking
        return Verdict("completed", before)
    return Verdict("left" if differing else "agrees")


def unchanged_since(lead: Lead, moment: datetime) -> bool:
    """Whether nothing is known of the lead from that time on."""
    return lead.as_of < moment and all(datetime.fromisoformat(time) < moment for time in lead.field_times.values())


def _differs(before: Lead, name: str, value: str | None) -> bool:
    if name not in before.fields or before.fields[name] == value:
        return False
    # A file has the word null for no value and for the word (fact: Bulk Extract, "File content").
    return not (value is None and before.fields[name] == _WORD_NULL)


def _replaced(before: Lead, now: Lead, differing: tuple[str, ...]) -> Lead:
    words = {name: _WORD_NULL for name, value in before.fields.items() if value == _WORD_NULL}
    fields = {name: words.get(name) if value is None else value for name, value in now.fields.items()}
    times = before.field_times | dict.fromkeys(differing, now.as_of.isoformat())
    return Lead(now.lead_id, fields, max(before.as_of, now.as_of), times)
