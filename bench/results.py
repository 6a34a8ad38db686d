"""What a measurement says, and how it is written down: results.json for machines, README.md for people.

Nothing is measured here.
"""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

PACKAGES = ("marketo-assets", "dagster", "pyarrow", "orjson", "pandas", "pyrate-limiter", "snowflake-connector-python")
INTRODUCTION = """# Benchmarks

Written by `make bench`; do not edit. `make bench ARGS="rate cpu"` measures some and leaves the others as they are;
results.json holds the same figures with machine, versions and time of each measurement.
Everything runs on one machine: the emulated Marketo, the local Snowflake (fakesnow) and the local S3 (moto) each in a
process of its own, beside what is measured. Bounds are the project's own targets. Ratios compare two figures of the
same run; figures in seconds are this machine's, and other work on it shows in them: the load before each measurement
stands beside it. "How near": at 100 % the bound is just met; below it there is room.
No test asserts any of these times.
"""


@dataclass(frozen=True)
class Bound:
    """One figure with a limit that it has to keep."""

    what: str
    measured: float
    relation: Literal["at least", "at most"]
    limit: float
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether the limit is kept."""
        return self.measured >= self.limit if self.relation == "at least" else self.measured <= self.limit

    @property
    def nearness(self) -> float | None:
        """How much of the room is used: 1 just meets the limit, above 1 breaks it. None where the limit is 0."""
        over, under = (self.limit, self.measured) if self.relation == "at least" else (self.measured, self.limit)
        return over / under if under else None


@dataclass(frozen=True)
class Measurement:
    """The outcome of one benchmark."""

    title: str
    bounds: tuple[Bound, ...]
    arithmetic: tuple[str, ...]
    """Sentences that lead from what was measured to what is compared."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Everything that was measured, by name with unit."""


def write(folder: Path, name: str, measurement: Measurement, load: float, *, is_quick: bool) -> None:
    """Put one measurement into results.json of `folder` and make README.md anew."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    bounds = [{**asdict(b), "nearness": b.nearness, "is_met": b.is_met} for b in measurement.bounds]
    results[name] = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "is_quick": is_quick,
        "machine": _machine(),
        "load_before": load,
        "versions": {package: version(package) for package in PACKAGES},
        **asdict(measurement),
        "bounds": bounds,
    }
    path.write_text(json.dumps(results, indent=2) + "\n")
    (folder / "README.md").write_text(_readme(results))


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _readme(results: dict[str, Any]) -> str:
    table = ["| benchmark | figure | measured | bound | how near | met |", "|---|---|---|---|---|---|"]
    sections = []
    for name, result in results.items():
        for bound in result["bounds"]:
            near = "" if bound["nearness"] is None else f"{bound['nearness']:.0%}"
            table.append(
                f"| {name} | {bound['what']} | {_number(bound['measured'])} {bound['unit']} | {bound['relation']}"
                f" {_number(bound['limit'])} | {near} | {'yes' if bound['is_met'] else '**no**'} |"
            )
        if not result["bounds"]:
            table.append(f"| {name} | {result['title']} | see below | no bound | | |")
        sections.append(_section(name, result))
    if any(result["is_quick"] for result in results.values()):
        table.append("\nTiny sizes, to see that everything runs: these figures say nothing.")
    return "\n".join([INTRODUCTION, *table, "", *sections])


def _section(name: str, result: dict[str, Any]) -> str:
    machine = result["machine"]
    figures = "\n".join(f"| {key} | {_cell(value)} |" for key, value in result["figures"].items())
    return "\n".join(
        [
            f"## {name}: {result['title']}",
            "\n".join(f"- {line}" for line in result["arithmetic"]),
            "",
            f"| figure | |\n|---|---|\n{figures}",
            "",
            (
                f"Measured {result['measured_at']} on {machine['cores']} cores ({machine['processor']},"
                f" {machine['memory_gb']} GB), Python {machine['python']}; load before: {result['load_before']}."
            ),
            "",
        ]
    )


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return _number(value) if isinstance(value, int | float) else str(value)


def _number(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
