"""The leads' sync, if marketo.yaml has a `sync: leads:`. Wiring only: what they do lies in the modules beside."""

from collections.abc import Iterator, Sequence

import dagster as dg

from marketo_assets.config import MarketoConfig, PumpConfig
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.extract.catalog import Drift
from marketo_assets.marketo.errors import PagingTokenError, QuotaExhaustedError, RequestError
from marketo_assets.pump.assets import LEAD_WRITES_POOL, source_key
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.sync import checks, metadata
from marketo_assets.sync.apply import Applied, apply_changes
from marketo_assets.sync.contacts import ContactSync
from marketo_assets.sync.feed import FeedCounts, read_feed
from marketo_assets.sync.fields import SyncFields
from marketo_assets.sync.gone import settle_gone
from marketo_assets.sync.object_assets import build_object_assets
from marketo_assets.sync.parts import JOB, Parts, opened
from marketo_assets.sync.reconcile import reason_to_reconcile
from marketo_assets.sync.reconcile_assets import build_reconcile_asset, reconcile_if_needed
from marketo_assets.sync.write_back import is_beside, table_beside, write_back

GROUP = "sync"
LEAD_CHANGES = dg.AssetKey(["marketo", "lead_changes"])
LEADS = dg.AssetKey(["marketo", "leads"])


def changes_key(config: LeadSyncConfig) -> dg.AssetKey:
    """The contacts' changes, sent to their leads: `<pump>/changes`."""
    return dg.AssetKey([config.pump, "changes"])


def from_marketo_key(config: LeadSyncConfig) -> dg.AssetKey:
    """Marketo's values beside the contact table: `<pump>/from_marketo`."""
    return dg.AssetKey([config.pump, "from_marketo"])


def build_sync_assets(config: MarketoConfig) -> Sequence[dg.AssetsDefinition]:
    """All that `sync:` of marketo.yaml asks for."""
    if config.sync is None:
        return []
    leads = build_lead_assets(config, config.sync.leads) if config.sync.leads else []
    return [*leads, *build_object_assets(config.sync)]


def build_lead_assets(config: MarketoConfig, leads: LeadSyncConfig) -> Sequence[dg.AssetsDefinition]:
    """The feed, the mirror, Marketo's values in the warehouse, and the contacts' changes in Marketo."""
    pump = config.pumps[leads.pump]
    of_companies = config.sync.companies.items() if config.sync else ()
    companies = [dg.AssetKey(["companies", name]) for name, each in of_companies if each.enabled]
    assets = [
        _lead_changes_asset(leads, pump),
        _leads_asset(leads, pump),
        _changes_asset(leads, pump, [*companies, *([from_marketo_key(leads)] if is_beside(leads) else [])]),
        build_reconcile_asset(leads, pump),
    ]
    return [*assets, _from_marketo_asset(leads, pump)] if is_beside(leads) else assets


def _lead_changes_asset(leads: LeadSyncConfig, pump: PumpConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=LEAD_CHANGES,
        group_name=GROUP,
        owners=leads.owners,
        kinds={"marketo", "snowflake", "table"},
        description="New leads, changed values, merges and deletes in Marketo since the last look, each once.",
        metadata={"dagster/table_name": "LEAD_CHANGES"},
        check_specs=checks.feed_specs(LEAD_CHANGES),
    )
    def lead_changes(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster refuses a parameter
        with opened(context, leads, pump, warehouse, marketo) as parts:
            drift = parts.note_fields() if parts.fields_are_old() else Drift()
            fields = parts.fields()
            try:
                counts = _read(parts, fields)
            except (PagingTokenError, RequestError):
                # A field of ours may be gone from Marketo, which then refuses to tell of the others.
                drift = parts.note_fields()
                if parts.fields().names == fields.names:
                    raise
                fields = parts.fields()
                counts = _read(parts, fields)
        yield from checks.feed_results(counts, fields.missing, drift)
        yield dg.MaterializeResult(metadata=metadata.feed(counts, parts.client.stats))

    return lead_changes


def _read(parts: Parts, fields: SyncFields) -> FeedCounts:
    return read_feed(parts.client, parts.warehouse, parts.store, parts.run_id, fields.names)


def _leads_asset(leads: LeadSyncConfig, pump: PumpConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=LEADS,
        deps=[LEAD_CHANGES],
        group_name=GROUP,
        owners=leads.owners,
        kinds={"marketo", "snowflake", "table"},
        description="The mirror of Marketo's leads: changes applied in order, new leads and merge winners read whole.",
        metadata={"dagster/table_name": "LEADS"},
        check_specs=checks.mirror_specs(LEADS),
    )
    def mirror(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        def apply(parts: Parts, fields: SyncFields) -> Applied:
            return apply_changes(
                parts.mirror(fields), leads.deletes, parts.company_fields(), calls=marketo.concurrent_calls
            )

        with opened(context, leads, pump, warehouse, marketo) as parts:
            fields = parts.fields()
            incomplete = reason_to_reconcile(parts.store, fields)
            applied = apply(parts, fields) if incomplete is None else None
        stats = [parts.client.stats]
        if applied is None:
            # Outside of the lock, which it takes for a page at a time: it may wait for its files for hours.
            context.log.info("all leads are read anew: %s", incomplete)
            try:
                stats.append(reconcile_if_needed(context.run.run_id, leads, pump, warehouse, marketo)[1])
            except QuotaExhaustedError as error:
                remember_to_resume(context, JOB, error)
                raise
            with opened(context, leads, pump, warehouse, marketo) as parts:
                fields = parts.fields()
                applied = apply(parts, fields)
            stats.append(parts.client.stats)
        yield from checks.mirror_results(applied)
        yield dg.MaterializeResult(metadata=metadata.mirror(applied, fields, incomplete, stats))

    return mirror


def _from_marketo_asset(leads: LeadSyncConfig, pump: PumpConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=from_marketo_key(leads),
        deps=[LEADS],
        group_name=GROUP,
        owners=leads.owners,
        kinds={"snowflake", "table"},
        description="Marketo's values of the fields under `pull:`, one row per live lead, beside the contact table.",
        metadata={"dagster/table_name": table_beside(leads)},
    )
    def from_marketo(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # as above
        with opened(context, leads, pump, warehouse, marketo) as parts:
            written, taken = write_back(parts.warehouse, leads, parts.fields())
        return dg.MaterializeResult(metadata={"rows_written": written, "rows_replaced_or_gone": taken})

    return from_marketo


def _changes_asset(leads: LeadSyncConfig, pump: PumpConfig, before: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    key = changes_key(leads)

    @dg.asset(
        key=key,
        deps=[LEADS, source_key(pump), *before],
        group_name=GROUP,
        owners=leads.owners,
        kinds={"marketo"},
        pool=LEAD_WRITES_POOL,
        description="Contacts and their leads brought into step, field by field; conflicts are rows of SYNC_CONFLICTS.",
        metadata={"dagster/table_name": "SYNC_WRITES"},
        check_specs=checks.contact_specs(key),
    )
    def changes(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        with opened(context, leads, pump, warehouse, marketo) as parts, marketo.lead_writes():
            fields = parts.fields()
            store = parts.contacts(fields)
            sync = ContactSync(parts.client, store, parts.mirror(fields), leads, fields, parts.company_fields())
            sync.run(calls=marketo.concurrent_calls)
            if sync.counts.pushed and is_beside(leads):
                # Marketo has these values now: the next sync is to find nothing to do.
                write_back(parts.warehouse, leads, fields)
            gone = settle_gone(parts.client, store, leads, fields)
        yield from checks.contact_results(sync.counts, gone, leads.max_delete_share)
        yield dg.MaterializeResult(metadata=metadata.contacts(sync.counts, gone, parts.client.stats))

    return changes
