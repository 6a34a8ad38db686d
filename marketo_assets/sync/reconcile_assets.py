"""The mirror reconciled with Marketo, as an asset on demand. Wiring only: what it does lies in `reconcile`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster as dg

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.extract.metadata import calls
from marketo_assets.marketo.errors import QuotaExhaustedError
from marketo_assets.marketo.limits import process_lock
from marketo_assets.marketo.stats import CallStats
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.sync.apply import apply_changes
from marketo_assets.sync.contact_store import create_tables
from marketo_assets.sync.feed import CONTINUOUS, read_feed
from marketo_assets.sync.parts import Parts
from marketo_assets.sync.reconcile import Reconciled, reason_to_reconcile, reconcile

LEADS_RECONCILED: Final = dg.AssetKey(["marketo", "leads_reconciled"])
AGREES: Final = "mirror_agrees"


def build_reconcile_asset(leads: LeadSyncConfig, pump: PumpConfig) -> dg.AssetsDefinition:
    """`marketo/leads_reconciled`, which nothing materializes by itself."""

    @dg.asset(
        key=LEADS_RECONCILED,
        deps=[dg.AssetKey(["marketo", "leads"])],
        group_name="sync",
        owners=leads.owners,
        kinds={"marketo", "snowflake", "table"},
        description="The mirror compared with all leads by bulk extract, and repaired. On demand: it costs quota.",
        metadata={"dagster/table_name": "LEADS"},
        check_specs=[
            dg.AssetCheckSpec(AGREES, asset=LEADS_RECONCILED, description="the mirror has every lead as Marketo has it")
        ],
    )
    def leads_reconciled(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster refuses a parameter
        try:
            found, stats = reconcile_leads(context.run.run_id, leads, pump, warehouse, marketo)
        except QuotaExhaustedError as error:
            remember_to_resume(context, LEADS_RECONCILED.to_user_string(), error)
            raise
        yield agreement_result(found)
        yield dg.MaterializeResult(metadata={**reconciled(found), **calls(stats)})

    return leads_reconciled


def reconcile_leads(
    run_id: str, leads: LeadSyncConfig, pump: PumpConfig, warehouse: WarehouseResource, marketo: MarketoResource
) -> tuple[Reconciled, CallStats]:
    """Reconcile the mirror, with a client and a session of its own.

    Not for a caller who holds `marketo.syncs()`: it is taken here for a page at a time, so that the sync goes on beside
    a reconciliation that takes hours. Raises what the client raises.
    """
    with _alone(run_id, leads, pump, warehouse, marketo) as parts:
        return _reconcile(parts, marketo), parts.client.stats


def reconcile_if_needed(
    run_id: str, leads: LeadSyncConfig, pump: PumpConfig, warehouse: WarehouseResource, marketo: MarketoResource
) -> tuple[Reconciled | None, CallStats]:
    """The same where there is a `reason_to_reconcile`, and still is when it is this one's turn."""
    with _alone(run_id, leads, pump, warehouse, marketo) as parts:
        found = _reconcile(parts, marketo) if reason_to_reconcile(parts.store, parts.fields()) else None
        return found, parts.client.stats


@contextmanager
def _alone(
    run_id: str, leads: LeadSyncConfig, pump: PumpConfig, warehouse: WarehouseResource, marketo: MarketoResource
) -> Iterator[Parts]:
    """One reconciliation at a time: another one would take the jobs of this one for left behind."""
    with ExitStack() as stack:
        stack.enter_context(process_lock(marketo.folder, "reconciliation", marketo.clock))
        client = stack.enter_context(marketo.client())
        parts = Parts(client, stack.enter_context(warehouse.session()), run_id, leads, pump)
        parts.store.create_tables()
        create_tables(parts.warehouse)
        yield parts


def _reconcile(parts: Parts, marketo: MarketoResource) -> Reconciled:
    fields = parts.fields()
    mirror = parts.mirror(fields)

    def read() -> None:
        read_feed(parts.client, parts.warehouse, parts.store, parts.run_id, fields.names)

    def catch_up() -> None:
        with marketo.syncs():
            read()
            apply_changes(mirror, parts.config.deletes, parts.company_fields(), calls=marketo.concurrent_calls)

    if parts.store.watermark(CONTINUOUS) is None:
        # The feed begins before the first file is ordered, or what happens between the two is told by neither.
        with marketo.syncs():
            read()
    return reconcile(
        parts.client,
        parts.warehouse,
        mirror,
        fields,
        parts.config,
        run_id=parts.run_id,
        exclusive=marketo.syncs,
        catch_up=catch_up,
        folder=marketo.folder,
        poll_seconds=marketo.export_poll_seconds,
        calls=marketo.concurrent_calls,
    )


def reconciled(found: Reconciled) -> dict[str, Any]:
    """What a reconciliation shows: counts and names."""
    records = [dg.TableRecord({"field": name, "leads": n}) for name, n in found.drift.most_common()]
    schema = dg.TableSchema([dg.TableColumn("field", "string"), dg.TableColumn("leads", "int")])
    return {
        "dagster/row_count": found.exported,
        "leads_exported": found.exported,
        "leads_inserted": found.inserted,
        "leads_repaired": found.repaired,
        "leads_completed": found.completed,
        "leads_live_again": found.revived,
        "leads_gone": found.gone,
        "leads_left_to_the_feed": found.changed_since,
        "leads_read_by_id": found.read_by_id,
        "drift_by_field": dg.MetadataValue.table(records, schema=schema),
        "export_jobs": found.jobs,
        "export_megabytes": round(found.byte_count / 1_000_000, 1),
    }


def agreement_result(found: Reconciled) -> dg.AssetCheckResult:
    """A warning says how much was otherwise; it is repaired."""
    return dg.AssetCheckResult(
        check_name=AGREES,
        asset_key=LEADS_RECONCILED,
        passed=not found.differing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "leads_that_differed": found.differing,
            "fields_that_differed": ", ".join(sorted(found.drift)) or "none",
            "missing_in_the_mirror": 0 if found.is_first else found.inserted,
            "live_again": found.revived,
            "gone_in_marketo": found.gone,
        },
    )
