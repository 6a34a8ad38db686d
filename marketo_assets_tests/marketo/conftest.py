"""A clock, a budget and clients over a transport, for the tests of the REST client."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from requests.adapters import BaseAdapter

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, EmulatorTransport

NOON = datetime(2026, 3, 4, 18, 0, tzinfo=UTC).timestamp()
BASE_URL = "http://127.0.0.1:1"

NewClient = Callable[[BaseAdapter], MarketoClient]
NewUser = Callable[..., MarketoClient]
NewEmulator = Callable[..., Emulator]


@pytest.fixture
def clock() -> VirtualClock:
    """Noon in Chicago on an ordinary day."""
    return VirtualClock(NOON)


@pytest.fixture
def budget(tmp_path: Path, clock: VirtualClock) -> Iterator[ApiBudget]:
    made = ApiBudget(tmp_path / "state", ApiLimits(), clock)
    yield made
    made.close()


@pytest.fixture
def new_client(budget: ApiBudget, clock: VirtualClock) -> Iterator[NewClient]:
    made: list[MarketoClient] = []

    def new(transport: BaseAdapter) -> MarketoClient:
        made.append(
            MarketoClient(
                "http://127.0.0.1:1", "local-client", "local-secret", budget, clock=clock, transport=transport
            )
        )
        return made[-1]

    yield new
    for client in made:
        client.close()


@pytest.fixture
def new_user(tmp_path: Path, clock: VirtualClock) -> Iterator[NewUser]:
    """Users of an emulated instance, each on a machine of its own."""
    with ExitStack() as stack:

        def new(emulator: Emulator, limits: ApiLimits = ApiLimits(), machine: str = "here") -> MarketoClient:  # noqa: B008 -- frozen
            budget = ApiBudget(tmp_path / machine, limits, clock)
            stack.callback(budget.close)
            transport = EmulatorTransport(emulator)
            return stack.enter_context(
                MarketoClient(
                    BASE_URL,
                    emulator.options.client_id,
                    emulator.options.client_secret,
                    budget,
                    clock=clock,
                    transport=transport,
                )
            )

        yield new


@pytest.fixture
def new_emulator(clock: VirtualClock) -> Iterator[NewEmulator]:
    with ExitStack() as stack:

        def new(**options: object) -> Emulator:
            emulator = Emulator(EmulatorOptions(**options), clock)  # type: ignore[arg-type] # options of many types
            stack.callback(emulator.close)
            return emulator

        yield new
