"""Which fields are kept in step: marketo.yaml against what Marketo and the contact table have now.

A field or column that is gone is named and left out, and the rest flows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig, Winner
from marketo_assets.config_types import compared
from marketo_assets.marketo.leads import LeadField
from marketo_assets.pump.mapping import LeadMapping, candidates, resolve_mapping

COMPANY_LINK: Final = "externalCompanyId"


@dataclass(frozen=True)
class SyncFields:
    """What is kept in step, and what of marketo.yaml is not there (any more)."""

    mapping: LeadMapping
    """All that the pump maps and both sides have."""
    left_alone: frozenset[str]
    """Of these, REST names of fields that the sync leaves alone."""
    mirrored: tuple[LeadField, ...]
    """All that the mirror has; the mapped ones among them."""
    pulled: tuple[tuple[str, LeadField], ...]
    """Column and field of `pull:`."""
    flag: LeadField | None
    """The field set where a contact was deleted."""
    missing: tuple[str, ...]
    """Whole sentences, each naming what marketo.yaml asks for and who does not have it."""

    @property
    def names(self) -> tuple[str, ...]:
        """REST names of the mirror's fields."""
        return tuple(field.name for field in self.mirrored)

    @property
    def types(self) -> dict[str, str]:
        """Data type by REST name."""
        return {field.name: field.data_type for field in self.mirrored}


def sync_fields(
    config: LeadSyncConfig, pump: PumpConfig, described: Sequence[LeadField], columns: Collection[str]
) -> SyncFields:
    """`columns`: of the contact table, in lower case. Raises ConfigError if the key itself is not on both sides."""
    mapping = resolve_mapping(pump, described, columns, leaves_out=True)
    missing = [*mapping.left_out]
    left_alone = set(map(compared, config.except_fields))
    pull = config.pull.columns if config.pull else {}
    pulled = [(column, _known(name, described, missing)) for name, column in pull.items()]
    flag = _known(config.deleted_contacts_field, described, missing) if config.deleted_contacts_field else None
    extra = [_known(name, described, missing) for name in config.extra_fields]
    link = [field for field in described if field.name == COMPANY_LINK]
    mirrored = {
        field.name: field
        for field in (*(each.field for each in mapping.fields), *(f for _, f in pulled), flag, *extra, *link)
        if field is not None
    }
    return SyncFields(
        mapping,
        frozenset(
            field.name
            for field in (each.field for each in mapping.fields)
            if {compared(field.name), compared(field.display_name)} & left_alone
        ),
        tuple(mirrored[name] for name in sorted(mirrored)),
        tuple((column, field) for column, field in pulled if field is not None),
        flag,
        tuple(missing),
    )


def winner(config: LeadSyncConfig, field: LeadField) -> Winner:
    """Who wins a conflict on this field."""
    return config.winner(field.name, field.display_name)


def _known(name: str, described: Sequence[LeadField], missing: list[str]) -> LeadField | None:
    found = candidates(name, described)
    if len(found) == 1:
        return found[0]
    missing.append(f"Marketo has {'several lead fields' if found else 'no lead field'} {name!r}")
    return None
