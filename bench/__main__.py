"""`python -m bench [NAME ...] [--quick FOLDER]`: run benchmarks, write results.json and README.md beside this file."""

import argparse
import gc
import os
import time
from importlib import import_module
from pathlib import Path

from bench.results import Measurement, write

BENCHMARKS = (
    "rate",
    "cpu",
    "memory",
    "calls",
    "latency",
    "emulator",
    "extract",
    "extract-rest",
    "extract-idle",
    "sync",
)
"""The modules of this package that have a function `measure`; an underscore in a name is a hyphen here."""


def main() -> None:
    """Run what is asked for, one after the other, writing each result when it is there."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument(
        "--quick", metavar="FOLDER", type=Path, help="tiny sizes, results into FOLDER: shows that all of it runs"
    )
    asked = parser.parse_args()
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    for name in asked.names or BENCHMARKS:
        load, started = round(os.getloadavg()[0], 1), time.monotonic()
        print(f"{name} (load {load:.1f})", flush=True)
        benchmark = import_module(f"bench.{name.replace('-', '_')}")
        gc.freeze()  # what is imported, as marketo_assets.definitions does for every run
        measurement: Measurement = benchmark.measure(quick=asked.quick is not None)
        folder = asked.quick or Path(__file__).parent
        write(folder, name, measurement, load, is_quick=asked.quick is not None)
        for line in measurement.arithmetic:
            print(f"  {line}")
        for bound in measurement.bounds:
            verdict = "met" if bound.is_met else "NOT MET"
            print(f"  {verdict}: {bound.what}: {bound.measured:g} {bound.unit}, {bound.relation} {bound.limit:g}")
        print(f"  took {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
