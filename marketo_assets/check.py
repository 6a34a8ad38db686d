"""`marketo-assets check`: is everything reachable, and does marketo.yaml fit what is there? Writes nothing."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, cast

import click
import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.config import ActivitiesConfig, MarketoConfig, PumpConfig
from marketo_assets.config_sync import LeadSyncConfig, SyncConfig
from marketo_assets.config_types import ConfigError
from marketo_assets.extract.catalog import chosen_fields, chosen_types
from marketo_assets.marketo.activities import activity_types
from marketo_assets.marketo.leads import LeadField, describe_leads
from marketo_assets.pump.drop import observe_source
from marketo_assets.pump.mapping import absent_columns, resolve_mapping
from marketo_assets.resources import MarketoResource, WarehouseResource, build_resources
from marketo_assets.settings import Settings
from marketo_assets.sync import preflight
from marketo_assets.sync.objects_definition import ObjectSync


class _Resources(Protocol):
    """What `build_resources` names."""

    warehouse: WarehouseResource
    marketo: MarketoResource


@click.command()
def check() -> None:
    """Check the environment, marketo.yaml, and that Snowflake, S3 and Marketo fit it. Writes nothing."""
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"ok    marketo.yaml and the environment ({settings.environment})")
    failed = 0
    with dg.build_resources(build_resources(settings)) as resources:
        for name, examine in _examinations(settings, cast("_Resources", resources)):
            try:
                click.echo(f"ok    {name}: {examine()}")
            except Exception as error:  # noqa: BLE001  # whatever is wrong is told, and the next one looked at
                failed += 1
                click.echo(f"FAIL  {name}: {error}", err=True)
    if failed:
        raise click.ClickException(f"{failed} of the above must be mended")


def _examinations(settings: Settings, resources: _Resources) -> Iterator[tuple[str, Callable[[], str]]]:
    described: list[LeadField] = []

    def marketo() -> str:
        with resources.marketo.client() as client:
            described.extend(describe_leads(client))
        return f"{len(described)} lead fields"

    def bucket() -> str:
        S3Resource().get_client().head_bucket(Bucket=settings.bucket)
        return f"s3://{settings.bucket}/{settings.prefix}"

    yield "Marketo", marketo
    yield "S3", bucket
    for name, pump in settings.config.pumps.items():
        yield f"mapping of {name}", partial(_mapping, pump, described)
        yield f"table of {name}", partial(_table, pump, resources)
    if settings.config.extract:
        activities = settings.config.extract.activities
        yield "activity types of the extract", partial(_activity_types, activities, resources)
        if activities.lead_fields:
            yield "lead fields of the extract", partial(_lead_fields, activities, described)
        yield "schema of the extract", partial(_schema, settings, resources)
    if settings.config.sync:
        yield from _sync(settings.config, settings.config.sync, described, resources)


def _sync(
    config: MarketoConfig, sync: SyncConfig, described: list[LeadField], resources: _Resources
) -> Iterator[tuple[str, Callable[[], str]]]:
    leads = sync.leads
    if leads:
        yield "leads of the sync", partial(_synced_leads, leads, config.pumps[leads.pump], described, resources)
    for each in preflight.objects(sync):
        yield each.name, partial(_synced_object, each, resources)


def _synced_leads(leads: LeadSyncConfig, pump: PumpConfig, described: list[LeadField], resources: _Resources) -> str:
    _must_be_described(described)
    with resources.warehouse.session() as session:
        return preflight.look_at_leads(leads, pump, described, session)


def _synced_object(sync: ObjectSync, resources: _Resources) -> str:
    with resources.marketo.client() as client, resources.warehouse.session() as session:
        return preflight.look_at_object(sync, client, session)


def _mapping(pump: PumpConfig, described: list[LeadField]) -> str:
    _must_be_described(described)
    return f"{len(resolve_mapping(pump, described).fields)} fields exist and are writable"


def _must_be_described(described: list[LeadField]) -> None:
    if not described:
        raise ConfigError(["not looked at, because Marketo did not say which fields it has"])


def _table(pump: PumpConfig, resources: _Resources) -> str:
    with resources.warehouse.session() as session:
        source = observe_source(session, pump)
    if absent := absent_columns(pump, source.columns):
        raise ConfigError([*absent.values()])
    return f"{source.contacts} contacts in {pump.source.table}"


def _activity_types(config: ActivitiesConfig, resources: _Resources) -> str:
    with resources.marketo.client() as client:
        types = activity_types(client)
    chosen = chosen_types(config, types)
    _must_exist(chosen.unknown, "activity type", [each.name for each in types])
    if not chosen.types:
        raise ConfigError(["none is left to read: deletes come from Get Deleted Leads without being chosen"])
    return f"{len(chosen.types)} of {len(types)} are chosen"


def _lead_fields(config: ActivitiesConfig, described: list[LeadField]) -> str:
    _must_be_described(described)
    known, unknown = chosen_fields(config.lead_fields, described)
    _must_exist(unknown, "lead field", [name for field in described for name in (field.name, field.display_name)])
    return f"{len(known)} exist"


def _must_exist(unknown: Iterable[str], what: str, names: Sequence[str]) -> None:
    problems = []
    for name in unknown:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        problems.append(f"Marketo has no {what} {name!r}{hint}")
    if problems:
        raise ConfigError(problems)


def _schema(settings: Settings, resources: _Resources) -> str:
    """Whether tables can be created in it only a table could show, and nothing is written here."""
    name = f"{settings.snowflake.database}.{settings.snowflake.schema}"
    with resources.warehouse.session() as session:
        (current,) = session.rows("select current_schema() as name")
        if not current["name"]:
            raise ConfigError([f"{name} is not there, or the role may not use it; create it and grant CREATE TABLE"])
        tables = session.rows(
            "select count(*) as n from information_schema.tables where table_schema = current_schema()"
        )
    return f"{name}, with {tables[0]['n']} tables and views"
