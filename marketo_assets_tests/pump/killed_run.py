"""A run of one file in a process of its own that is killed the moment its first chunk is in the ledger.

`python -m marketo_assets_tests.pump.killed_run PARTITION_KEY STATE` with the environment of a code location.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.marketo.clock import SystemClock, VirtualClock
from marketo_assets.pump.assets import pump_bucket
from marketo_assets.pump.files import file_version
from marketo_assets.pump.ledger import Ledger
from marketo_assets.pump.load_file import FileTask, load_file
from marketo_assets.resources import build_resources
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions
from marketo_assets.settings import Settings
from marketo_assets_tests.emulated import EmulatedMarketo


class LastLedger(Ledger):
    """Its process does not outlive the first thing it records."""

    def record(self, *arguments: Any, **named: Any) -> None:
        super().record(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)


def main(partition_key: str, state: Path) -> None:
    settings = Settings.from_env()
    clock = VirtualClock(SystemClock().now())
    emulated = EmulatedMarketo(Emulator(EmulatorOptions(state=state), clock), clock, state.with_suffix(".api"))
    with dg.build_resources(build_resources(settings)) as resources, emulated.client() as client:
        warehouse: Any = resources.warehouse
        with warehouse.session() as session, warehouse.session() as second:
            load_file(
                FileTask(
                    file_version(partition_key),
                    settings.config.pumps["contacts"],
                    pump_bucket(settings, "contacts", S3Resource()),
                    client,
                    Ledger(session, "contacts", "killed", clock),
                    LastLedger(second, "contacts", "killed", clock),
                    calls=10,
                ),
            )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
