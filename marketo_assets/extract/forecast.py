"""Which route a closed day takes, and which days today's quotas still allow. Pure.

Bulk extract costs a handful of calls however much there is, but shares 500 MB a day with everybody; Get Lead Activities
costs a call for each 300 activities of any type, and for each group of ten types again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Final, Literal

from marketo_assets.extract.store import History
from marketo_assets.extract.windows import Window, windows

Route = Literal["bulk", "rest"]

BYTES_PER_DAY: Final = 500_000_000
"""What all bulk extract jobs of a day may come to together (fact: Bulk Extract, "Daily volume")."""

ROWS_PER_CALL: Final = 300

CALLS_PER_JOB: Final = 10
"""What a job costs: to create, to enqueue, to look at some times, to fetch its file."""

BYTES_PER_ROW: Final = 400
"""Assumed until a first job has said how long a row is here."""


@dataclass(frozen=True)
class Quotas:
    """What is left of the day, by our own count and Marketo's."""

    bytes_left: int
    calls_left: int


@dataclass(frozen=True)
class PlannedWindow:
    """Days that are read together, how, and why so."""

    window: Window
    route: Route
    reason: str


@dataclass(frozen=True)
class Plan:
    """What can be read today, oldest first, and the days that cannot."""

    windows: tuple[PlannedWindow, ...]
    left_over: tuple[date, ...] = ()
    reason: str = ""
    """Why days are left over."""


def plan(days: Sequence[date], history: History, quotas: Quotas, *, groups: int, late_days: int) -> Plan:
    """`route: auto` for closed days. `groups`: of activity types; `late_days`: read beyond them by REST."""
    days = sorted(days)
    if history.rows_per_day is None:
        return _unmeasured(days, quotas)
    bytes_per_day = history.rows_per_day * (history.bytes_per_row or BYTES_PER_ROW)
    calls_per_day = groups * (ceil(history.rows_per_day / ROWS_PER_CALL) + 1)

    def rest_calls(of: Sequence[date]) -> int:
        return calls_per_day * sum(len(window.days) + late_days for window in windows(of))

    if days and rest_calls(days) <= min(CALLS_PER_JOB, quotas.calls_left):
        reason = f"about {rest_calls(days)} calls, no more than a job would cost"
        return Plan(tuple(PlannedWindow(window, "rest", reason) for window in windows(days)))
    fitting = min(len(days), int(quotas.bytes_left / bytes_per_day) if bytes_per_day else len(days))
    if not fitting and quotas.bytes_left >= BYTES_PER_DAY:
        # Larger than the whole quota: Marketo asks what is left before a job, not after, and tomorrow is no better.
        fitting = min(1, len(days))
    by_bulk, others = days[:fitting], days[fitting:]
    reason = f"about {_mb(bytes_per_day * len(by_bulk))} of {_mb(quotas.bytes_left)} left today"
    planned = [PlannedWindow(window, "bulk", reason) for window in windows(by_bulk)]
    calls_left = quotas.calls_left - CALLS_PER_JOB * len(planned)
    by_rest = others
    while by_rest and rest_calls(by_rest) > calls_left:
        by_rest = by_rest[:-1]
    reason = (
        f"about {_mb(bytes_per_day * len(others))} more than the {_mb(quotas.bytes_left)} left today;"
        f" by REST about {rest_calls(by_rest)} of {quotas.calls_left} calls left"
    )
    planned += [PlannedWindow(window, "rest", reason) for window in windows(by_rest)]
    return Plan(
        tuple(planned),
        tuple(others[len(by_rest) :]),
        f"{_mb(quotas.bytes_left)} and {quotas.calls_left} calls are left today; these days need about"
        f" {_mb(bytes_per_day)} or {calls_per_day} calls each",
    )


def _unmeasured(days: Sequence[date], quotas: Quotas) -> Plan:
    if quotas.bytes_left <= 0:
        return Plan((), tuple(days), "no bulk extract is left today, and how large these days are is unknown")
    reason = f"how large these days are is unknown; {_mb(quotas.bytes_left)} left today"
    return Plan(tuple(PlannedWindow(window, "bulk", reason) for window in windows(days)))


def _mb(size: float) -> str:
    return f"{size / 1_000_000:,.1f} MB"
