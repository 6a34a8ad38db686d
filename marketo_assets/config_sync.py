"""`sync:` of marketo.yaml: leads both ways, companies and custom objects to Marketo, who wins where both changed."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from marketo_assets.config_types import (
    ApiName,
    Day,
    Mapping,
    Names,
    Owner,
    PlainName,
    PollingInterval,
    SnowflakeName,
    Strict,
    TableConfig,
    compared,
)

Winner = Literal["warehouse", "marketo", "latest"]


class PullConfig(Strict):
    """Where Marketo's values go in the warehouse."""

    columns: dict[str, SnowflakeName] = Field(min_length=1)
    """Field (REST name or display name) to column."""
    into: Literal["table_beside", "contact_table"] = "table_beside"
    table: SnowflakeName | None = None
    """The table beside; by default `<PUMP>_FROM_MARKETO` in our own schema."""


class LeadSyncConfig(Strict):
    """Leads, which stand for the contacts of one pump."""

    start: Day
    """No lead was created before it: where a reconciliation begins."""
    pump: PlainName
    owners: tuple[Owner, ...] = ()
    extra_fields: Names = ()
    """Mirrored besides the pump's fields."""
    except_fields: Names = ()
    """Of the pump's mapping, left alone by the sync."""
    conflicts: Winner = "warehouse"
    conflicts_by_field: dict[str, Winner] = Field(default_factory=dict)
    deletes: Literal["flag", "delete", "ignore"] = "flag"
    """Rows of the mirror whose lead was deleted in Marketo."""
    lost_leads: Literal["leave", "unlink", "recreate"] = "leave"
    """Contacts whose lead was deleted, or merged into the lead of somebody else."""
    deleted_contacts: Literal["leave", "flag", "delete"] = "leave"
    """Leads whose contact was deleted in the warehouse."""
    deleted_contacts_field: str | None = None
    max_delete_share: float = Field(0.05, ge=0, le=1)
    """Of the linked contacts; if more are gone at once, nothing is deleted or flagged."""
    pull: PullConfig | None = None

    @model_validator(mode="after")
    def _a_flag_has_its_field(self) -> "LeadSyncConfig":
        if (self.deleted_contacts == "flag") != (self.deleted_contacts_field is not None):
            message = "deleted_contacts: flag goes with deleted_contacts_field: the boolean field of the lead to set"
            raise ValueError(message)
        return self

    def winner(self, *names: str) -> Winner:
        """Who wins on the field of these names (REST name, display name)."""
        rules = {compared(name): rule for name, rule in self.conflicts_by_field.items()}
        return next((rules[compared(name)] for name in names if compared(name) in rules), self.conflicts)


class CompanyConfig(Strict):
    """Companies, which the warehouse is the source of truth for."""

    enabled: bool = True
    source: TableConfig
    """`key` is the column of externalCompanyId."""
    owners: tuple[Owner, ...] = ()
    mapping: Mapping
    deletes: Literal["leave", "delete"] = "leave"
    """Companies of Marketo whose row is gone in the warehouse."""
    max_delete_share: float = Field(0.05, ge=0, le=1)


class CustomObjectSource(Strict):
    """The warehouse table of a custom object."""

    table: SnowflakeName
    key: tuple[SnowflakeName, ...] = Field(min_length=1)
    """The columns mapped to the dedupe fields."""


class CustomObjectConfig(Strict):
    """Records of one custom object type, which the warehouse is the system of record for."""

    enabled: bool = True
    source: CustomObjectSource
    owners: tuple[Owner, ...] = ()
    mapping: Mapping
    parents: tuple[ApiName, ...] = ()
    """Custom objects that this one links to: they are sent before it."""
    deletes: Literal["leave", "delete"] = "delete"
    max_delete_share: float = Field(0.05, ge=0, le=1)


class SyncConfig(Strict):
    """What is kept in step both ways."""

    polling_interval: PollingInterval = timedelta(minutes=5)
    leads: LeadSyncConfig | None = None
    companies: dict[PlainName, CompanyConfig] = Field(default_factory=dict)
    custom_objects: dict[ApiName, CustomObjectConfig] = Field(default_factory=dict)
    """By API name."""
