"""The emulator itself: lets calls in, runs them, answers; independent of HTTP servers and clients.

Endpoints live in the modules of their themes (routes.py has the table), what is done without a call in direct.py.
A call has a beginning, where limits are checked and matches decided, and an end, where its work is done; between the
two lies its latency.
"""

from dataclasses import dataclass, replace

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.direct import DirectAccess
from marketo_assets.sandbox.marketo.exports import Exports
from marketo_assets.sandbox.marketo.faults import ERROR_TEXTS, Fault, FaultPlan
from marketo_assets.sandbox.marketo.identity import TOKEN_PATH, Identity
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


class Emulator(DirectAccess):
    """One emulated Marketo instance. Thread-safe."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        """Opens the state; `close` it in the end."""
        super().__init__(options, clock)
        self._usage = Usage(self._instance.store, clock)
        self._limits = Limits(options, self._usage)
        self._identity = Identity(options, self._instance.store, clock)
        self._exports = Exports(self._instance)
        self._router = Router(build_routes(self._instance, self._usage, self._exports, self._records))
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
        super()._catch_up()
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
