"""Guards against stand-ins that stay behind, die unnoticed, or share a state folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from marketo_assets.sandbox.processes import Sandbox, SandboxError, SandboxOptions, Server

DEADLINE = 20.0
PARENT = """
import sys, time
from pathlib import Path
from marketo_assets.sandbox.processes import Sandbox, SandboxOptions
with Sandbox(SandboxOptions(Path(sys.argv[1]), marketo_only=True)) as sandbox:
    print(sandbox.servers["Marketo"].port, flush=True)
    time.sleep(600)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_well(sandbox: Sandbox) -> bool:
    sandbox.check()
    return True


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_parent_killed_with_9_leaves_nothing_behind(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert answers(port)
        parent.send_signal(signal.SIGKILL)
        assert eventually(lambda: not answers(port))
    with Sandbox(SandboxOptions(tmp_path, marketo_only=True)) as again:  # the state is free again as well
        again.check()


def test_a_child_that_cannot_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = Server("Nothing", "marketo_assets.sandbox.nothing", {}, tmp_path / "logs" / "nothing.log")
    with pytest.raises(SandboxError, match=r"Nothing ended by itself with exit code 1(?s:.)*No module named") as raised:
        server.wait_until_ready()
    assert str(tmp_path / "logs" / "nothing.log") in str(raised.value)
    server.stop()


def test_a_child_that_dies_later_is_reported_and_a_second_sandbox_on_one_state_refused(tmp_path: Path) -> None:
    options = SandboxOptions(tmp_path, marketo_only=True)
    with Sandbox(options) as sandbox:
        sandbox.check()
        with pytest.raises(SandboxError, match="in use by another sandbox"), Sandbox(options):
            pass
        server = sandbox.servers["Marketo"]
        taken = SandboxOptions(tmp_path / "other", marketo_only=True, marketo_port=server.port)
        with pytest.raises(SandboxError, match=f"port {server.port} of 127.0.0.1 cannot be used"), Sandbox(taken):
            pass
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="Marketo ended by itself with exit code -9"):
            eventually(lambda: not is_well(sandbox))


def test_when_one_cannot_start_the_others_are_stopped(tmp_path: Path) -> None:
    (tmp_path / "s3.sqlite").write_text("this is no database")
    sandbox = Sandbox(SandboxOptions(tmp_path))
    with pytest.raises(SandboxError, match=r"S3 ended by itself(?s:.)*file is not a database"), sandbox:
        pass
    assert len(sandbox.servers) == 3
    assert not any(answers(server.port) for server in sandbox.servers.values())
