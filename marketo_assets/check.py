"""`marketo-assets check`: is everything reachable, and does marketo.yaml fit what is there? Writes nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, cast

import click
import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.config import ConfigError, PumpConfig
from marketo_assets.marketo.leads import LeadField, describe_leads
from marketo_assets.pump.drop import observe_source
from marketo_assets.pump.mapping import resolve_mapping
from marketo_assets.resources import MarketoResource, WarehouseResource, build_resources
from marketo_assets.settings import Settings


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


def _mapping(pump: PumpConfig, described: list[LeadField]) -> str:
    if not described:
        raise ConfigError(["not looked at, because Marketo did not say which fields it has"])
    return f"{len(resolve_mapping(pump, described).fields)} fields exist and are writable"


def _table(pump: PumpConfig, resources: _Resources) -> str:
    with resources.warehouse.session() as session:
        return f"{observe_source(session, pump).contacts} contacts in {pump.source.table}"
