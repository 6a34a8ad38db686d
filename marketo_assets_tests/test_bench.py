"""Guards against a benchmark that no longer runs, or whose result is not written. No time is looked at."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_benchmarks_run_and_their_table_is_written(tmp_path: Path) -> None:
    # One of each kind: a run in its own process, an emulator over HTTP, a stream under Marketo's limits. The others are
    # built of the same parts, and most of a quick benchmark's time is starting processes.
    names = ("cpu", "emulator", "extract-rest")
    command = [sys.executable, "-m", "bench", *names, "--quick", str(tmp_path)]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = json.loads((tmp_path / "results.json").read_text())
    readme = (tmp_path / "README.md").read_text()
    assert tuple(results) == names
    for name, result in results.items():
        assert result["is_quick"]
        assert result["figures"]
        assert f"## {name}: {result['title']}" in readme
        assert all(f"| {name} | {bound['what']} |" in readme for bound in result["bounds"])


def test_an_unknown_benchmark_is_named_beside_those_there_are() -> None:
    command = [sys.executable, "-m", "bench", "speed"]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "no benchmark speed; there are rate, cpu, memory, calls, latency, emulator, extract" in ran.stderr
