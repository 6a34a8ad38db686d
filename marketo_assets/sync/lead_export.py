"""What is ordered of Marketo for a reconciliation: all leads, by the time of their creation, and the jobs for it."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from marketo_assets.extract.bulk_route import Exports, Order, abandon
from marketo_assets.extract.export_jobs import LEADS
from marketo_assets.extract.windows import Window, windows
from marketo_assets.marketo.bulk_extract import lead_export_body

KEPT_SECONDS: Final = 6 * 86_400
"""How old a file may be that an earlier run left behind: Marketo keeps files for 7 days. A reconciliation that needs
more than one day's quota finds the files of the days before again; the feed tells what has changed since."""


def all_leads(columns: Sequence[str], until: datetime) -> Order:
    """Leads with these columns, created before `until`, a whole second: what is yet to come is not asked for."""
    digest = hashlib.sha256(",".join(columns).encode()).hexdigest()[:16]
    return Order(
        "leads",
        f"{LEADS}{digest}",
        lambda window: lead_export_body(window.start, min(window.end, until), columns),
        KEPT_SECONDS,
    )


def windows_until(start: date, until: datetime) -> list[Window]:
    """All days from `start` on, in windows that are the same on every later day but for the last of them."""
    last = (until - timedelta(seconds=1)).date()
    return list(windows(start + timedelta(days=number) for number in range((last - start).days + 1)))


def abandon_useless_jobs(exports: Exports, wanted: Collection[Window], feed_begins: datetime | None) -> None:
    """Give up the jobs of earlier runs that asked for something else, or are older than the feed, and their files.

    What has changed between such a job and the beginning of the feed, nobody would tell.
    """
    for job in exports.jobs.open_leads():
        created_at: datetime = job["created_at"].replace(tzinfo=UTC)
        if job["name"] != exports.order.name:
            abandon(exports, job["export_id"], "the fields have changed")
        elif Window(job["first_day"], job["last_day"]) not in wanted:
            abandon(exports, job["export_id"], "its window has changed")
        elif feed_begins is not None and created_at < feed_begins:
            abandon(exports, job["export_id"], "it is older than the feed")
