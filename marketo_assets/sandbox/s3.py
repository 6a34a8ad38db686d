"""The local S3: moto's server, with its buckets and objects kept in one SQLite file.

moto itself forgets everything when it stops. A file that was dropped but not yet pumped must outlive a restart, or its
rows would wait for ever, so every write is stored before it is answered.

Does not belong here: what is put into the buckets. Kept per object: the newest version's bytes, metadata, ETag,
encryption, checksum and time of last change. Not kept: old versions, tags, access lists, bucket policies.
"""

import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeKey, S3Backend, s3_backends
from werkzeug.serving import make_server

REGION = "us-east-1"

_TABLES = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL, last_modified TEXT NOT NULL,
    metadata TEXT NOT NULL, encryption TEXT, kms_key_id TEXT, checksum_algorithm TEXT, checksum_value TEXT,
    checksum_type TEXT,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
"""

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve(listener: socket.socket, ready: Callable[[], None], *, file: str | None, buckets: Sequence[str]) -> None:
    """Answer on `listener` until the process is told to stop; `ready` is called when that begins.

    `file` None keeps nothing. `buckets` are made if missing.
    """
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    app: WsgiApp = DomainDispatcherApplication(create_backend_app)
    with closing(sqlite3.connect(file or ":memory:", check_same_thread=False)) as connection:
        if file is not None:
            store = ObjectStore(connection, backend)
            store.restore()
            app = StoreBeforeAnswer(app, store)
        for bucket in buckets:
            if bucket not in backend.buckets:
                backend.create_bucket(bucket, REGION)
        host, port = listener.getsockname()
        server = make_server(host, port, app, threaded=True, request_handler=MotoRequestHandler, fd=listener.fileno())
        ready()
        server.serve_forever()


class ObjectStore:
    """Copies what moto holds in memory to SQLite, and back. Safe to call from several threads."""

    def __init__(self, connection: sqlite3.Connection, backend: S3Backend) -> None:
        self._connection = connection
        self._backend = backend
        self._lock = threading.Lock()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)

    def restore(self) -> None:
        """Put every stored bucket and object into moto."""
        for (bucket,) in self._connection.execute("SELECT name FROM buckets"):
            self._backend.create_bucket(bucket, REGION)
        for row in self._connection.execute("SELECT * FROM objects"):
            bucket, name, body, etag, last_modified, metadata, encryption, kms_key_id, *checksum = row
            key = self._backend.put_object(
                bucket,
                name,
                body,
                etag=etag,
                encryption=encryption,
                kms_key_id=kms_key_id,
                checksum_value=checksum[1],
                disable_notification=True,
            )
            key.checksum_algorithm = checksum[0]
            key.checksum_type = checksum[2]  # of a file uploaded in parts, a checksum of checksums
            key.set_metadata(json.loads(metadata), replace=True)
            key.last_modified = datetime.fromisoformat(last_modified)

    def keep(self, bucket: str, key: str | None) -> None:
        """Store how this object stands now, or with `key` None which objects the bucket holds."""
        with self._lock, self._connection:
            held = self._backend.buckets.get(bucket)
            if held is None:
                self._connection.execute("DELETE FROM buckets WHERE name = ?", (bucket,))
                self._connection.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))
                return
            self._connection.execute("INSERT OR IGNORE INTO buckets VALUES (?)", (bucket,))
            if key is not None:
                self._keep_object(bucket, key, held.keys.get(key))
                return
            stored = {name for (name,) in self._connection.execute("SELECT key FROM objects WHERE bucket=?", (bucket,))}
            for name in stored ^ set(held.keys):
                self._keep_object(bucket, name, held.keys.get(name))

    def _keep_object(self, bucket: str, name: str, key: FakeKey | None) -> None:
        if not isinstance(key, FakeKey):  # None, or the mark that a versioned bucket leaves at a deletion
            self._connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, name))
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                bucket,
                name,
                key.value,
                key.etag.strip('"'),
                key.last_modified.isoformat(),
                json.dumps(dict(key.metadata)),
                key.encryption,
                key.kms_key_id,
                key.checksum_algorithm,
                key.checksum_value,
                key.checksum_type,
            ),
        )


class StoreBeforeAnswer:
    """WSGI middleware: a write that moto has done is stored before the client hears of it."""

    def __init__(self, app: WsgiApp, store: ObjectStore) -> None:
        self._app = app
        self._store = store

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._app(environ, start_response)
        if environ["REQUEST_METHOD"] in {"PUT", "POST", "DELETE"}:
            # Addressed by path, as every SDK does at an IP address: /bucket/key. RAW_URI keeps %2F apart from /.
            path = unquote(environ["RAW_URI"].partition("?")[0])
            bucket, _, key = path.lstrip("/").partition("/")
            if bucket:
                self._store.keep(bucket, key or None)
        return answer
