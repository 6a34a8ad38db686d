"""How the emulator's tests order and fetch exports, over an Api. No assertion belongs here."""

from typing import Any, Literal

import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import Api

DAY = {"startAt": "2026-05-28T00:00:00Z", "endAt": "2026-05-28T23:59:59Z"}
"""The day of emulator_calls.START."""


class Bulk:
    """The export endpoints of one kind."""

    def __init__(self, api: Api, kind: Literal["activities", "leads", "program/members"] = "activities") -> None:
        self._api = api
        self._root = f"{api.base}/bulk/v1/{kind}/export"

    def create(self, *, filters: Any = None, **document: Any) -> dict[str, Any]:
        """The reply to a create call, by default for all of the day."""
        document["filter"] = {"createdAt": DAY} if filters is None else filters
        return self.call("POST", "/create.json", json=document)

    def new(self, **document: Any) -> str:
        """The id of a job just created."""
        return str(self.create(**document)["result"][0]["exportId"])

    def enqueue(self, export_id: str) -> dict[str, Any]:
        return self.call("POST", f"/{export_id}/enqueue.json")

    def cancel(self, export_id: str) -> dict[str, Any]:
        return self.call("POST", f"/{export_id}/cancel.json")

    def status(self, export_id: str) -> dict[str, Any]:
        """The job as its status shows it."""
        return dict(self.call("GET", f"/{export_id}/status.json")["result"][0])

    def list(self, **parameters: Any) -> dict[str, Any]:
        return self.call("GET", ".json", params=parameters)

    def file(self, export_id: str, part: str | None = None, *, stream: bool = False) -> requests.Response:
        """The reply to a file call; `part` is what a Range header says."""
        headers = {} if part is None else {"Range": part}
        return self._send("GET", f"/{export_id}/file.json", headers=headers, stream=stream)

    def started(self, **document: Any) -> str:
        """The id of a job just created and enqueued."""
        export_id = self.new(**document)
        self.enqueue(export_id)
        return export_id

    def done(self, clock: VirtualClock, **document: Any) -> dict[str, Any]:
        """A job that was created, enqueued and waited for, as its status then shows it."""
        export_id = self.started(**document)
        clock.advance(180)
        return self.status(export_id)

    def exported(self, clock: VirtualClock, **document: Any) -> bytes:
        """The file of such a job."""
        return self.file(self.done(clock, **document)["exportId"]).content

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        return dict(self._send(method, path, **arguments).json())

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self._api.session.request(method, self._root + path, **arguments)


def receive(reply: requests.Response, received: bytearray, size: int) -> None:
    """Read a streamed reply, so many bytes at a time, to its end or until it breaks, and keep what came."""
    for chunk in reply.iter_content(size):
        received += chunk
