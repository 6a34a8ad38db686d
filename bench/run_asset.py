"""`python -m bench.run_asset ASSET [PARTITION]`: one run of the pump in a process of its own; its peak memory as JSON.

The stand-ins run elsewhere; the environment says where.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from bench.stand_ins import place


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
    started = time.monotonic()
    with place(os.environ) as here:
        before = peak_bytes()
        told: dict[str, Any] = here.drop() if sys.argv[1] == "drop" else here.leads(sys.argv[2])
    kept = {name: told.get(name) for name in ("dagster/row_count", "created", "updated", "rejected", "superseded")}
    print(
        json.dumps({**kept, "before": before, "peak": peak_bytes(), "seconds": time.monotonic() - started}), flush=True
    )


if __name__ == "__main__":
    main()
