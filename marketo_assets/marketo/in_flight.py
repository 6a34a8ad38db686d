"""Several calls at a time over a stream of work, outcomes in order, nothing that Marketo did forgotten."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import ceil
from typing import TypeVar

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


def in_flight(
    items: Iterable[_Item],
    send: Callable[[_Item], _Outcome],
    *,
    calls: int,
) -> Iterator[_Outcome]:
    """Apply `send` to the items in `calls` threads; outcomes in the order of the items.

    Items are taken only a little ahead of the calls, so memory does not grow with their number. When a call fails,
    no further one is begun; those in flight are waited for and their outcomes come first, then the error is raised:
    what Marketo did is never forgotten.
    """
    waiting: deque[Future[_Outcome]] = deque()
    with ThreadPoolExecutor(max_workers=calls, thread_name_prefix="marketo") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(send, item))
                if len(waiting) == calls + ceil(calls / 2):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except GeneratorExit:
            # The one who takes the outcomes has failed: nobody is there to be given the others.
            for future in waiting:
                future.cancel()
            raise
        except BaseException:
            # Also when the run is cancelled: what Marketo is doing now is to be recorded.
            for future in waiting:
                future.cancel()
            for future in waiting:
                if not future.cancelled() and future.exception() is None:
                    yield future.result()
            raise
