"""A real `dagster dev` (web server, daemon, code location) as one more child of the sandbox.

Does not belong here: what is asked of it (demo.py and the tests).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from marketo_assets.sandbox.processes import Server

MODULE = "marketo_assets.sandbox.dagster_dev"
START_SECONDS = 120.0
STOP_SECONDS = 6.0
_POLL_SECONDS = 0.2
_LOCATIONS = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)


def dagster_server(project: Path, environment: dict[str, str], log: Path, port: int = 0) -> Server:
    """Start `dagster dev -w workspace.yaml` in the folder `project` with these variables, without waiting."""
    settings = {"project": str(project), "environment": environment}
    return Server("Dagster", MODULE, settings, log, port)


def serve(listener: socket.socket, ready: Callable[[], None], *, project: str, environment: dict[str, str]) -> None:
    """Run until told to stop; `ready` is called when the code location is loaded."""
    port = listener.getsockname()[1]
    listener.close()  # Dagster binds its port itself
    # Ignored where a shell without a terminal started us, and then Dagster would ignore it too and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        command, cwd=project, env=os.environ | environment, stdin=subprocess.DEVNULL
    )
    try:
        while not _is_loaded(port):
            if process.poll() is not None:
                sys.exit(1)
            time.sleep(_POLL_SECONDS)
        ready()
        process.wait()
        sys.exit(1)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # Killed alone it would leave its servers and runs behind. Each child of the sandbox leads its own group.
            os.killpg(os.getpgrp(), signal.SIGKILL)


def _is_loaded(port: int) -> bool:
    try:
        answer = requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": _LOCATIONS}, timeout=10).json()
    except (requests.RequestException, ValueError):
        return False
    entries = answer["data"]["workspaceOrError"]["locationEntries"]
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)
