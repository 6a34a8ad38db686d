"""Who wins a field: both sides' values, and what each side had when they were last in step. Pure; no I/O.

Each side is compared with its own past, never with the other's, so two sides that differ for good reasons (a value
that Marketo refused, one that the warehouse does not take over) stay at rest until one of them changes. That is also
why our own write, coming back as a change, is no news: it is what Marketo was left with.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from marketo_assets.config_sync import Winner
from marketo_assets.sync.canonical import value_hash

Action = Literal["rest", "push", "pull"]


class Base(NamedTuple):
    """Hashes of one field when the two sides were last in step."""

    warehouse: str
    marketo: str
    taking: str = ""
    """Of the value of Marketo's that the contact table was about to take over, until it is known to have it: found
    there after a kill, it is nobody's change."""
    sending: tuple[str, ...] = ()
    """Of the values that were on their way to Marketo, until it is known to have one: found there, they are ours."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one lead, now. `says` is false where the warehouse has no opinion: a null that clears nothing."""

    name: str
    says: bool
    ours: str | None
    theirs: str | None

    @property
    def our_hash(self) -> str:
        """Of the warehouse's value; no opinion is a value of its own."""
        return value_hash(self.name, self.ours) if self.says else NO_OPINION

    @property
    def their_hash(self) -> str:
        """Of Marketo's value."""
        return value_hash(self.name, self.theirs)

    @property
    def now(self) -> Base:
        """As the two sides stand."""
        return Base(self.our_hash, self.their_hash)

    @property
    def pushed(self) -> Base:
        """As they stand once Marketo has taken the warehouse's value."""
        return Base(self.our_hash, self.our_hash)


NO_OPINION: Final = "-"


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a field. `winner` is set for a conflict: both sides have changed since they were in step."""

    action: Action
    winner: Literal["warehouse", "marketo"] | None = None


_REST: Final = Decision("rest")


def decide(
    field: Field, base: Base | None, rule: Winner, our_time: datetime | None, their_time: datetime | None
) -> Decision:
    """`base` is None at the first meeting of contact and lead: then the rule decides where both have a value.

    Times decide where the rule is `latest`: the contact's last change, and that of the field in Marketo (naive UTC;
    None if it was never seen to change). The warehouse wins a tie.
    """
    if field.says and field.ours == field.theirs:
        return _REST
    if field.says and base is None and field.theirs is None and their_time is None:
        # Nobody emptied it: it was never filled, perhaps because it was hidden when the lead was made.
        return Decision("push")
    they_changed = base is None or field.their_hash not in {base.marketo, *base.sending}
    if not field.says:
        return Decision("pull") if they_changed else _REST
    we_changed = base is None or field.our_hash not in {base.warehouse, base.taking}
    if not we_changed:
        return Decision("pull") if they_changed else _REST
    if not they_changed:
        return Decision("push")
    is_later = our_time is not None and their_time is not None and our_time >= their_time
    ours_win = rule == "warehouse" or (rule == "latest" and is_later)
    winner: Literal["warehouse", "marketo"] = "warehouse" if ours_win else "marketo"
    return Decision("push" if ours_win else "pull", None if base is None else winner)
