"""Companies and custom objects as assets, per entry of marketo.yaml. Wiring only: what they do lies in objects*.py."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import dagster as dg

from marketo_assets.config_sync import SyncConfig
from marketo_assets.marketo.errors import QuotaExhaustedError
from marketo_assets.marketo.limits import process_lock
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.sync import objects_checks, objects_metadata
from marketo_assets.sync.objects import ObjectTask, sync_objects
from marketo_assets.sync.objects_definition import ObjectSync, company_sync, custom_object_sync
from marketo_assets.sync.objects_ledger import ObjectLedger
from marketo_assets.sync.objects_types import ObjectTypes
from marketo_assets.warehouse.sql import plain_parts

GROUP = "sync"
MIRROR = dg.AssetKey(["marketo", "leads"])
"""The leads as Marketo has them are read before anything is written to it."""


class ObjectsOpConfig(dg.Config):
    """What one cycle does differently."""

    try_again: bool = False
    """Send again what Marketo refused or what is to wait, and look again at a type that is let alone."""
    delete_anyway: bool = False
    """Delete what is gone from the source, however much that is."""


def build_object_assets(config: SyncConfig) -> Sequence[dg.AssetsDefinition]:
    """Companies first, then custom objects, each after its parents. What is not enabled has no asset."""
    companies = {name: entry for name, entry in config.companies.items() if entry.enabled}
    objects = {name: entry for name, entry in config.custom_objects.items() if entry.enabled}
    before = [MIRROR] if config.leads else []
    company_keys = [dg.AssetKey(["companies", name]) for name in companies]
    return [
        *(_object_asset(company_sync(name, entry), entry.owners, before) for name, entry in companies.items()),
        *(
            _object_asset(
                custom_object_sync(name, entry),
                entry.owners,
                [
                    *(company_keys or before),
                    # What links to a lead comes after the leads.
                    *([dg.AssetKey([config.leads.pump, "changes"])] if config.leads else []),
                    *(dg.AssetKey(["custom_objects", each]) for each in entry.parents if each in objects),
                ],
            )
            for name, entry in objects.items()
        ),
    ]


def _object_asset(sync: ObjectSync, owners: Sequence[str], before: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    key = dg.AssetKey(sync.name.split("/"))
    source = dg.AssetKey(plain_parts(sync.table)[-2:])
    what = "Companies in Marketo" if sync.api_name is None else f"The custom objects {sync.api_name} in Marketo"

    @dg.asset(
        key=key,
        deps=[source, *before],
        group_name=GROUP,
        owners=owners,
        kinds={"snowflake", "marketo"},
        # One run at a time: two could put one new key into two calls in flight.
        pool=f"{sync.name.replace('/', '_')}_writes",
        description=f"{what}, kept as {sync.table} has them. Nothing changed: no call. See SYNC_OBJECTS.",
        metadata=objects_metadata.definition(sync, source),
        check_specs=objects_checks.specs(key, sync),
    )
    def objects(
        context: dg.AssetExecutionContext,
        config: ObjectsOpConfig,
        warehouse: WarehouseResource,
        marketo: MarketoResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster refuses a parameter
        clock, run_id = marketo.clock, context.run.run_id
        started = clock.monotonic()
        with ExitStack() as stack:
            # The pool does the same; `dg launch` goes past pools.
            stack.enter_context(process_lock(Path(marketo.state_dir), sync.name.replace("/", "-"), clock))
            client = stack.enter_context(marketo.client())
            session = stack.enter_context(warehouse.session())
            task = ObjectTask(
                sync,
                client,
                session,
                ObjectLedger(session, sync, run_id, clock),
                ObjectTypes(session, sync, run_id, clock),
                calls=marketo.concurrent_calls,
                try_again=config.try_again,
                delete_anyway=config.delete_anyway,
            )
            try:
                report = sync_objects(task)
            except QuotaExhaustedError as error:
                remember_to_resume(context, key.to_user_string(), error)
                raise
        yield from objects_checks.results(report)
        yield dg.MaterializeResult(metadata=objects_metadata.cycle(report, client.stats, clock.monotonic() - started))

    return objects
