"""The one table of paths, methods and handlers.

A handler answers at the end of its call. One that has to decide something on arrival has an `arrive` beside it, whose
outcome it finds as `call.plan`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from marketo_assets.sandbox.marketo.activity_reads import ActivityReads
from marketo_assets.sandbox.marketo.activity_writes import ActivityWrites
from marketo_assets.sandbox.marketo.exports import EXPORT_KINDS, LISTED_KINDS, Exports
from marketo_assets.sandbox.marketo.field_schema import FieldSchema, is_of_company, is_of_lead
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lead_reads import LeadReads
from marketo_assets.sandbox.marketo.lead_removal import LeadRemoval
from marketo_assets.sandbox.marketo.lead_sync import LeadSync
from marketo_assets.sandbox.marketo.lists import StaticLists
from marketo_assets.sandbox.marketo.programs import Programs
from marketo_assets.sandbox.marketo.record_endpoints import OBJECT, Records
from marketo_assets.sandbox.marketo.usage import Usage
from marketo_assets.sandbox.marketo.wire import ApiError, Call, Handler

BULK: Final = "/bulk/v1"
_PLACEHOLDERS: Final = {
    "export_id": r"[^/]{1,100}",
    "field": r"[A-Za-z]\w{0,99}",
    OBJECT: r"(?!schema\b)[A-Za-z]\w{0,99}",
}
"""Those that are no integers."""


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `path` below `root`, `{name}` for an integer in it, or for what _PLACEHOLDERS says of that name."""

    method: str
    path: str
    handler: Handler
    arrive: Callable[[Call], Any] | None = None
    root: str = "/rest/v1"


def build_routes(instance: Instance, usage: Usage, exports: Exports, records: Records) -> list[Route]:
    """Every endpoint of the instance but identity."""
    reads, sync, removal = LeadReads(instance), LeadSync(instance), LeadRemoval(instance)
    lists, activities = StaticLists(instance), ActivityReads(instance)
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
        Route("GET", "/activities/pagingtoken.json", activities.paging_token),
        Route("GET", "/activities.json", activities.activities),
        Route("GET", "/activities/types.json", activities.types),
        Route("GET", "/activities/leadchanges.json", activities.lead_changes),
        Route("GET", "/activities/deletedleads.json", activities.deleted_leads),
        Route("POST", "/activities/external.json", ActivityWrites(instance).add),
        Route("GET", "/stats/usage.json", usage.usage),
        Route("GET", "/stats/usage/last7days.json", usage.usage_last_7_days),
        Route("GET", "/stats/errors.json", usage.errors),
        Route("GET", "/stats/errors/last7days.json", usage.errors_last_7_days),
        Route("GET", "/leads/programs/{id}.json", Programs(instance).leads),
        *_record_routes(records),
        *_field_routes("/leads", FieldSchema(instance, is_of_lead)),
        *_field_routes("/companies", FieldSchema(instance, is_of_company)),
        *_export_routes(exports),
    ]


def _record_routes(records: Records) -> list[Route]:
    routes = [Route("GET", "/customobjects.json", records.types)]
    for path in ("/companies", f"/customobjects/{{{OBJECT}}}"):
        routes += [
            Route("GET", f"{path}/describe.json", records.describe),
            Route("GET", f"{path}.json", records.find),
            Route("POST", f"{path}.json", records.sync),
            Route("POST", f"{path}/delete.json", records.delete),
        ]
    return routes


def _field_routes(path: str, schema: FieldSchema) -> list[Route]:
    return [
        Route("GET", f"{path}/schema/fields.json", schema.find),
        Route("GET", f"{path}/schema/fields/{{field}}.json", schema.by_name),
    ]


def _export_routes(exports: Exports) -> list[Route]:
    routes = [Route("GET", f"/{kind}/export.json", partial(exports.find, kind), root=BULK) for kind in LISTED_KINDS]
    for kind in EXPORT_KINDS:
        job = f"/{kind}/export/{{export_id}}"
        routes += [
            Route("POST", f"/{kind}/export/create.json", partial(exports.create, kind), root=BULK),
            Route("POST", f"{job}/enqueue.json", partial(exports.enqueue, kind), root=BULK),
            Route("GET", f"{job}/status.json", partial(exports.status, kind), root=BULK),
            Route("GET", f"{job}/file.json", partial(exports.file, kind), root=BULK),
            Route("POST", f"{job}/cancel.json", partial(exports.cancel, kind), root=BULK),
        ]
    return routes


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: list[Route]) -> None:
        """Paths without placeholders are found directly, the others in the table's order."""
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        for route in routes:
            methods = self._plain.setdefault(f"{route.root}{route.path}", {})
            methods[route.method] = route
        for path in [path for path in self._plain if "{" in path]:
            pattern = re.compile(re.sub(r"\\{(\w+)\\}", _placeholder, re.escape(path)), re.ASCII)
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


def _placeholder(match: re.Match[str]) -> str:
    name = match[1]
    return f"(?P<{name}>{_PLACEHOLDERS.get(name, r'[0-9]{1,15}')})"
