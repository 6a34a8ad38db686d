"""A past of activities for an instance to start with: invented, reproducible, over the leads that exist.

More on working days than at weekends and by day than by night, sendings of mails in bursts, some leads far more active
than others, some activities committed only hours or days after they happened. What happens is in activity_deck.py.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, groupby, pairwise

from marketo_assets.sandbox.marketo.activity_deck import Card, Deck, lasting, make_deck
from marketo_assets.sandbox.marketo.activity_store import PastActivity
from marketo_assets.sandbox.marketo.activity_types import SHORT_LIVED_TYPES
from marketo_assets.sandbox.marketo.instance import Instance

LATE_SHARE = 0.02
"""Share of the activities that are committed later than they happen, where no other is asked for."""
_EARLIEST_LATE = 600
_LATEST_LATE = 48 * 3600
_ACTIVE = 3
"""How unequal leads are: the most active tenth has nearly half of the activities."""
_WEEKDAYS = (1.0, 1.2, 1.15, 1.1, 0.9, 0.25, 0.2)
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 12, 11, 12, 13, 12, 10, 8, 7, 6, 5, 4, 3, 2)
"""UTC."""
_SENDING_HOURS = range(8, 16)
_SENDING_CHANCE = 0.1
"""For each such hour of a working day."""
_SENDING_WEIGHT = 30.0
_SENDING_SECONDS = 600
_HOUR = 3600
_DAY = 86_400
_FRIDAY = 4
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of time within a clock hour, and how much happens in it."""

    start: int
    seconds: int
    weight: float
    is_sending: bool = False


def fill_activities(instance: Instance, count: int, days: int, seed: int, late_share: float) -> int:
    """Add `count` activities of the past `days` days; see Emulator.fill_activities. ValueError where no lead is."""
    draws = random.Random(seed)
    leads = instance.store.lead_ids()
    if not leads:
        raise ValueError("there are no leads to have activities; add leads first")
    draws.shuffle(leads)
    now = instance.now()
    stretches = list(_stretches(now - days * _DAY, now, draws))
    chunk: list[PastActivity] = []
    for activities in _activities(stretches, count, leads, _decks(instance, seed), late_share, draws):
        chunk += activities
        if len(chunk) >= _CHUNK:
            _store(instance, chunk)
            chunk = []
    _store(instance, chunk)
    return count


def lateness(draws: random.Random) -> int:
    """How many seconds after it happened a late activity is committed: ten minutes to two days, mostly some hours."""
    return int(_EARLIEST_LATE * (_LATEST_LATE / _EARLIEST_LATE) ** draws.random())


def _decks(instance: Instance, seed: int) -> Callable[[_Stretch], list[Card]]:
    """The cards for a stretch. Where the short-lived types would be gone again at once, there are none of them."""
    deck, days = make_deck(instance, seed), instance.options.short_lived_activity_days
    old = Deck(lasting(deck.all, SHORT_LIVED_TYPES), lasting(deck.mail, SHORT_LIVED_TYPES))
    oldest = 0 if days is None else instance.now() - days * _DAY

    def cards(stretch: _Stretch) -> list[Card]:
        dealt = old if stretch.start < oldest else deck
        return dealt.mail if stretch.is_sending else dealt.all

    return cards


def _stretches(start: int, end: int, draws: random.Random) -> Iterator[_Stretch]:
    """Every clock hour between two times, cut at both ends, and the sendings within them."""
    for hour in range(start - start % _HOUR, end, _HOUR):
        begin, stop = max(hour, start), min(hour + _HOUR, end)
        at = datetime.fromtimestamp(hour, UTC)
        yield _Stretch(begin, stop - begin, _WEEKDAYS[at.weekday()] * _HOURS[at.hour] * (stop - begin) / _HOUR)
        if at.weekday() <= _FRIDAY and at.hour in _SENDING_HOURS and draws.random() < _SENDING_CHANCE:
            yield _Stretch(begin, min(_SENDING_SECONDS, stop - begin), _SENDING_WEIGHT, is_sending=True)


def _activities(
    stretches: Sequence[_Stretch],
    count: int,
    leads: Sequence[int],
    cards_of: Callable[[_Stretch], list[Card]],
    late_share: float,
    draws: random.Random,
) -> Iterator[list[PastActivity]]:
    """The activities by the clock hour of their commit, in its order."""
    last = stretches[-1].start + stretches[-1].seconds - 1
    late: dict[int, list[PastActivity]] = defaultdict(list)
    counts = _allot(count, [stretch.weight for stretch in stretches])
    chance = draws.random
    for hour, group in groupby(zip(stretches, counts, strict=True), key=lambda pair: pair[0].start // _HOUR):
        activities = late.pop(hour, [])
        for stretch, number in group:
            cards = cards_of(stretch)
            for _ in range(number):
                at = committed = stretch.start + int(chance() * stretch.seconds)
                if chance() < late_share:
                    committed = min(at + lateness(draws), last)
                lead = leads[int(chance() ** _ACTIVE * len(leads))]
                activity = (committed, at, lead, *cards[int(chance() * len(cards))])
                (activities if committed // _HOUR == hour else late[committed // _HOUR]).append(activity)
        activities.sort()
        yield activities


def _allot(count: int, weights: Sequence[float]) -> list[int]:
    """`count` shared out by weight, to the last one."""
    sums = [0.0, *accumulate(weights)]
    marks = [round(count * part / sums[-1]) for part in sums]
    return [stop - start for start, stop in pairwise(marks)]


def _store(instance: Instance, chunk: list[PastActivity]) -> None:
    with instance.store.transaction():
        instance.store.add_past_activities(chunk)
