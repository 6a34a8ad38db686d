"""The pump's assets, per entry of `pumps:` in marketo.yaml. Wiring only: what they do lies in the modules beside."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.config import PumpConfig
from marketo_assets.config_types import ConfigError
from marketo_assets.extract.catalog import seen_fields
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.marketo.errors import QuotaExhaustedError
from marketo_assets.marketo.leads import describe_leads
from marketo_assets.pump import checks, metadata
from marketo_assets.pump.drop import changed_contacts, export, folder_name, observe_source
from marketo_assets.pump.files import Bucket, FileGoneError, file_version
from marketo_assets.pump.ledger import Ledger
from marketo_assets.pump.load_file import FileTask, load_file
from marketo_assets.pump.mapping import resolve_mapping
from marketo_assets.pump.reader import FileRefusedError
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.settings import Settings
from marketo_assets.warehouse.sql import plain_parts

LEAD_WRITES_POOL = "marketo_lead_writes"
"""One slot: two runs that write leads at once could put one new e-mail into two calls in flight."""


class DropConfig(dg.Config):
    """What one drop does differently."""

    retry_refused: bool = False
    """Send again the contacts that Marketo refused and that have not changed since."""


def source_key(pump: PumpConfig) -> dg.AssetKey:
    """The contact table's asset key: `<schema>/<table>`."""
    return dg.AssetKey(plain_parts(pump.source.table)[-2:])


def pump_bucket(settings: Settings, name: str, s3: S3Resource) -> Bucket:
    """The pump's folder on S3."""
    return Bucket(s3.get_client(), settings.bucket, "/".join(filter(None, (settings.prefix, name))) + "/")


def files_partitions(name: str) -> dg.DynamicPartitionsDefinition:
    """One partition per content of a CSV file."""
    return dg.DynamicPartitionsDefinition(name=f"{name}_files")


def build_assets(settings: Settings, name: str, pump: PumpConfig) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The contact table (external), the drop and the leads of one pump."""
    source = dg.AssetSpec(
        source_key(pump),
        group_name=name,
        owners=pump.owners,
        kinds={"snowflake", "table"},
        description=f"The contact table {pump.source.table}: the system of record, only read. Observed at every drop.",
    )
    return [source, _drop_asset(settings, name, pump), _leads_asset(settings, name, pump)]


def _is_synced(settings: Settings, name: str) -> bool:
    """Whether a sync keeps the pump's leads in step: then one line of the mapping that does not fit stops no other."""
    sync = settings.config.sync
    return sync is not None and sync.leads is not None and sync.leads.pump == name


def _drop_asset(settings: Settings, name: str, pump: PumpConfig) -> dg.AssetsDefinition:
    is_synced = _is_synced(settings, name)

    @dg.asset(
        key=[name, "drop"],
        # Contacts that have a lead are left to the sync, which says which those are.
        deps=[source_key(pump), *([dg.AssetKey([name, "changes"])] if is_synced else [])],
        group_name=name,
        owners=pump.owners,
        kinds={"snowflake", "s3", "csv"},
        pool=f"{name}_drop",
        description="Contacts that differ from what Marketo last accepted, as CSV on S3. Nothing changed: no file.",
        metadata=metadata.drop_definition(pump, source_key(pump)),
    )
    def drop(
        context: dg.AssetExecutionContext,
        config: DropConfig,
        warehouse: WarehouseResource,
        marketo: MarketoResource,
        s3: S3Resource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster refuses a parameter here
        clock, run_id = SystemClock(), context.run.run_id
        bucket = pump_bucket(settings, name, s3)
        with ExitStack() as stack:
            stack.enter_context(marketo.drops(name))
            session = stack.enter_context(warehouse.session())
            # The sync looks at the fields, and one that finds nothing is to cost as few calls as can be.
            seen = seen_fields(session, run_id, clock) if is_synced else []
            described = seen or describe_leads(stack.enter_context(marketo.client()))
            source = observe_source(session, pump)
            context.log_event(dg.AssetObservation(source_key(pump), metadata=metadata.source(source)))
            mapping = resolve_mapping(pump, described, source.columns, leaves_out=is_synced)
            ledger = Ledger(session, name, run_id, clock)
            ledger.create_tables()
            ledger.settle_missing_files(bucket.exists)
            with changed_contacts(
                session, name, pump, mapping, retry_refused=config.retry_refused, is_synced=is_synced
            ) as snapshot:
                dropped = export(
                    session,
                    ledger,
                    bucket,
                    snapshot,
                    mapping,
                    folder=folder_name(clock, run_id),
                    rows_per_file=pump.max_rows_per_file,
                )
            open_files = ledger.open_files()
        if not dropped.rows:
            context.log.info("nothing changed: no file was written")
        return dg.MaterializeResult(metadata=metadata.drop(dropped, source, mapping, open_files))

    return drop


def _leads_asset(settings: Settings, name: str, pump: PumpConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=[name, "leads"],
        deps=[dg.AssetKey([name, "drop"])],
        partitions_def=files_partitions(name),
        group_name=name,
        owners=pump.owners,
        kinds={"marketo"},
        pool=LEAD_WRITES_POOL,
        description="Marketo leads upserted from one CSV file, every row accounted for in lead_sync_results.",
        metadata=metadata.leads_definition(pump, dg.AssetKey([name, "drop"])),
        check_specs=checks.specs(dg.AssetKey([name, "leads"]), pump),
    )
    def leads(
        context: dg.AssetExecutionContext,
        warehouse: WarehouseResource,
        marketo: MarketoResource,
        s3: S3Resource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        clock = SystemClock()
        started = clock.monotonic()
        with ExitStack() as stack:
            stack.enter_context(marketo.lead_writes())
            client = stack.enter_context(marketo.client())
            sessions = [stack.enter_context(warehouse.session()) for _ in range(2)]
            ledger, recording = (Ledger(session, name, context.run.run_id, clock) for session in sessions)
            task = FileTask(
                file_version(context.partition_key),
                pump,
                pump_bucket(settings, name, s3),
                client,
                ledger,
                recording,
                calls=marketo.concurrent_calls,
                leaves_out=_is_synced(settings, name),
            )
            try:
                report = load_file(task)
            except ConfigError as error:
                yield checks.misfit(error.problems)
                raise
            except (FileGoneError, FileRefusedError) as error:
                raise dg.Failure(f"{task.file.path}: {error}", allow_retries=False) from error
            except QuotaExhaustedError as error:
                remember_to_resume(context, name, error)
                raise
        told = metadata.leads(report, client.stats, clock.monotonic() - started)
        yield from checks.results(report, pump)
        if report.counts["unsent"]:
            message = f"{report.counts['unsent']} rows are not sent; run the partition again. Codes are in the metadata"
            raise dg.Failure(message, metadata=told, allow_retries=False)
        yield dg.MaterializeResult(metadata=told)

    return leads
