"""The one table of paths, methods and handlers.

A handler answers at the end of its call. One that has to decide something on arrival has an `arrive` beside it, whose
outcome it finds as `call.plan`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lead_reads import LeadReads
from marketo_assets.sandbox.marketo.lead_removal import LeadRemoval
from marketo_assets.sandbox.marketo.lead_sync import LeadSync
from marketo_assets.sandbox.marketo.lists import StaticLists
from marketo_assets.sandbox.marketo.usage import Usage
from marketo_assets.sandbox.marketo.wire import ApiError, Call, Handler


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `path` below /rest/v1, `{name}` for an integer in it."""

    method: str
    path: str
    handler: Handler
    arrive: Callable[[Call], Any] | None = None


def build_routes(instance: Instance, usage: Usage) -> list[Route]:
    """Every endpoint of the instance but identity."""
    reads, sync, removal = LeadReads(instance), LeadSync(instance), LeadRemoval(instance)
    lists = StaticLists(instance)
    return [
        Route("GET", "/leads/describe.json", reads.describe),
        Route("GET", "/leads/describe2.json", reads.describe2),
        Route("GET", "/leads.json", reads.by_filter),
        Route("GET", "/lead/{id}.json", reads.by_id),
        Route("POST", "/leads.json", sync.finish, sync.arrive),
        Route("POST", "/leads/delete.json", removal.delete),
        Route("DELETE", "/leads.json", removal.delete),
        Route("POST", "/leads/{id}/merge.json", removal.merge),
        Route("GET", "/leads/partitions.json", removal.partitions),
        Route("POST", "/leads/partitions.json", removal.move_to_partition),
        Route("GET", "/lists.json", lists.find),
        Route("GET", "/lists/{id}.json", lists.by_id),
        Route("GET", "/lists/{id}/leads.json", lists.leads),
        Route("GET", "/list/{id}/leads.json", lists.leads),
        Route("POST", "/lists/{id}/leads.json", lists.add),
        Route("DELETE", "/lists/{id}/leads.json", lists.remove),
        Route("GET", "/lists/{id}/leads/ismember.json", lists.is_member),
        Route("GET", "/stats/usage.json", usage.usage),
        Route("GET", "/stats/usage/last7days.json", usage.usage_last_7_days),
        Route("GET", "/stats/errors.json", usage.errors),
        Route("GET", "/stats/errors/last7days.json", usage.errors_last_7_days),
    ]


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: list[Route]) -> None:
        """Paths without placeholders are found directly, the others in the table's order."""
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            methods = self._plain.setdefault(f"/rest/v1{route.path}", {})
            methods[route.method] = route
        for path in [path for path in self._plain if "{" in path]:
            pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d{1,15})", re.escape(path)), re.ASCII)
            self._patterns.append((pattern, self._plain.pop(path)))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the values in its path; None for an unknown path, 605 for a method it does not take."""
        methods = self._plain.get(path)
        values: dict[str, str] = {}
        if methods is None:
            for pattern, candidates in self._patterns:
                match = pattern.fullmatch(path)
                if match:
                    methods, values = candidates, match.groupdict()
                    break
        if methods is None:
            return None
        if method not in methods:
            raise ApiError("605", f"Request method '{method}' not supported")
        return methods[method], values
