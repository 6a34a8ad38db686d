"""`python -m bench.run_asset ASSET [PARTITION | FIRST LAST]`: one run in a process of its own; what it took as JSON.

The stand-ins run elsewhere; the environment says where.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from bench.stand_ins import Place, place

ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "1000000"}
"""As docs/deployment.md says."""


def in_own_process(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """What `main` prints, run with these arguments."""
    command = [sys.executable, "-m", "bench.run_asset", *arguments]
    ran = subprocess.run(command, env=os.environ | environment | ALLOCATOR, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    outcome: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return outcome


def peak_bytes() -> int:
    """The most memory this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, which on Linux starts from what the parent had.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run it and print one line of JSON."""
    gc.freeze()  # what is imported, as marketo_assets.definitions does for every run
    started = time.monotonic()
    with place(os.environ) as here:
        before = peak_bytes()
        told = _run(here, *sys.argv[1:])
    took = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time()}
    print(json.dumps({**told, **took, "before": before, "peak": peak_bytes()}), flush=True)


def _run(here: Place, asset: str, *which: str) -> dict[str, Any]:
    if asset == "activities":
        first, last = which
        by_day = here.activities(date.fromisoformat(first), date.fromisoformat(last))
        return {
            "rows_by_day": {day: int(told["rows_read"]) for day, told in by_day.items()},
            "export_bytes": max(told["export_bytes"] for told in by_day.values()),
            "calls": here.marketo.calls(),
            "storing": here.marketo.storing,
        }
    told = here.drop() if asset == "drop" else here.leads(*which)
    return {name: told.get(name) for name in ("dagster/row_count", "created", "updated", "rejected", "superseded")}


if __name__ == "__main__":
    main()
