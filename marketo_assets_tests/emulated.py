"""An emulated Marketo in the place of the Dagster resource, for whole code locations under a virtual clock."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits, lead_write_lock, process_lock
from marketo_assets.sandbox.marketo import Emulator, EmulatorTransport


@dataclass(frozen=True)
class EmulatedMarketo:
    """Stands where MarketoResource does; but for the wire all is as in production: the emulator answers in process."""

    emulator: Emulator
    clock: VirtualClock
    state_dir: Path
    concurrent_calls: int = 10
    export_poll_seconds: float = 60.0
    transport: Callable[[Emulator], EmulatorTransport] = EmulatorTransport

    @contextmanager
    def client(self) -> Iterator[MarketoClient]:
        options = self.emulator.options
        with closing(ApiBudget(self.state_dir, ApiLimits(), self.clock)) as budget:
            yield MarketoClient(
                "http://127.0.0.1",
                options.client_id,
                options.client_secret,
                budget,
                clock=self.clock,
                transport=self.transport(self.emulator),
            )

    @property
    def folder(self) -> Path:
        folder = self.state_dir / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def activity_writes(self) -> Iterator[None]:
        with process_lock(self.state_dir, "activity-writes", self.clock):
            yield

    @contextmanager
    def syncs(self) -> Iterator[None]:
        with process_lock(self.state_dir, "sync", self.clock):
            yield

    @contextmanager
    def lead_writes(self) -> Iterator[None]:
        with lead_write_lock(self.state_dir, self.clock):
            yield

    @contextmanager
    def drops(self, pump: str) -> Iterator[None]:
        with process_lock(self.state_dir, f"{pump}-drop", self.clock):
            yield
