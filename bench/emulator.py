"""How fast the emulated Marketo takes leads over HTTP, limits off: what is measured against it cannot be faster."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import requests

from bench.contacts import clean_contacts, write_csv
from bench.mapping import project_mapping
from bench.results import Bound, Measurement
from bench.stand_ins import FREE_EMULATOR
from marketo_assets.marketo.auth import TOKEN_PATH
from marketo_assets.marketo.leads import LEADS_PATH, sync_body
from marketo_assets.pump.reader import chunks, store
from marketo_assets.pump.rows import MAX_BATCH_ROWS, batches, match_header, prepare
from marketo_assets.sandbox.processes import Server, marketo_server

ROWS, QUICK_ROWS = 90_000, 900
WANTED = 20_000
CONNECTIONS = 4


def measure(*, quick: bool) -> Measurement:
    """Create leads of 57 fields, then update 3 fields of each; the bodies are made beforehand."""
    rows = QUICK_ROWS if quick else ROWS
    with TemporaryDirectory() as name:
        folder = Path(name)
        server = marketo_server(FREE_EMULATOR, folder / "marketo.log")
        try:
            server.wait_until_ready()
            created = rows / _seconds(server, list(_create_bodies(folder, rows)), "created")
            updated = rows / _seconds(server, list(_update_bodies(rows)), "updated")
        finally:
            server.stop()
    return Measurement(
        title="leads per second that the emulated Marketo takes, limits off",
        bounds=(
            Bound("creates/s of 57 fields", created, "at least", WANTED, ""),
            Bound("updates/s of 3 fields", updated, "at least", WANTED, ""),
        ),
        arithmetic=(
            (
                f"{rows:,} leads in calls of {MAX_BATCH_ROWS} over {CONNECTIONS} connections, on the same machine as"
                " the client; from the first call to the last answer."
            ),
            (
                f"Creates: {created:,.0f} leads/s / {WANTED:,} = {created / WANTED:.2f}."
                f" Updates: {updated:,.0f} leads/s / {WANTED:,} = {updated / WANTED:.2f}."
            ),
        ),
        figures={"creates/s": created, "updates/s": updated},
    )


def _create_bodies(folder: Path, rows: int) -> Iterator[bytes]:
    mapping, path = project_mapping(), folder / "contacts.csv"
    write_csv(clean_contacts(rows), [field.column for field in mapping.fields], path)
    with path.open("rb") as body:
        file = store(body, folder / "fetched.csv", compressed=False)
    match, none = match_header(file.header, mapping), np.zeros(rows + 1, np.bool_)
    prepared = (
        row
        for chunk in chunks(file, [name for name, _ in match.columns])
        for row in prepare(chunk, match, mapping, none)[0]
    )
    for batch in batches(prepared):
        yield sync_body([row.body for row in batch])


def _update_bodies(rows: int) -> Iterator[bytes]:
    for start in range(0, rows, MAX_BATCH_ROWS):
        yield sync_body(
            [
                orjson.dumps(
                    {
                        "email": f"contact{number}@example.com",
                        "firstName": f"First {number}",
                        "lastName": f"Last {number}",
                        "company": f"Company {number}",
                    }
                )
                for number in range(start, min(start + MAX_BATCH_ROWS, rows))
            ]
        )


def _seconds(server: Server, bodies: Sequence[bytes], status: str) -> float:
    """Send them all; raises AssertionError unless every row ends with `status`."""
    with _session(server) as session, ThreadPoolExecutor(CONNECTIONS) as pool:

        def send(body: bytes) -> bytes:
            return session.post(server.url + LEADS_PATH, data=body, timeout=60).content

        started = time.monotonic()
        answers = list(pool.map(send, bodies))
        seconds = time.monotonic() - started
    for answer in answers:
        assert all(row["status"] == status for row in orjson.loads(answer)["result"])
    return seconds


@contextmanager
def _session(server: Server) -> Iterator[requests.Session]:
    credentials = {"client_id": FREE_EMULATOR.client_id, "client_secret": FREE_EMULATOR.client_secret}
    with requests.Session() as session:
        token = session.get(
            server.url + TOKEN_PATH, params={"grant_type": "client_credentials", **credentials}, timeout=60
        ).json()["access_token"]
        session.headers.update({"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        yield session
