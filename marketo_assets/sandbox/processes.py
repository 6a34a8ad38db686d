"""Starts and stops the stand-ins, each in a process of its own, and says by which variables they are reached.

Does not belong here: what a stand-in does (snowflake.py, s3.py, marketo/) and what a user sees of it (command.py).
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from marketo_assets.sandbox.marketo.options import EmulatorOptions

LOOPBACK = "127.0.0.1"
DATABASE, SCHEMA = "MARKETO_ASSETS", "MARKETO"
SOURCE_DATABASE, SOURCE_SCHEMA = "PROD", "PUMPS_SENSITIVE"
BUCKET, PREFIX = "marketing-data-pump", "pump"

MARKETO_STATE = "marketo.sqlite"
"""The local Marketo's file in the state folder."""

CUSTOM_OBJECTS = Path(__file__).with_name("custom_objects.yaml")
"""Those that marketo.yaml brings into step."""

DAYS = 30
"""How many days the activities are spread over where nobody says."""

SHORTEST_POLL_SECONDS = 0.5
"""Between two looks at an export job; otherwise it is looked at as often as its status refreshes."""

START_SECONDS = 60.0
FILLED_PER_SECOND = 20_000
"""Leads and activities, on a slow machine."""
STOP_SECONDS = 10.0
TAIL_LINES = 20


class SandboxError(RuntimeError):
    """A stand-in did not start, or ended by itself; the message holds the end of its log."""


class Server:
    """One stand-in in a child process: `module.serve(listener, **settings)` behind a socket that is bound here.

    Binding it here means that the port is known at once and that nobody else can take it in between. The child ends
    when `stop` is called or when this process ends in whatever way (see child.py).
    """

    def __init__(
        self,
        name: str,
        module: str,
        settings: dict[str, Any],
        log: Path,
        port: int = 0,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Start it without waiting. `port` 0 takes any free one. Raises SandboxError if `port` is taken.

        `start_seconds`: how long it may take until it serves.
        """
        self.name = name
        self._start_seconds = start_seconds
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = log.with_suffix(".tmp")  # its own, so that nothing stays in /tmp after a kill -9
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        try:
            listener = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise SandboxError(f"{name}: port {port} of {LOOPBACK} cannot be used: {error.strerror}") from error
        readable, writable = os.pipe()
        self._ready = os.fdopen(readable, "rb", buffering=0)
        with listener, log.open("ab") as output, os.fdopen(writable, "wb") as ready:
            self.port = int(listener.getsockname()[1])
            self._log_start = output.tell()
            fds = [listener.fileno(), ready.fileno()]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "marketo_assets.sandbox.child", module, *map(str, fds)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                env=os.environ | {"TMPDIR": str(self._scratch)},
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops its children in order
            )
        assert self._process.stdin is not None  # noqa: S101 - PIPE above; said for the type checker
        self._lifeline = self._process.stdin
        with suppress(BrokenPipeError):  # it is gone already; `check` says so
            self._lifeline.write(json.dumps(settings).encode() + b"\n")
            self._lifeline.flush()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Return once it serves. SandboxError if it ends before that, or takes longer than `timeout` seconds.

        None: as long as was said when it was started.
        """
        if self._ready.closed:
            return
        timeout = self._start_seconds if timeout is None else timeout
        if not select.select([self._ready], [], [], timeout)[0]:
            raise SandboxError(f"{self.name} did not start within {timeout:g} s. {self._tail()}")
        if not self._ready.read(1):  # closed at the other end: the process is gone, or about to be
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self.check()
        self._ready.close()

    def check(self) -> None:
        """Raise SandboxError with the end of the log if it is no longer running."""
        code = self._process.poll()
        if code is not None:
            raise SandboxError(f"{self.name} ended by itself with exit code {code}. {self._tail()}")

    def ask_to_stop(self) -> None:
        """Tell it to end, without waiting for it."""
        with suppress(BrokenPipeError):  # it is gone already
            self._lifeline.close()

    def stop(self) -> None:
        """Tell it to end and wait until it has; killed after STOP_SECONDS."""
        self.ask_to_stop()
        self._ready.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n  ".join([f"End of {self.log}:", *(lines or ["(empty)"])])


def stop_like_ctrl_c() -> None:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, so that a `with Sandbox` ends in order.

    SIGINT too: a shell without a terminal starts what it puts in the background with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def snowflake_server(directory: Path, log: Path, databases: dict[str, list[str]], port: int = 0) -> Server:
    """Start the local Snowflake; its databases are files in `directory`."""
    settings = {"directory": str(directory), "databases": databases}
    return Server("Snowflake", "marketo_assets.sandbox.snowflake", settings, log, port)


def s3_server(file: Path | None, log: Path, buckets: list[str], port: int = 0) -> Server:
    """Start the local S3; its objects are kept in `file`, or with None in memory alone."""
    settings = {"file": None if file is None else str(file), "buckets": buckets}
    return Server("S3", "marketo_assets.sandbox.s3", settings, log, port)


def marketo_server(
    options: EmulatorOptions, log: Path, *, leads: int = 0, activities: int = 0, days: int = DAYS, port: int = 0
) -> Server:
    """Start the local Marketo, filled up to `leads` leads and, over the past `days` days, `activities` activities."""
    settings = {
        "options": asdict(options) | {"state": None if options.state is None else str(options.state)},
        "leads": leads,
        "activities": activities,
        "days": days,
    }
    seconds = START_SECONDS + (leads + activities) / FILLED_PER_SECOND
    return Server("Marketo", "marketo_assets.sandbox.marketo_server", settings, log, port, seconds)


def snowflake_environment(port: int, database: str = DATABASE, schema: str = SCHEMA) -> dict[str, str]:
    """The variables by which the local Snowflake on `port` is reached. It takes any user and password."""
    return {
        "SNOWFLAKE_ACCOUNT": "fakesnow",
        "SNOWFLAKE_USER": "local",
        "SNOWFLAKE_PASSWORD": "local",
        "SNOWFLAKE_ROLE": "LOCAL",
        "SNOWFLAKE_WAREHOUSE": "LOCAL",
        "SNOWFLAKE_DATABASE": database,
        "SNOWFLAKE_SCHEMA": schema,
        "SNOWFLAKE_HOST": LOOPBACK,
        "SNOWFLAKE_PORT": str(port),
        "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",  # the connector would ask for a cloud around it at each login
    }


def without_proxy() -> dict[str, str]:
    """The variables by which clients reach loopback directly, on a machine whose way out is a proxy too."""
    already = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, already.split(",")), LOOPBACK]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def s3_environment(url: str, bucket: str = BUCKET, prefix: str = PREFIX) -> dict[str, str]:
    """The variables by which the local S3 at `url` is reached. It takes any key."""
    return {
        "PUMP_BUCKET": bucket,
        "PUMP_PREFIX": prefix,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def marketo_environment(url: str, options: EmulatorOptions) -> dict[str, str]:
    """The variables by which the local Marketo at `url` is reached."""
    return {
        "MARKETO_BASE_URL": url,
        "MARKETO_CLIENT_ID": options.client_id,
        "MARKETO_CLIENT_SECRET": options.client_secret,
        "MARKETO_EXPORT_POLL_SECONDS": f"{max(SHORTEST_POLL_SECONDS, options.export_refresh_seconds):.1f}",
    }


@dataclass(frozen=True)
class SandboxOptions:
    """What to start. Port 0 is any free one."""

    state: Path
    """The folder that outlives a restart: the data, and logs/."""
    marketo: EmulatorOptions = field(default_factory=EmulatorOptions)
    """Its `state` is set by the sandbox."""
    marketo_only: bool = False
    marketo_port: int = 0
    leads: int = 0
    """How many leads Marketo holds at least when it starts."""
    activities: int = 0
    """How many activities of these leads it has had at least by then."""
    days: int = DAYS
    """The past days over which these are spread."""


class Sandbox:
    """The local Snowflake, S3 and Marketo, running while the `with` block runs."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._exit = ExitStack()
        self.servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        """Start all and wait until they answer. SandboxError: one does not, or another sandbox holds the state."""
        state = self._options.state.resolve()
        state.mkdir(parents=True, exist_ok=True)
        os.environ |= without_proxy()  # for what this process asks its stand-ins, and for its children
        lock = FileLock(state / "sandbox.lock")
        with ExitStack() as undo:
            try:
                undo.enter_context(lock.acquire(blocking=False))
            except Timeout:
                raise SandboxError(
                    f"{state} is in use by another sandbox; stop that one or give another --state"
                ) from None
            undo.callback(self._stop)
            self._start(state)
            for server in self.servers.values():
                server.wait_until_ready()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def environment(self) -> dict[str, str]:
        """Every variable by which the project reaches what runs here."""
        variables = {
            "MARKETO_ASSETS_ENV": "local",
            **without_proxy(),
            **marketo_environment(self.servers["Marketo"].url, self._options.marketo),
        }
        if not self._options.marketo_only:
            variables |= snowflake_environment(self.servers["Snowflake"].port)
            variables |= s3_environment(self.servers["S3"].url)
        return variables

    def check(self) -> None:
        """Raise SandboxError if any of them is no longer running."""
        for server in self.servers.values():
            server.check()

    def _start(self, state: Path) -> None:
        logs = state / "logs"
        # One by one into self.servers, so that those already running are stopped when the next one cannot start.
        options = self._options
        self.servers["Marketo"] = marketo_server(
            replace(options.marketo, state=state / MARKETO_STATE),
            logs / "marketo.log",
            leads=options.leads,
            activities=options.activities,
            days=options.days,
            port=options.marketo_port,
        )
        if not options.marketo_only:
            databases = {DATABASE: [SCHEMA], SOURCE_DATABASE: [SOURCE_SCHEMA]}
            self.servers["Snowflake"] = snowflake_server(state / "snowflake", logs / "snowflake.log", databases)
            self.servers["S3"] = s3_server(state / "s3.sqlite", logs / "s3.log", [BUCKET])

    def _stop(self) -> None:
        for server in self.servers.values():
            server.ask_to_stop()
        for server in self.servers.values():
            server.stop()
