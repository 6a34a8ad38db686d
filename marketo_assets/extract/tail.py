"""The open end of the stream: read from the stored paging token to the last page, the token moving with its rows."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any, Final

from marketo_assets.extract.rest_route import EDGE, ROWS_AT_ONCE
from marketo_assets.extract.rows import from_rest
from marketo_assets.extract.store import ActivityStore, DayCounts, Watermark
from marketo_assets.extract.windows import midnight
from marketo_assets.marketo.activities import activity_pages, paging_token
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import PagingTokenError

OVERLAP: Final = timedelta(hours=1)
"""How far before the last reading a new token begins, when Marketo no longer takes the stored one."""


def read_tail(
    client: MarketoClient,
    store: ActivityStore,
    type_ids: Sequence[int],
    first_day: date,
    exclusive: Callable[[], AbstractContextManager[None]],
) -> DayCounts:
    """Store all that has been committed since the last reading; the first one begins with `first_day`.

    A token that Marketo refuses is replaced by one from the time stored beside it; raises PagingTokenError if that is
    refused as well.
    """
    stream = "activities/" + ",".join(map(str, type_ids))
    mark = store.watermark(stream)
    since = mark.read_until if mark else midnight(first_day) - EDGE
    token = mark.token if mark else paging_token(client, since)
    counts = DayCounts()
    is_fresh = mark is None
    while True:
        try:
            _to_the_end(client, store, stream, Watermark(token, since), type_ids, exclusive, counts)
        except PagingTokenError:
            mark = store.watermark(stream)
            if is_fresh or mark is None:
                raise
            since, is_fresh = mark.read_until - OVERLAP, True
            token = paging_token(client, since)
        else:
            return counts


def _to_the_end(
    client: MarketoClient,
    store: ActivityStore,
    stream: str,
    mark: Watermark,
    type_ids: Sequence[int],
    exclusive: Callable[[], AbstractContextManager[None]],
    counts: DayCounts,
) -> None:
    """From the watermark to the last page, in a few large transactions."""
    waiting: list[dict[str, Any]] = []
    asked_at = utc_now(client.clock)
    for page in activity_pages(client, mark.token, type_ids):
        waiting += page.activities
        if len(waiting) >= ROWS_AT_ONCE or not page.more:
            with exclusive(), store.added(from_rest(waiting)) as added:
                # Never past what is stored: a run killed here reads these pages again. The time moves at the end
                # alone: after days without a poll, a page in the middle is as old as they are.
                store.move_watermark(stream, Watermark(page.next_token, mark.read_until if page.more else asked_at))
            counts.add(added)
            waiting = []
        asked_at = utc_now(client.clock)
