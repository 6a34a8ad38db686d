"""The extract's assets, if marketo.yaml has an `extract:`. Wiring only: what they do lies in the modules beside."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date

import dagster as dg

from marketo_assets.config import ActivitiesConfig
from marketo_assets.extract import checks, metadata
from marketo_assets.extract.catalog import Catalog, Chosen, chosen_fields, chosen_types
from marketo_assets.extract.compare import compare_routes
from marketo_assets.extract.deleted_leads import read_deleted_leads
from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.lead_lookup import LeadTable, look_up
from marketo_assets.extract.load import Loaded, LoadTask, load_days
from marketo_assets.extract.store import ActivityStore
from marketo_assets.extract.views import activity_views, leads_view
from marketo_assets.marketo.activities import activity_types
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import QuotaExhaustedError, RequestError
from marketo_assets.marketo.leads import LeadField, describe_leads
from marketo_assets.resources import MarketoResource, WarehouseResource
from marketo_assets.resume import remember_to_resume
from marketo_assets.warehouse.session import Warehouse

GROUP = "marketo"
ACTIVITIES = dg.AssetKey(["marketo", "activities"])
ACTIVITY_LEADS = dg.AssetKey(["marketo", "activity_leads"])
ACTIVITY_TYPES = dg.AssetKey(["marketo", "activity_types"])
LEAD_FIELDS = dg.AssetKey(["marketo", "lead_fields"])
DELETED_LEADS = dg.AssetKey(["marketo", "deleted_leads"])
BY_BOTH_ROUTES = dg.AssetKey(["marketo", "activities_by_both_routes"])

DAYS_LEFT_TAG = "marketo_assets/days_left"


def daily_partitions(config: ActivitiesConfig) -> dg.DailyPartitionsDefinition:
    """UTC days from the configured start to today."""
    return dg.DailyPartitionsDefinition(config.start.isoformat(), timezone="UTC", end_offset=1)


def build_extract_assets(config: ActivitiesConfig) -> Sequence[dg.AssetsDefinition]:
    """The model, the activities, their leads and the deleted ones."""
    assets = [
        _activity_types_asset(config),
        _lead_fields_asset(config),
        _activities_asset(config),
        _deleted_leads_asset(config),
        _both_routes_asset(config),
    ]
    return [*assets, _activity_leads_asset(config)] if config.lead_fields else assets


@contextmanager
def _parts(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
) -> Iterator[tuple[MarketoClient, Warehouse, ActivityStore]]:
    with ExitStack() as stack:
        client = stack.enter_context(marketo.client())
        session = stack.enter_context(warehouse.session())
        store = ActivityStore(session, context.run.run_id, marketo.clock)
        store.create_tables()
        yield client, session, store


def _activity_types_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=ACTIVITY_TYPES,
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo", "snowflake", "table"},
        description="Activity types by Get Activity Types, a row for each change, and one view for each chosen type.",
        metadata={"dagster/table_name": "ACTIVITY_TYPES"},
        check_specs=[checks.drift_spec(ACTIVITY_TYPES)],
    )
    def types(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # Dagster refuses a parameter
        with _parts(context, warehouse, marketo) as (client, session, _):
            found = activity_types(client)
            drift = Catalog(session, context.run.run_id, marketo.clock).note_activity_types(found)
            for sql in activity_views(chosen_types(config, found).types).values():
                session.execute(sql)
        yield checks.drift_result(drift)
        yield dg.MaterializeResult(metadata=metadata.drift(drift, len(found), client.stats))

    return types


def _lead_fields_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=LEAD_FIELDS,
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo", "snowflake", "table"},
        description="Lead fields by Describe Lead, a row for each change.",
        metadata={"dagster/table_name": "LEAD_FIELDS"},
        check_specs=[checks.drift_spec(LEAD_FIELDS)],
    )
    def fields(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        with _parts(context, warehouse, marketo) as (client, session, _):
            found = describe_leads(client)
            drift = Catalog(session, context.run.run_id, marketo.clock).note_lead_fields(found)
            if config.lead_fields:
                session.execute(leads_view(chosen_fields(config.lead_fields, found)[0]))
        yield checks.drift_result(drift)
        yield dg.MaterializeResult(metadata=metadata.drift(drift, len(found), client.stats))

    return fields


def _activities_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=ACTIVITIES,
        deps=[ACTIVITY_TYPES],
        partitions_def=daily_partitions(config),
        # One run for a backfill: a job covers up to 31 days for the price of one, and each day is marked by itself.
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo", "snowflake", "table"},
        description="Marketo activities by UTC day, one row per marketo_guid. A day may be loaded again at any time.",
        metadata=metadata.activities_definition(),
        check_specs=checks.activity_specs(ACTIVITIES),
    )
    def activities(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        days = [date.fromisoformat(key) for key in context.partition_keys]
        started = marketo.clock.monotonic()
        loaded: list[Loaded] = []
        with _parts(context, warehouse, marketo) as (client, session, store):
            try:
                chosen = _chosen(config, client, Catalog(session, context.run.run_id, marketo.clock))
                task = _load_task(context, config, marketo, client, session, store, chosen)
                chosen = _load_what_exists(context, config, task, chosen, days, loaded)
            except BaseException as error:
                # Also when the run is cancelled: a failed run marks no partition, and these days are in the warehouse.
                _mark_done(context, loaded)
                if isinstance(error, QuotaExhaustedError):
                    _remember_days_left(context, ACTIVITIES, _left(days, loaded), error)
                raise
            results = checks.activity_results(store, loaded, chosen, utc_now(marketo.clock))
        for each in loaded:
            for day in each.days:
                context.add_asset_metadata(metadata.day(each, day), partition_key=day.isoformat())
        yield from results
        seconds = marketo.clock.monotonic() - started
        yield dg.MaterializeResult(metadata=metadata.run(loaded, chosen, client.stats, seconds))

    return activities


def _chosen(config: ActivitiesConfig, client: MarketoClient, catalog: Catalog) -> Chosen:
    """By the last look at Marketo's list; by Marketo itself where that does not know all that is asked for.

    What it says is not noted here: the asset of the types is the one to tell of changes.
    """
    chosen = chosen_types(config, catalog.activity_types())
    return chosen if chosen.types and not chosen.unknown else _chosen_now(config, client)


def _chosen_now(config: ActivitiesConfig, client: MarketoClient) -> Chosen:
    chosen = chosen_types(config, activity_types(client))
    if not chosen.types:
        unknown = f"; Marketo has no {', '.join(chosen.unknown)}" if chosen.unknown else ""
        raise dg.Failure(f"marketo.yaml leaves no activity type to read{unknown}", allow_retries=False)
    return chosen


def _load_task(
    context: dg.AssetExecutionContext,
    config: ActivitiesConfig,
    marketo: MarketoResource,
    client: MarketoClient,
    session: Warehouse,
    store: ActivityStore,
    chosen: Chosen,
) -> LoadTask:
    return LoadTask(
        client=client,
        store=store,
        jobs=ExportJobs(session, context.run.run_id, marketo.clock),
        type_ids=chosen.ids,
        route=config.route,
        lookback=config.lookback,
        exclusive=marketo.activity_writes,
        folder=marketo.folder,
        poll_seconds=marketo.export_poll_seconds,
        calls=marketo.concurrent_calls,
    )


def _load_what_exists(
    context: dg.AssetExecutionContext,
    config: ActivitiesConfig,
    task: LoadTask,
    chosen: Chosen,
    days: Sequence[date],
    loaded: list[Loaded],
) -> Chosen:
    """Load the chosen types; where Marketo no longer has one of them, the others. Returns those that were read."""
    try:
        _load(context, task, days, loaded)
    except RequestError:
        now = _chosen_now(config, task.client)
        if now.ids == chosen.ids:
            raise
        _load(context, replace(task, type_ids=now.ids), days, loaded)
        return now
    return chosen


def _load(context: dg.AssetExecutionContext, task: LoadTask, days: Sequence[date], loaded: list[Loaded]) -> None:
    """Load what is not loaded yet; what is, is in `loaded` whatever happens."""
    for each in load_days(task, _left(days, loaded)):
        context.log.info("%s to %s: %s, %s", each.days[0], each.days[-1], each.route, each.reason)
        loaded.append(each)


def _left(days: Sequence[date], loaded: Sequence[Loaded]) -> Sequence[date]:
    done = {day for each in loaded for day in each.days}
    return [day for day in days if day not in done]


def _mark_done(context: dg.AssetExecutionContext, loaded: Sequence[Loaded]) -> None:
    for each in loaded:
        for day in each.days:
            context.log_event(
                dg.AssetMaterialization(ACTIVITIES, partition=day.isoformat(), metadata=metadata.day(each, day))
            )


def _remember_days_left(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, left: Sequence[date], error: QuotaExhaustedError
) -> None:
    """Tell the sensor which days are left of which asset and when there is a new quota."""
    remember_to_resume(context, asset.to_user_string(), error, {DAYS_LEFT_TAG: f"{left[0]}...{left[-1]}"})


def _activity_leads_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=ACTIVITY_LEADS,
        deps=[ACTIVITIES, LEAD_FIELDS],
        partitions_def=daily_partitions(config),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo", "snowflake", "table"},
        description="Details of the leads of a day's activities; the view activities_with_leads joins them.",
        metadata={"dagster/table_name": "ACTIVITY_LEADS"},
    )
    def leads(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # as above
        days = [date.fromisoformat(key) for key in context.partition_keys]
        with _parts(context, warehouse, marketo) as (client, session, _):
            fields, unknown = _fields(config, client, Catalog(session, context.run.run_id, marketo.clock))
            names = [field.name for field in fields]
            table = LeadTable(session, context.run.run_id, marketo.clock.now())
            try:
                counts = look_up(client, table, days, names, config.lead_max_age, calls=marketo.concurrent_calls)
            except QuotaExhaustedError as error:
                _remember_days_left(context, ACTIVITY_LEADS, days, error)
                raise
            session.execute(leads_view(fields))
        return dg.MaterializeResult(metadata=metadata.leads(counts, names, unknown, client.stats))

    return leads


def _fields(config: ActivitiesConfig, client: MarketoClient, catalog: Catalog) -> tuple[list[LeadField], list[str]]:
    fields, unknown = chosen_fields(config.lead_fields, catalog.lead_fields())
    if unknown:
        fields, unknown = chosen_fields(config.lead_fields, describe_leads(client))
    return fields, unknown


def _deleted_leads_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=DELETED_LEADS,
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo", "snowflake", "table"},
        description="Leads deleted in Marketo, one row each. Marketo forgets deletes after 14 days.",
        metadata={"dagster/table_name": "DELETED_LEADS"},
        check_specs=[checks.gap_spec(DELETED_LEADS)],
    )
    def deleted(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        with _parts(context, warehouse, marketo) as (client, session, store):
            found = read_deleted_leads(client, session, store, context.run.run_id, config.start)
        yield checks.gap_result(found)
        yield dg.MaterializeResult(metadata=metadata.deletes(found, client.stats))

    return deleted


def _both_routes_asset(config: ActivitiesConfig) -> dg.AssetsDefinition:
    @dg.asset(
        key=BY_BOTH_ROUTES,
        deps=[ACTIVITIES],
        partitions_def=daily_partitions(config),
        group_name=GROUP,
        owners=config.owners,
        kinds={"marketo"},
        description="A day by bulk extract and by REST, to see whether they agree. On demand: it costs quota of both.",
        check_specs=[checks.agreement_spec(BY_BOTH_ROUTES)],
    )
    def by_both_routes(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, marketo: MarketoResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]  # as above
        day = date.fromisoformat(context.partition_key)
        with _parts(context, warehouse, marketo) as (client, session, store):
            chosen = _chosen(config, client, Catalog(session, context.run.run_id, marketo.clock))
            task = _load_task(context, config, marketo, client, session, store, chosen)
            found = compare_routes(task, day)
        only = {"only_bulk": found.only_bulk, "only_rest": found.only_rest}
        yield checks.agreement_result(day, only, found.both)
        yield dg.MaterializeResult(metadata={"both": found.both, **only, **metadata.calls(client.stats)})

    return by_both_routes
