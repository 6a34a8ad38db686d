"""Misbehaviour on request: which call, how often, what. Read from YAML and checked before anything starts.

What a fault does to a reply is decided here as data; it is carried out by emulator.py, transport.py and server.py,
and where it concerns export jobs and their files by exports.py.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

FaultKind = Literal[
    "error",
    "http_502",
    "reset_before_write",
    "reset_after_write",
    "slow",
    "truncated_json",
    "expired_token",
    "job_lingers",
    "job_never_ends",
    "job_fails",
    "job_cancelled",
    "wrong_count",
    "lone_quotes",
    "file_missing",
    "cut_file",
    "wrong_file",
]
JOB_FAULTS = frozenset({"job_lingers", "job_never_ends", "job_fails", "job_cancelled", "wrong_count", "lone_quotes"})
"""What becomes of an export job, decided when it is enqueued."""
FILE_FAULTS = frozenset({"file_missing", "cut_file", "wrong_file"})
"""What one call for the file of an export job gets."""
ERROR_TEXTS: Mapping[str, str] = {
    "601": "Access token invalid",
    "602": "Access token expired",
    "603": "Access denied",
    "604": "Request time-out",
    "605": "Request method not supported",
    "606": "Max rate limit '100' exceeded with in '20' secs",
    "607": "Daily quota reached",
    "608": "API Temporarily Unavailable",
    "609": "Invalid JSON",
    "610": "Requested resource not found",
    "611": "System error",
    "612": "Invalid Content Type",
    "613": "Invalid Multipart Request",
    "614": "Invalid Subscription",
    "615": "Concurrent access limit reached",
    "713": "Transient error",
}
_KEYS = {
    "call",
    "fault",
    "code",
    "message",
    "seconds",
    "after_bytes",
    "every",
    "first",
    "probability",
    "seed",
    "after_write",
}


class FaultsError(ValueError):
    """A faults file that cannot be used; the message names the file, the entry and what was expected."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. Exactly one of `every`, `first` and `probability` says how often."""

    call: str
    """`METHOD /path` as a glob, for example `POST /rest/v1/leads.json` or `* /rest/*`; a POST with `_method` counts
    as the method it stands for."""
    kind: FaultKind
    code: str | None = None
    """For "error": any code, answered at response level."""
    message: str | None = None
    seconds: float = 0.0
    """For "slow": how much longer the call takes. For "job_lingers": how much longer the job's status says Created."""
    after_bytes: int = 0
    """For "cut_file": how much of the body arrives."""
    every: int | None = None
    """Every so manieth matching call, beginning with that number."""
    first: int | None = None
    """The first so many matching calls."""
    probability: float | None = None
    seed: int = 0
    """Of the draws for `probability`."""
    after_write: bool = False
    """For "error" and "http_502": the call did its work, the answer does not say so."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense (ValueError)."""
        for wrong, problem in (
            (self.kind not in get_args(FaultKind), f"fault must be one of {', '.join(get_args(FaultKind))}"),
            (len(self.call.split()) != 2, "call must be 'METHOD /path', both may hold *"),  # noqa: PLR2004 - two words
            (self.kind == "error" and not self.code, "an error needs a code"),
            (self.kind != "error" and self.code is not None, "only an error takes a code"),
            (self.kind in _TIMED and self.seconds <= 0, f"{self.kind} needs seconds above 0"),
            (self.after_bytes < 0, "after_bytes must be 0 or more"),
            (
                self.kind in JOB_FAULTS and not self.call.endswith("/enqueue.json"),
                f"{self.kind} befalls a job that is enqueued: call must end in /enqueue.json",
            ),
            (
                self.kind in FILE_FAULTS and not self.call.endswith("/file.json"),
                f"{self.kind} befalls a file: call must end in /file.json",
            ),
            (self.after_write and self.kind not in {"error", "http_502"}, "after_write goes with error and http_502"),
            (
                sum(way is not None for way in (self.every, self.first, self.probability)) != 1,
                "needs exactly one of every, first, probability",
            ),
            (self.every is not None and self.every < 1, "every must be 1 or more"),
            (self.first is not None and self.first < 1, "first must be 1 or more"),
            (self.probability is not None and not 0 <= self.probability <= 1, "probability must be within 0 and 1"),
        ):
            if wrong:
                raise ValueError(problem)

    def matches(self, method: str, path: str) -> bool:
        """Whether the fault is meant for this call."""
        wanted_method, wanted_path = self.call.split()
        return fnmatchcase(method, wanted_method) and fnmatchcase(path, wanted_path)


class FaultPlan:
    """Which call gets which fault. Not thread-safe: the emulator asks under its lock."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Counting starts at the first call."""
        self._faults = [(fault, random.Random(fault.seed)) for fault in faults]
        self._seen = [0] * len(self._faults)

    def pick(self, method: str, path: str) -> Fault | None:
        """The first fault in the file's order that is due now; every fault counts the calls it is meant for."""
        due = None
        for number, (fault, draws) in enumerate(self._faults):
            if fault.matches(method, path):
                self._seen[number] += 1
                if due is None and _is_due(fault, self._seen[number], draws):
                    due = fault
        return due


def _is_due(fault: Fault, seen: int, draws: random.Random) -> bool:
    if fault.every is not None:
        return seen % fault.every == 0
    if fault.first is not None:
        return seen <= fault.first
    return draws.random() < (fault.probability or 0.0)


def load_faults(path: Path) -> list[Fault]:
    """Read `faults:` of a YAML file (see docs/emulator.md); FaultsError names the entry that is wrong."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise FaultsError(f"{path}: not YAML: {error}") from error
    entries = document.get("faults") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(document) != 1:
        raise FaultsError(f"{path}: expected one key, faults, with a list of entries")
    return [_read_entry(f"{path}: faults[{number}]", entry) for number, entry in enumerate(entries)]


def _read_entry(where: str, entry: Any) -> Fault:
    if not isinstance(entry, dict):
        raise FaultsError(f"{where}: expected keys and values, found {type(entry).__name__}")
    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        raise FaultsError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    missing = [key for key in ("call", "fault") if key not in entry]
    if missing:
        raise FaultsError(f"{where}: {' and '.join(missing)} missing")
    values = {("kind" if key == "fault" else key): value for key, value in entry.items()}
    for key, wanted in _TYPES.items():
        if key in values and (not isinstance(values[key], wanted) or isinstance(values[key], bool) != (wanted is bool)):
            raise FaultsError(f"{where}: {'fault' if key == 'kind' else key} has the wrong type")
    if "code" in values:
        values["code"] = str(values["code"])
    try:
        return Fault(**values)
    except ValueError as error:
        raise FaultsError(f"{where}: {error}") from error


_TIMED = {"slow", "job_lingers"}
_TYPES: Mapping[str, Any] = {
    "call": str,
    "kind": str,
    "code": (str, int),
    "message": str,
    "seconds": (int, float),
    "after_bytes": int,
    "every": int,
    "first": int,
    "probability": (int, float),
    "seed": int,
    "after_write": bool,
}
