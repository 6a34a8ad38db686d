"""Marketo's own count of the calls made today, by everybody."""

from typing import TYPE_CHECKING, Final

from marketo_assets.marketo.errors import ReplyError, quota_day

if TYPE_CHECKING:  # the client reads the usage itself, through this module
    from marketo_assets.marketo.client import MarketoClient

USAGE_PATH: Final = "/rest/v1/stats/usage.json"


def calls_used_today(client: "MarketoClient") -> int:
    """Calls of all API users in the current quota day (US Central).

    A figure for another day counts as none: around midnight Marketo may still show yesterday's.
    """
    today = quota_day(client.clock.now()).isoformat()
    envelope = client.request("GET", USAGE_PATH)
    try:
        return sum(int(day["total"]) for day in envelope.result if day.get("date", today) == today)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ReplyError("shape", "a day without a total", USAGE_PATH, envelope.request_id) from None
