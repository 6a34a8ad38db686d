"""Days and windows of time: what one job or one chain of pages covers. Pure; all of it in UTC.

A day is a partition. It is as long as its UTC day, whatever the clocks on the wall do that night.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

MAX_DAYS: Final = 31
"""The longest span of one bulk job (fact: Bulk Extract, "Date span")."""

MAX_TYPES: Final = 10
"""Activity types that one call of Get Lead Activities takes."""


@dataclass(frozen=True, order=True)
class Window:
    """Whole days, one after the other: from 00:00 of `first` to 00:00 after `last`."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """Inclusive."""
        return midnight(self.first)

    @property
    def end(self) -> datetime:
        """Exclusive."""
        return midnight(self.last + timedelta(days=1))

    @property
    def days(self) -> Sequence[date]:
        """Each day of it, oldest first."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def midnight(day: date) -> datetime:
    """The moment at which a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def is_closed(day: date, now: datetime) -> bool:
    """Whether the day is over."""
    return midnight(day + timedelta(days=1)) <= now


def windows(days: Iterable[date], most_days: int = MAX_DAYS) -> Iterator[Window]:
    """Days brought together into windows of at most `most_days`, each without a gap, oldest first."""
    run: list[date] = []
    for day in sorted(set(days)):
        if run and (day - run[-1] > timedelta(days=1) or len(run) == most_days):
            yield Window(run[0], run[-1])
            run = []
        run.append(day)
    if run:
        yield Window(run[0], run[-1])


def type_groups(type_ids: Iterable[int]) -> list[tuple[int, ...]]:
    """Type ids in groups that one call takes, always the same for the same ids."""
    ordered = sorted(set(type_ids))
    return [tuple(ordered[start : start + MAX_TYPES]) for start in range(0, len(ordered), MAX_TYPES)]
