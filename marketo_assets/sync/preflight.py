"""What `marketo-assets check` says of `sync:`: whether all that it names is there. Writes nothing."""

from collections.abc import Iterable, Sequence

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig, SyncConfig
from marketo_assets.config_types import ConfigError, compared
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.leads import LeadField
from marketo_assets.marketo.records import describe_records
from marketo_assets.sync.fields import sync_fields
from marketo_assets.sync.objects_definition import ObjectSync, company_sync, custom_object_sync, fit
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import identifier


def look_at_leads(
    config: LeadSyncConfig, pump: PumpConfig, described: Sequence[LeadField], warehouse: Warehouse
) -> str:
    """Raises ConfigError that names every field or column that is not there."""
    found = sync_fields(config, pump, described, warehouse.columns(identifier(pump.source.table)))
    known = {compared(name) for field in described for name in (field.name, field.display_name)}
    rules = [name for name in (*config.conflicts_by_field, *config.except_fields) if compared(name) not in known]
    problems = [*found.missing, *(f"Marketo has no lead field {name!r}" for name in rules)]
    if problems:
        raise ConfigError(problems)
    kept_in_step = len(found.mapping.fields) - len(found.left_alone)
    return f"{kept_in_step} fields in step, {len(found.mirrored)} mirrored, {len(found.pulled)} pulled"


def objects(config: SyncConfig) -> Iterable[ObjectSync]:
    """Companies and custom objects that are on."""
    yield from (company_sync(name, each) for name, each in config.companies.items() if each.enabled)
    yield from (custom_object_sync(name, each) for name, each in config.custom_objects.items() if each.enabled)


def look_at_object(sync: ObjectSync, client: MarketoClient, warehouse: Warehouse) -> str:
    """Raises ConfigError for what does not fit, RequestError for a type that Marketo does not have."""
    described = describe_records(client, sync.kind)
    found = fit(sync, described, warehouse.columns(identifier(sync.table)), {})
    if found.mapping is None or found.left_out:
        raise ConfigError([*found.problems, *found.left_out])
    return f"{len(found.mapping.fields)} fields exist, {', '.join(described.dedupe_fields)} is the key"
