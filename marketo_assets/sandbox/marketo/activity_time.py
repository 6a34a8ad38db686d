"""What passing time does to the activities of an instance: live ones come, those past their retention go.

Nothing runs by itself: the emulator asks for it at the beginning of every call and look, which nobody can tell from
activities that came when their time was.
"""

import math
import random
from collections.abc import Iterator

from marketo_assets.sandbox.marketo.activities import DELETE_LEAD
from marketo_assets.sandbox.marketo.activity_deck import Deck, make_deck
from marketo_assets.sandbox.marketo.activity_fill import LATE_SHARE, lateness
from marketo_assets.sandbox.marketo.activity_store import PastActivity
from marketo_assets.sandbox.marketo.activity_types import SHORT_LIVED_TYPES
from marketo_assets.sandbox.marketo.instance import Instance

_DAY = 86_400
_LONGEST_PAUSE = 31 * _DAY
"""A state that rested longer gets its live activities of so many days."""
_LIVE_UNTIL = "live_activities_until"


class ActivityTime:
    """Keeps the activities of one instance in step with its clock."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance; goes on from what its state remembers."""
        self._instance = instance
        self._per_second = instance.options.live_activities_per_minute / 60
        now = instance.now()
        self._live_until = max(int(instance.store.meta(_LIVE_UNTIL) or now), now - _LONGEST_PAUSE)
        self._purged_day = -1
        self._deck: Deck | None = None

    def catch_up(self) -> None:
        """Make the activities those of the present moment."""
        now = self._instance.now()
        if self._per_second and now > self._live_until:
            self._grow(now)
        if now // _DAY != self._purged_day:
            self._purge(now)

    def _grow(self, now: int) -> None:
        if self._deck is None:
            self._deck = make_deck(self._instance, seed=0)
        store = self._instance.store
        with store.transaction():
            store.add_past_activities(self._live(self._deck, self._live_until, now))
            store.set_meta(_LIVE_UNTIL, str(now))
        self._live_until = now

    def _live(self, deck: Deck, after: int, until: int) -> Iterator[PastActivity]:
        """The same activities for the same times, however often one asks; none while there are no leads."""
        for number in range(math.floor(after * self._per_second) + 1, math.floor(until * self._per_second) + 1):
            draws = random.Random(number)
            lead_id = self._instance.store.lead_id_from(draws.randrange(self._instance.store.next_lead_id))
            if lead_id is not None:
                committed = min(math.ceil(number / self._per_second), until)
                at = committed - (lateness(draws) if draws.random() < LATE_SHARE else 0)
                yield (committed, at, lead_id, *draws.choice(deck.all))

    def _purge(self, now: int) -> None:
        self._purged_day = now // _DAY
        options = self._instance.options
        with self._instance.store.transaction():
            for types, days in (
                ([DELETE_LEAD], options.deleted_lead_days),
                (SHORT_LIVED_TYPES, options.short_lived_activity_days),
            ):
                if days is not None:
                    self._instance.store.purge_activities(types, now - days * _DAY)
