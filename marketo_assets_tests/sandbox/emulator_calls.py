"""How the emulator's tests talk to it: one small client over a session. No assertion belongs here."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests

from marketo_assets.marketo.clock import Clock, VirtualClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, EmulatorTransport
from marketo_assets.sandbox.marketo.wire import stamp

START = 1_780_000_000.0
"""2026-05-28 20:26:40 UTC, 15:26:40 in the zone of quotas."""
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": EmulatorOptions().client_id,
    "client_secret": EmulatorOptions().client_secret,
}


class Api:
    """A Marketo client without any cleverness: no retry, no limit."""

    def __init__(self, base: str, transport: EmulatorTransport | None = None) -> None:
        self.base = base
        self.session = requests.Session()
        if transport is not None:
            self.session.mount(base, transport)

    def sign_in(self) -> dict[str, Any]:
        reply = self.session.get(f"{self.base}/identity/oauth/token", params=CREDENTIALS).json()
        self.session.headers["Authorization"] = f"Bearer {reply['access_token']}"
        return dict(reply)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return dict(self.session.get(f"{self.base}/rest/v1/{path}", params=parameters).json())

    def post(self, path: str, document: Any = None, **parameters: Any) -> dict[str, Any]:
        return dict(self.session.post(f"{self.base}/rest/v1/{path}", params=parameters, json=document).json())

    def delete(self, path: str, document: Any = None, **parameters: Any) -> dict[str, Any]:
        return dict(self.session.delete(f"{self.base}/rest/v1/{path}", params=parameters, json=document).json())

    def form(self, path: str, form: Mapping[str, str], **parameters: Any) -> dict[str, Any]:
        return dict(self.session.post(f"{self.base}/rest/v1/{path}", params=parameters, data=form).json())

    def sync(self, *rows: Mapping[str, Any], **settings: Any) -> list[dict[str, Any]]:
        reply = self.post("leads.json", {**settings, "input": rows})
        assert reply["success"], reply
        return list(reply["result"])

    def paging_token(self, since: float) -> str:
        return str(self.get("activities/pagingtoken.json", sinceDatetime=stamp(int(since)))["nextPageToken"])

    def activity_pages(self, token: str, *types: int, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every page from a token on, until moreResult says that there is no other."""
        more = True
        while more:
            types_asked = ",".join(map(str, types))
            page = self.get("activities.json", nextPageToken=token, activityTypeIds=types_asked, **parameters)
            assert page["success"], page
            yield page
            token, more = page["nextPageToken"], page["moreResult"]

    def activities(self, since: float, *types: int, **parameters: Any) -> list[dict[str, Any]]:
        pages = self.activity_pages(self.paging_token(since), *types, **parameters)
        return [activity for page in pages for activity in page.get("result", [])]

    def lead(self, lead_id: int, *fields: str) -> dict[str, Any]:
        return dict(self.get(f"lead/{lead_id}.json", fields=",".join(fields))["result"][0])


@contextmanager
def emulated(clock: Clock | None = None, **options: Any) -> Iterator[tuple[Emulator, Api]]:
    """An emulator and a signed-in client of it, in process; a VirtualClock unless another is given."""
    emulator = Emulator(EmulatorOptions(**options), clock or VirtualClock(START))
    try:
        api = Api("http://emulator.test", EmulatorTransport(emulator))
        api.sign_in()
        yield emulator, api
    finally:
        emulator.close()


def code(reply: Mapping[str, Any]) -> str:
    """The code of a call that failed as a whole."""
    assert reply["success"] is False, reply
    return str(reply["errors"][0]["code"])


def codes(result: Sequence[Mapping[str, Any]]) -> list[str]:
    """Per row: the code of a skipped one, the status of another."""
    return [str(row["reasons"][0]["code"]) if row["status"] == "skipped" else str(row["status"]) for row in result]
