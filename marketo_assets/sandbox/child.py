"""What runs inside the process of one stand-in: `python -m marketo_assets.sandbox.child MODULE LISTENER READY`.

The parent has bound the socket (file descriptor LISTENER) and writes one line of JSON to this process' stdin: the
keyword arguments of `MODULE.serve`. It then keeps stdin open for as long as the stand-in shall live. Whatever ends the
parent, `kill -9` included, closes that pipe, and this process goes too. A byte written to the pipe READY says that the
stand-in serves.

Does not belong here: anything about a particular stand-in.
"""

import atexit
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import NoReturn

LAST_CALL_SECONDS = 8.0  # for a request in flight and the writing of files, after which the process ends regardless


def main() -> None:
    """Serve until SIGTERM or until the parent is gone."""
    module, listener, ready = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGTERM, _leave)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve = importlib.import_module(module).serve
    gc.freeze()  # its imports stay: looking through them again and again is a tenth of a stand-in's work
    atexit.register(gc.unfreeze)  # or DuckDB reports at the end that it was not given back
    serve(socket.socket(fileno=listener), lambda: _announce(ready), **settings)


def _announce(ready: int) -> None:
    os.write(ready, b"!")
    os.close(ready)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _end_with_parent() -> None:
    # The raw descriptor: a thread inside sys.stdin.buffer holds its lock, and the interpreter aborts at exit over it.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LAST_CALL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
