"""The emulator itself: lets calls in, runs them, answers; independent of HTTP servers and clients.

Endpoints live in the modules of their themes (routes.py has the table). A call has a beginning, where limits are
checked and matches decided, and an end, where its work is done; between the two lies its latency.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.activities import any_activity, expand
from marketo_assets.sandbox.marketo.activity_fill import LATE_SHARE, fill_activities
from marketo_assets.sandbox.marketo.activity_time import ActivityTime
from marketo_assets.sandbox.marketo.activity_types import ActivityType
from marketo_assets.sandbox.marketo.exports import Exports
from marketo_assets.sandbox.marketo.faults import ERROR_TEXTS, Fault, FaultPlan
from marketo_assets.sandbox.marketo.fill import fill_leads
from marketo_assets.sandbox.marketo.identity import TOKEN_PATH, Identity
from marketo_assets.sandbox.marketo.instance import open_instance, show_lead
from marketo_assets.sandbox.marketo.limits import UNCOUNTED_CODES, Limits
from marketo_assets.sandbox.marketo.options import MAX_BODY_BYTES, MAX_ROWS, MAX_URI_BYTES, EmulatorOptions
from marketo_assets.sandbox.marketo.routes import Route, Router, build_routes
from marketo_assets.sandbox.marketo.usage import Usage
from marketo_assets.sandbox.marketo.wire import (
    ApiError,
    Call,
    Reply,
    Request,
    error_body,
    is_form,
    is_json,
    pack,
    read_parameters,
    success_body,
)

_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(eq=False, slots=True)
class PendingCall:
    """A call between its beginning and its end. Made by Emulator.begin alone."""

    request: Request
    request_id: str
    delay: float
    """Seconds to let pass before the end."""
    fault: Fault | None = None
    reply: Reply | None = None
    """Known already where the call was refused on arrival."""
    route: Route | None = None
    call: Call | None = None
    in_flight: bool = False


class Emulator:
    """One emulated Marketo instance. Thread-safe."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        """Opens the state; `close` it in the end."""
        self.options = options
        self.clock = clock
        self._lock = threading.RLock()
        self._instance = open_instance(options, clock)
        self._time = ActivityTime(self._instance)
        self._usage = Usage(self._instance.store, clock)
        self._limits = Limits(options, self._usage)
        self._identity = Identity(options, self._instance.store, clock)
        self._exports = Exports(self._instance)
        self._router = Router(build_routes(self._instance, self._usage, self._exports))
        self._faults = FaultPlan(options.faults)
        self._late: list[tuple[float, PendingCall]] = []
        self._requests = 0

    def handle(self, request: Request) -> Reply:
        """One whole call: waits its latency on the emulator's clock."""
        pending = self.begin(request)
        if pending.delay:
            self.clock.sleep(pending.delay)
        return self.finish(pending)

    def begin(self, request: Request) -> PendingCall:
        """A request arrives: sizes, token, limits, faults, matches."""
        with self._lock:
            self._catch_up()
            self._requests += 1
            request_id = f"{self._requests & 0xFFFFF:x}#{int(self.clock.now() * 1000):x}"
            pending = PendingCall(request, request_id, self.options.latency_ms / 1000)
            if len(request.path) + len(request.query) > MAX_URI_BYTES:
                pending.reply = _plain(414, "URI Too Long")
            elif len(request.body) > MAX_BODY_BYTES:
                pending.reply = _plain(413, "Request Entity Too Large")
            else:
                self._route(pending)
            return pending

    def finish(self, pending: PendingCall) -> Reply:
        """The end of a call: its work, then its answer or what a fault makes of it."""
        with self._lock:
            if pending.in_flight:
                self._limits.in_flight -= 1
                pending.in_flight = False
            kind = pending.fault.kind if pending.fault is not None else None
            if kind == "reset_before_write":
                return Reply(0, {}, b"", pending.delay, "reset")
            if pending.reply is None and _is_answered_early(pending.fault):
                pending.reply = self._fault_reply(pending)
            reply = pending.reply or self._work(pending)
            if kind == "reset_after_write":
                return Reply(0, {}, b"", pending.delay, "reset")
            if kind in {"error", "http_502"} and not _is_answered_early(pending.fault):
                reply = self._fault_reply(pending)
            headers, body = pack(pending.request, reply.body, reply.headers["Content-Type"])
            if kind == "truncated_json":
                headers, body = dict(reply.headers), reply.body[: len(reply.body) // 2]
            return replace(reply, headers={**reply.headers, **headers}, body=body, delay=pending.delay)

    def finish_later(self, pending: PendingCall, seconds: float) -> None:
        """For a call whose client has gone: its work is done all the same, so many seconds from now."""
        with self._lock:
            self._late.append((self.clock.monotonic() + seconds, pending))

    def fill(
        self, leads: int, emails: Iterable[str] | None = None, *, duplicate_share: float = 0.02, seed: int = 0
    ) -> int:
        """Add existing leads, of a past year, without activities; the number added.

        `emails` gives one lead each its address, in order, instead of invented ones. `duplicate_share` of the
        addresses are held by two or three leads. The same arguments make the same leads.
        """
        with self._lock:
            return fill_leads(self._instance, leads, emails, duplicate_share, seed)

    def fill_activities(self, count: int, days: int, *, seed: int = 0, late_share: float = LATE_SHARE) -> int:
        """Add activities of the past `days` days, up to now, of usual types over the leads there are; the number added.

        `late_share` of them were committed ten minutes to two days after they happened, the others at once. Where
        activities are there already, the new ones come after them in the order of commit: they are all late then.
        The same arguments at the same time make the same activities. ValueError where no lead is.
        """
        with self._lock:
            self._catch_up()
            return fill_activities(self._instance, count, days, seed, late_share)

    def add_activities(
        self,
        type_id: int,
        lead_ids: Iterable[int],
        at: float,
        *,
        attributes: Mapping[str, Any] | None = None,
        primary: str | None = None,
        primary_id: int | None = None,
        campaign_id: int | None = None,
    ) -> list[int]:
        """One activity for each of these leads, committed now; their ids, which are their marketoGUIDs as numbers.

        `at`: when they happened, epoch seconds, ValueError if that is to come. The values are kept as they are. No
        lead and no type has to exist.
        """
        with self._lock:
            self._catch_up()
            store, now = self._instance.store, self._instance.now()
            if at > now:
                raise ValueError(f"an activity at {at} has not happened yet: it is {now}")
            detail = orjson.dumps(any_activity(attributes or {}, primary, primary_id, campaign_id))
            first = store.next_activity_id
            with store.transaction():
                store.add_past_activities((now, int(at), lead_id, type_id, detail) for lead_id in lead_ids)
            return list(range(first, store.next_activity_id))

    def put_activity_type(self, activity_type: ActivityType) -> None:
        """Add an activity type, or change the one with its id, until the emulator is closed."""
        with self._lock:
            self._instance.activity_types.put(activity_type)

    def remove_activity_type(self, type_id: int) -> None:
        """Take an activity type away until the emulator is closed; its activities stay. KeyError if there is none."""
        with self._lock:
            self._instance.activity_types.remove(type_id)

    def activities_made(self) -> int:
        """How many activities there have ever been, those included that are past their retention."""
        with self._lock:
            self._catch_up()
            return self._instance.store.next_activity_id - 1

    def lead_count(self) -> int:
        """How many leads there are."""
        with self._lock:
            self._catch_up()
            return self._instance.store.lead_count()

    def leads(self, fields: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every lead, ascending by id, with these fields or all that are not empty."""
        with self._lock:
            self._catch_up()
            stored = list(self._instance.store.all_leads())
        names = list(fields) if fields is not None else [field.name for field in self._instance.fields.fields]
        for lead in stored:
            shown = show_lead(self._instance, lead, names)
            yield shown if fields is not None else {name: value for name, value in shown.items() if value is not None}

    def activities(self, type_id: int | None = None) -> Iterator[dict[str, Any]]:
        """Every activity, in the order of their commit, of one type or all."""
        position = 1
        while True:
            with self._lock:
                self._catch_up()
                events = self._instance.store.activities_from(position)
            for event in events:
                if type_id in {None, event.type}:
                    yield from expand(event, self._instance.fields, self.options.api_user)
            if not events:
                return
            position = events[-1].id + events[-1].size

    def calls(self) -> int:
        """Calls counted today (US Central)."""
        with self._lock:
            return self._usage.calls_today()

    def errors(self) -> dict[str, int]:
        """Calls that failed as a whole today (US Central), by code."""
        with self._lock:
            return self._usage.errors_today()

    def close(self) -> None:
        """End what is still under way and close the state."""
        with self._lock:
            for _, pending in self._late:
                self.finish(pending)
            self._late.clear()
            self._exports.close()
            self._instance.store.close()

    def _route(self, pending: PendingCall) -> None:
        request = pending.request
        parameters = read_parameters(request)
        method = _method(request, parameters)
        pending.fault = self._faults.pick(method, request.path)
        if pending.fault is not None:
            pending.delay += pending.fault.seconds if pending.fault.kind == "slow" else 0.0
            if pending.fault.kind == "expired_token":
                self._identity.expire(request)
        if request.path != TOKEN_PATH:
            try:
                self._let_in(pending, method, parameters)
            except ApiError as error:
                pending.reply = self._failed(pending, error)

    def _let_in(self, pending: PendingCall, method: str, parameters: dict[str, list[str]]) -> None:
        request = pending.request
        self._identity.check(request, parameters)
        found = self._router.find(method, request.path)
        if not _is_uncounted(pending.fault):
            arrived = self.clock.monotonic() if request.arrived is None else request.arrived
            self._limits.count(self.options.api_user, arrived)
        self._limits.in_flight += 1
        pending.in_flight = True
        if found is None:
            raise ApiError("610", "Requested resource not found")
        if request.body and not is_json(request) and not (is_form(request) and method != request.method):
            raise ApiError("612", "Invalid Content Type")
        pending.route, path_values = found
        user, fault = self.options.api_user, pending.fault
        pending.call = Call(request, pending.request_id, user, path_values, parameters, MAX_ROWS, fault)
        if pending.route.arrive is not None and not _is_answered_early(pending.fault):
            pending.call.plan = pending.route.arrive(pending.call)

    def _work(self, pending: PendingCall) -> Reply:
        if pending.route is None or pending.call is None:
            return self._identity.give_token(pending.request)
        with self._instance.store.transaction():
            try:
                answer = pending.route.handler(pending.call)
            except ApiError as error:  # raised before anything is written, so that there is nothing to roll back
                return self._failed(pending, error)
        if isinstance(answer, Reply):
            return answer
        return _json(success_body(pending.request_id, answer))

    def _fault_reply(self, pending: PendingCall) -> Reply:
        fault = pending.fault
        if fault is None or fault.kind == "http_502":
            return Reply(502, {"Content-Type": "text/html"}, _BAD_GATEWAY)
        code = fault.code or ""
        return self._failed(pending, ApiError(code, fault.message or ERROR_TEXTS.get(code, "Fault")))

    def _failed(self, pending: PendingCall, error: ApiError) -> Reply:
        self._usage.count_error(error.code)
        return _json(error_body(pending.request_id, error.code, error.message))

    def _catch_up(self) -> None:
        """What has happened by now without a call."""
        self._time.catch_up()
        self._finish_late()

    def _finish_late(self) -> None:
        now = self.clock.monotonic()
        due = [entry for entry in self._late if entry[0] <= now]
        self._late = [entry for entry in self._late if entry[0] > now]
        for _, pending in sorted(due, key=lambda entry: entry[0]):
            self.finish(pending)


def _method(request: Request, parameters: dict[str, list[str]]) -> str:
    """The method a request stands for: `_method` of a POST's query or form body tells another."""
    given = parameters.get("_method")
    return given[0].upper() if request.method == "POST" and given else request.method


def _is_answered_early(fault: Fault | None) -> bool:
    return fault is not None and fault.kind in {"error", "http_502"} and not fault.after_write


def _is_uncounted(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "error" and fault.code in UNCOUNTED_CODES


def _json(body: bytes) -> Reply:
    return Reply(200, {"Content-Type": "application/json;charset=UTF-8"}, body)


def _plain(status: int, text: str) -> Reply:
    return Reply(status, {"Content-Type": "text/plain"}, text.encode())
