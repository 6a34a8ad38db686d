"""Contacts that are no longer in the warehouse: their leads left, flagged or deleted, as marketo.yaml says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.leads import MAX_ROWS, delete_leads, sync_leads
from marketo_assets.sync.contact_store import ContactStore, Settled, Write
from marketo_assets.sync.contacts import UNSETTLED
from marketo_assets.sync.fields import SyncFields

_NOT_THERE: Final = "1004"


@dataclass(frozen=True)
class Gone:
    """What was found, in contacts."""

    found: int = 0
    linked: int = 0
    done: int = 0
    is_held_back: bool = False
    """More are gone at once than marketo.yaml allows: nothing was done."""


def settle_gone(client: MarketoClient, store: ContactStore, config: LeadSyncConfig, fields: SyncFields) -> Gone:
    """Raises what the client raises; what Marketo did by then is recorded."""
    gone = store.gone()
    if not gone:
        return Gone()
    linked = store.linked()
    if len(gone) > config.max_delete_share * linked and config.deleted_contacts != "leave":
        return Gone(len(gone), linked, is_held_back=True)
    done = 0
    for start in range(0, len(gone), MAX_ROWS):
        batch = gone[start : start + MAX_ROWS]
        if config.deleted_contacts == "delete":
            done += _delete(client, store, batch)
        else:
            done += _flag(client, store, fields, batch)
    return Gone(len(gone), linked, done)


def _delete(client: MarketoClient, store: ContactStore, batch: Sequence[tuple[str, int]]) -> int:
    deleted = set(delete_leads(client, [lead_id for _, lead_id in batch]))
    released: dict[str, str | None] = {key: None for key, lead_id in batch if lead_id in deleted}
    store.settle(
        [], [Write(key, lead_id, (), "deleted") for key, lead_id in batch if lead_id in deleted], released=released
    )
    return len(released)


def _flag(client: MarketoClient, store: ContactStore, fields: SyncFields, batch: Sequence[tuple[str, int]]) -> int:
    settled = [Settled(key, lead_id, "gone", UNSETTLED, "", {}) for key, lead_id in batch]
    if fields.flag is None:
        store.settle(settled)
        return len(settled)
    name = fields.flag.name
    rows = [orjson.dumps({"id": lead_id, name: True}) for _, lead_id in batch]
    outcomes = sync_leads(client, rows, action="updateOnly", lookup_field="id")
    # A lead that is gone as well needs no flag.
    done = [at for at, each in enumerate(outcomes) if each.status != "skipped" or each.code == _NOT_THERE]
    writes = [
        Write(key, lead_id, (name,), outcome.status, outcome.code, outcome.message)
        for (key, lead_id), outcome in zip(batch, outcomes, strict=True)
    ]
    store.settle([settled[at] for at in done], writes)
    return len(done)
