"""Guards against one call too many in a window, slots that stay taken, and a day's budget that is overdrawn."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import QuotaExhaustedError, TokenError, TransientError
from marketo_assets.marketo.limits import ApiBudget, ApiLimits, lead_write_lock

NewBudget = Callable[..., ApiBudget]


@pytest.fixture
def new_budget(tmp_path: Path, clock: VirtualClock) -> Iterator[NewBudget]:
    """Budgets over one state directory, as several processes have them."""
    with ExitStack() as stack:

        def new(**limits: float) -> ApiBudget:
            budget = ApiBudget(tmp_path / "state", ApiLimits(**limits), clock)  # type: ignore[arg-type] # ints and floats mixed
            stack.callback(budget.close)
            return budget

        yield new


def test_the_window_is_never_over_full_and_nearly_used_up(new_budget: NewBudget, clock: VirtualClock) -> None:
    budgets = [new_budget(), new_budget(), new_budget()]
    started = clock.now()
    stamps: list[float] = []
    while clock.now() < started + 10 * 20:
        with budgets[len(stamps) % 3].call():
            stamps.append(clock.now())
    assert all(later - earlier > 20 for earlier, later in zip(stamps, stamps[100:], strict=False))
    in_ten_windows = sum(stamp < started + 10 * 20 for stamp in stamps)
    assert in_ten_windows >= 0.97 * 10 * 100


def test_half_a_window_goes_at_once_and_the_other_half_later(new_budget: NewBudget, clock: VirtualClock) -> None:
    budget, started = new_budget(), clock.now()
    for _ in range(50):
        with budget.call() as waited:
            assert waited == 0
    for _ in range(50):
        with budget.call():
            assert 6 < clock.now() - started < 7
    with budget.call() as waited:
        assert 20 < clock.now() - started < 20.5


def test_the_window_outlives_the_process(new_budget: NewBudget, clock: VirtualClock) -> None:
    first, started = new_budget(), clock.now()
    for _ in range(100):
        with first.call():
            pass
    first.close()
    with new_budget().call():
        assert 20 < clock.now() - started < 20.5


def test_a_clock_set_back_does_not_stop_the_calls_for_an_hour(new_budget: NewBudget, tmp_path: Path) -> None:
    ahead = new_budget()
    for _ in range(100):
        with ahead.call():
            pass
    ahead.rate_exceeded()
    hour_ago = VirtualClock(ahead._clock.now() - 3600)
    behind = ApiBudget(tmp_path / "state", ApiLimits(), hour_ago)
    with behind.call() as waited:
        assert 20 < waited < 42
    behind.close()


def test_ten_slots_are_shared_and_given_back(new_budget: NewBudget) -> None:
    one, other = new_budget(concurrent_calls=2), new_budget(concurrent_calls=2)
    entered = threading.Event()

    def third() -> None:
        with other.call():
            entered.set()

    waiting = threading.Thread(target=third)
    with one.call():
        with one.call():
            waiting.start()
            assert not entered.wait(0.2)
        assert entered.wait(10)
    waiting.join()


def test_a_slot_is_given_back_when_its_call_fails(new_budget: NewBudget) -> None:
    budget = new_budget(concurrent_calls=1)
    for _ in range(3):
        with pytest.raises(TransientError), budget.call():
            raise TransientError("502", "", "/x")


def test_the_day_ends_at_the_reserve(new_budget: NewBudget) -> None:
    budget = new_budget(calls_per_day=1000, reserve_for_others=0.2)
    budget.check_day("/x", lambda: 795)
    for _ in range(5):
        budget.check_day("/x", lambda: 795)
        with budget.call():
            pass
    with pytest.raises(QuotaExhaustedError, match="800 calls are used today; 800 of 1000 are ours to use") as caught:
        new_budget(calls_per_day=1000, reserve_for_others=0.2).check_day("/x", lambda: 0)
    assert caught.value.resume_at == datetime(2026, 3, 5, 6, tzinfo=UTC)


def test_the_calls_that_are_left_leave_the_reserve_out(new_budget: NewBudget) -> None:
    budget = new_budget(calls_per_day=1000, reserve_for_others=0.2)
    assert budget.calls_left(lambda: 795) == 5
    with budget.call():
        pass
    assert budget.calls_left(lambda: 795) == 4
    budget.quota_exhausted()
    assert budget.calls_left(lambda: 795) == -200


def test_usage_is_asked_for_now_and_then(new_budget: NewBudget, clock: VirtualClock) -> None:
    budgets = [new_budget(), new_budget()]
    asked: list[float] = []

    def usage() -> int:
        asked.append(clock.now())
        return 10

    for _ in range(70):
        for budget in budgets:
            budget.check_day("/x", usage)
        clock.advance(60)
    assert len(asked) == 7


def test_the_calls_of_others_count(new_budget: NewBudget, clock: VirtualClock) -> None:
    budget = new_budget()
    budget.check_day("/x", lambda: 10)
    clock.advance(601)
    with pytest.raises(QuotaExhaustedError):
        budget.check_day("/x", lambda: 40_000)


def test_a_figure_that_lags_does_not_give_calls_back(new_budget: NewBudget, clock: VirtualClock) -> None:
    budget = new_budget(calls_per_day=50, reserve_for_others=0)
    budget.check_day("/x", lambda: 40)
    for _ in range(10):
        with budget.call():
            pass
    clock.advance(601)
    with pytest.raises(QuotaExhaustedError):
        budget.check_day("/x", lambda: 41)


def test_a_new_day_is_a_new_budget(new_budget: NewBudget, clock: VirtualClock) -> None:
    budget = new_budget()
    budget.quota_exhausted()
    with pytest.raises(QuotaExhaustedError) as caught:
        budget.check_day("/x", lambda: 0)
    clock.advance(caught.value.resume_at.timestamp() - clock.now() - 1)
    with pytest.raises(QuotaExhaustedError):
        budget.check_day("/x", lambda: 0)
    clock.advance(1)
    budget.check_day("/x", lambda: 0)


def test_usage_that_cannot_be_read_leaves_our_own_count(
    new_budget: NewBudget, caplog: pytest.LogCaptureFixture
) -> None:
    budget = new_budget(calls_per_day=3, reserve_for_others=0)

    def fails() -> int:
        raise TransientError("502", "", "/x")

    for _ in range(3):
        budget.check_day("/x", fails)
        with budget.call():
            pass
    with pytest.raises(QuotaExhaustedError):
        budget.check_day("/x", fails)
    assert caplog.text.count("calls used today are unknown (502)") == 1


def test_refused_credentials_are_not_taken_for_unknown_usage(new_budget: NewBudget) -> None:
    def refused() -> int:
        raise TokenError("invalid_client", "", "/x")

    with pytest.raises(TokenError):
        new_budget().check_day("/x", refused)


def test_one_process_at_a_time_writes_leads(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="marketo_assets.marketo")
    order = []

    def second() -> None:
        with lead_write_lock(tmp_path, clock):
            order.append("second")

    started = clock.now()
    with lead_write_lock(tmp_path, clock):
        waiting = threading.Thread(target=second)
        waiting.start()
        while clock.now() < started + 5:  # the other one has asked five times in vain
            pass
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
    assert caplog.text.count("another process holds lead-writes") == 1
