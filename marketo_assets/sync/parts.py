"""What the sync's assets are made of: a client, a session, and what marketo.yaml means today."""

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Final

import dagster as dg

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.extract.catalog import Catalog, Drift
from marketo_assets.extract.store import ActivityStore, Watermark
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import QuotaExhaustedError, RequestError
from marketo_assets.marketo.leads import LeadField, describe_leads
from marketo_assets.marketo.records import COMPANIES, describe_records
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.sync.contact_store import ContactStore, create_tables
from marketo_assets.sync.fields import SyncFields, sync_fields
from marketo_assets.sync.mirror import Mirror
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import identifier

JOB: Final = "database_sync"

MODEL_AGE: Final = timedelta(hours=1)
"""After so long Marketo is asked again which fields it has; an idle sync costs no call for it in between."""

_LEAD_FIELDS: Final = "lead_fields"
_COMPANY_FIELDS: Final = "company_fields"


class Parts:
    """Of one run of one asset; opened and closed by `opened`."""

    def __init__(
        self, client: MarketoClient, warehouse: Warehouse, run_id: str, config: LeadSyncConfig, pump: PumpConfig
    ) -> None:
        """`run_id` is written beside every row."""
        self.client = client
        self.warehouse = warehouse
        self.run_id = run_id
        self.config = config
        self.pump = pump
        self.store = ActivityStore(warehouse, run_id, client.clock)
        self.catalog = Catalog(warehouse, run_id, client.clock)

    def fields(self) -> SyncFields:
        """By the last look at Marketo's fields."""
        return self._fields(self.catalog.lead_fields() or self.look())

    def look(self) -> Sequence[LeadField]:
        """Ask Marketo for its fields and note what has changed."""
        self.note_fields()
        return self.catalog.lead_fields()

    def note_fields(self) -> Drift:
        """Ask Marketo for its fields; returns what is not as it was."""
        drift = self.catalog.note_lead_fields(describe_leads(self.client))
        self.store.move_watermark(_LEAD_FIELDS, Watermark("", utc_now(self.client.clock)))
        return drift

    def fields_are_old(self) -> bool:
        """Whether Marketo should be asked again.

        A sync that asks for the day's usage leaves it to the next one, where that does not go on for ever: so an idle
        sync makes four calls at the most.
        """
        if self.client.usage_is_due():
            return self._is_old(_LEAD_FIELDS, 2 * MODEL_AGE)
        return self._is_old(_LEAD_FIELDS)

    def contacts(self, fields: SyncFields) -> ContactStore:
        """The contacts' tables, made if missing."""
        return ContactStore(self.warehouse, self.config, self.pump, fields, self.run_id, self.client.clock)

    def mirror(self, fields: SyncFields) -> Mirror:
        """The mirror of the leads."""
        return Mirror(self.warehouse, self.run_id, self.client, fields)

    def company_fields(self) -> "CompanyFields":
        """Asked for when first needed."""
        return CompanyFields(self)

    def described_company(self) -> frozenset[str]:
        """REST names of the company's fields, by the last look or by Marketo itself."""
        mark = self.store.watermark(_COMPANY_FIELDS)
        if mark is None or self._is_old(_COMPANY_FIELDS):
            try:
                names = {field.name for field in describe_records(self.client, COMPANIES).fields}
            except RequestError:
                # An API user without the right to companies: then no field is known to be a company's.
                names = set()
            mark = Watermark(",".join(sorted(names)), utc_now(self.client.clock))
            self.store.move_watermark(_COMPANY_FIELDS, mark)
        return frozenset(mark.token.split(","))

    def _fields(self, described: Sequence[LeadField]) -> SyncFields:
        columns = self.warehouse.columns(identifier(self.pump.source.table))
        return sync_fields(self.config, self.pump, described, columns)

    def _is_old(self, what: str, age: timedelta = MODEL_AGE) -> bool:
        mark = self.store.watermark(what)
        return mark is None or utc_now(self.client.clock) - mark.read_until >= age


class CompanyFields(Container[str]):
    """The fields that a lead with a company has from it. Most syncs never ask, and cost no call for it."""

    def __init__(self, parts: Parts) -> None:
        """Asks by these."""
        self._parts = parts

    def __contains__(self, name: object) -> bool:
        """Whether it is a company's field."""
        return name in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return self._parts.described_company()


@contextmanager
def opened(
    context: dg.AssetExecutionContext,
    config: LeadSyncConfig,
    pump: PumpConfig,
    warehouse: WarehouseResource,
    marketo: MarketoResource,
) -> Iterator[Parts]:
    """Held alone: two syncs at once would each take the other's writes for changes."""
    with ExitStack() as stack:
        stack.enter_context(marketo.syncs())
        client = stack.enter_context(marketo.client())
        session = stack.enter_context(warehouse.session())
        parts = Parts(client, session, context.run.run_id, config, pump)
        create_tables(session)
        try:
            yield parts
        except QuotaExhaustedError as error:
            remember_to_resume(context, JOB, error)
            raise
