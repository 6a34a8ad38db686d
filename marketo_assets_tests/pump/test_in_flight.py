"""Calls in flight and the thread that records.

Guards against: outcomes of calls that were made being forgotten when another one fails, memory that grows with the
file, and a ledger that fails without a word.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.pump.recorder import FLUSH_ROWS, Recorder
from marketo_assets.pump.rows import RowResult
from marketo_assets.sandbox.marketo import Emulator, EmulatorTransport
from marketo_assets_tests.pump.conftest import PumpWorld


def results(first: int, count: int) -> list[RowResult]:
    return [RowResult(number, f"key{number}", "created") for number in range(first, first + count)]


def test_outcomes_come_in_order_and_items_are_taken_only_a_little_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    outcomes = []
    for outcome in in_flight(items(), lambda number: number * 10, calls=3):
        outcomes.append(outcome)
        assert len(taken) <= len(outcomes) + 2 * 3
    assert outcomes == [number * 10 for number in taken]
    assert len(outcomes) == 1000


def test_never_more_calls_at_once_than_allowed() -> None:
    lock, meeting = threading.Lock(), threading.Barrier(4)
    now = most = 0

    def send(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        meeting.wait(timeout=10)
        with lock:
            now -= 1

    list(in_flight(range(40), send, calls=4))
    assert most == 4


def test_when_a_call_fails_those_in_flight_are_reported_first_and_no_further_one_is_begun() -> None:
    failed, sent = threading.Event(), []

    def send(number: int) -> int:
        sent.append(number)
        if number == 2:
            failed.set()
            raise RuntimeError("2")
        if number > 2:
            assert failed.wait(timeout=10)
        return number

    outcomes: list[int] = []
    flight = in_flight(range(1000), send, calls=3)
    with pytest.raises(RuntimeError, match="2"):
        outcomes.extend(flight)
    assert sorted([*outcomes, 2]) == sorted(sent)
    assert len(sent) < 20


def test_an_error_while_reading_the_items_still_reports_what_was_sent() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise RuntimeError("unreadable")

    outcomes: list[int] = []
    sent: list[int] = []

    def send(number: int) -> int:
        sent.append(number)
        return number

    with pytest.raises(RuntimeError, match="unreadable"):
        outcomes.extend(in_flight(items(), send, calls=4))
    assert sorted(outcomes) == sorted(sent)


def test_results_are_recorded_in_chunks_and_the_rest_at_the_end_even_after_an_error() -> None:
    recorded: list[int] = []

    def fill_and_fail() -> None:
        with Recorder(lambda rows, _: recorded.append(len(rows))) as recorder:
            recorder.add(results(1, FLUSH_ROWS - 1))
            recorder.add(results(FLUSH_ROWS, 1))
            recorder.add(results(FLUSH_ROWS + 1, 7))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_and_fail()
    assert recorded == [FLUSH_ROWS, 7]


def test_a_ledger_that_fails_stops_the_run() -> None:
    def fail(*_: object) -> None:
        raise OSError("the warehouse is gone")

    def fill() -> None:
        with Recorder(fail) as recorder:
            for first in range(1, 10 * FLUSH_ROWS, FLUSH_ROWS):
                recorder.add(results(first, FLUSH_ROWS))

    with pytest.raises(OSError, match="the warehouse is gone"):
        fill()


def test_a_run_that_is_cancelled_begins_no_further_call_and_reports_those_in_flight() -> None:
    in_call, go_on, sent = threading.Barrier(3), threading.Event(), []

    def items() -> Iterator[int]:
        yield from range(2)
        in_call.wait(timeout=10)
        go_on.set()
        raise KeyboardInterrupt

    def send(number: int) -> int:
        sent.append(number)
        in_call.wait(timeout=10)
        go_on.wait(timeout=10)
        return number

    outcomes: list[int] = []

    def take() -> None:
        for outcome in in_flight(items(), send, calls=2):
            outcomes.append(outcome)  # noqa: PERF402 - extend() would lose them all when the cancellation comes

    with pytest.raises(KeyboardInterrupt):
        take()
    assert sorted(sent) == [0, 1]
    assert outcomes == [0, 1]


def test_one_key_is_never_in_two_calls_at_once(world: PumpWorld) -> None:
    """Overlapping upserts of one new e-mail create two leads in Marketo."""
    spy = KeysInFlight(world.emulator)
    world.marketo = replace(world.marketo, transport=lambda _: spy)
    world.load()
    spellings = [
        f"{blank}{name}{number % 500}@example.com" for number in range(3000) for name, blank in [CASES[number % 3]]
    ]
    content = "email_address,first_name\n" + "".join(f"{email},{at}\n" for at, email in enumerate(spellings))
    told = world.metadata(world.sync_one(content.encode()))
    assert (told["created"], told["superseded"]) == (500, 2500)
    assert spy.most_at_once > 1, "the calls must overlap for this to say anything"
    assert spy.twice == set()
    assert world.emulator.lead_count() == 500


CASES = [("user", ""), ("USER", " "), ("User", "")]


class KeysInFlight(EmulatorTransport):
    """Notes which keys are in flight, and holds the first calls until others have come."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._lock, self._second = threading.Lock(), threading.Event()
        self._keys: list[set[str]] = []
        self.most_at_once = 0
        self.twice: set[str] = set()

    def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
        if not (request.method == "POST" and request.path_url == "/rest/v1/leads.json"):
            return super().send(request, *arguments, **more)
        keys = {row["email"].casefold() for row in orjson.loads(request.body)["input"]}
        with self._lock:
            for others in self._keys:
                self.twice |= keys & others
            self._keys.append(keys)
            self.most_at_once = max(self.most_at_once, len(self._keys))
            if len(self._keys) > 1:
                self._second.set()
        self._second.wait(timeout=10)
        try:
            return super().send(request, *arguments, **more)
        finally:
            with self._lock:
                self._keys.remove(keys)
