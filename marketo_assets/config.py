"""marketo.yaml: what is pumped, and how. Read once, validated whole, frozen; every complaint names its line.

Only what the file itself can show is checked here. What needs Marketo's Describe or the warehouse's columns
is checked by `pump.mapping` and `pump.drop`, with the line remembered here.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from marketo_assets.config_sync import LeadSyncConfig, SyncConfig
from marketo_assets.config_types import (
    PLACE,
    ActivityTypeNames,
    ConfigError,
    CronLine,
    Day,
    Duration,
    ExceptedTypeNames,
    FieldMapping,
    Mapping,
    Names,
    Owner,
    PlainName,
    PollingInterval,
    SnowflakeName,
    Strict,
    TableConfig,
    WholeDays,
    compared,
)

Keys = tuple[Hashable, ...]


class ApiBudgetConfig(Strict):
    """Marketo's limits, which the whole instance shares (fact sheet: Limits), and what we leave to others."""

    calls_per_day: int = Field(50_000, gt=0)
    reserve_for_others: float = Field(0.2, ge=0, lt=1)
    calls_per_20s: int = Field(100, ge=2)
    concurrent_calls: int = Field(10, gt=0)


class SourceConfig(TableConfig):
    """The warehouse table that a pump reads."""

    updated_at: SnowflakeName


class PumpConfig(Strict):
    """One pump: a table, its mapping, and the rules for what goes wrong."""

    source: SourceConfig
    owners: tuple[Owner, ...] = ()
    schedule: CronLine | None = None
    lookup_field: str = "email"
    duplicates: Literal["latest_updated", "oldest", "all", "reject"] = "latest_updated"
    route: Literal["json"] = "json"
    max_reject_rate: float = Field(0.05, ge=0, le=1)
    max_rows_per_file: int = Field(100_000, gt=0)
    mapping: Mapping

    @model_validator(mode="after")
    def _columns_and_fields_are_named_once(self) -> "PumpConfig":
        first: dict[str, FieldMapping] = {}
        columns: dict[str, FieldMapping] = {}
        for entry in self.mapping:
            other = columns.setdefault(entry.column.casefold(), entry)
            if other is not entry:
                message = (
                    f"the columns {other.column!r} ({other.place}) and {entry.column!r} ({entry.place}) differ in case"
                    " only, which neither Snowflake nor the header of a file tells apart; keep one of them"
                )
                raise ValueError(message)
            other = first.setdefault(entry.to.casefold(), entry)
            if other is not entry:
                message = (
                    f"columns {other.column!r} ({other.place}) and {entry.column!r} ({entry.place}) are both mapped"
                    f" to the field {entry.to!r}; keep one of them"
                )
                raise ValueError(message)
        if self.source.key not in {entry.column for entry in self.mapping}:
            message = f"the key column {self.source.key!r} has no line in mapping; map it to the lookup field"
            raise ValueError(message)
        return self


class ActivitiesConfig(Strict):
    """Which of Marketo's activities the warehouse gets, from when on and how often."""

    start: Day
    owners: tuple[Owner, ...] = ()
    types: ActivityTypeNames = None
    """By name or id; None for all of them."""
    except_types: ExceptedTypeNames = ()
    polling_interval: PollingInterval = timedelta(hours=24)
    lookback: WholeDays = timedelta(days=3)
    route: Literal["auto", "bulk", "rest"] = "auto"
    lead_fields: Names = ()
    lead_max_age: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _some_type_is_left(self) -> "ActivitiesConfig":
        if self.types is not None and not set(map(compared, self.types)) - set(map(compared, self.except_types)):
            message = "no activity type is left; name some in types, or write `types: all`"
            raise ValueError(message)
        return self


class ExtractConfig(Strict):
    """What is read from Marketo for reports."""

    activities: ActivitiesConfig


class MarketoConfig(Strict):
    """The whole of marketo.yaml."""

    api_budget: ApiBudgetConfig = ApiBudgetConfig()
    extract: ExtractConfig | None = None
    pumps: dict[PlainName, PumpConfig] = Field(default_factory=dict)
    sync: SyncConfig | None = None

    @model_validator(mode="after")
    def _synced_contacts_are_pumped(self) -> "MarketoConfig":
        if self.sync and self.sync.leads:
            self._check_leads(self.sync.leads)
        return self

    def _check_leads(self, leads: LeadSyncConfig) -> None:
        if leads.pump not in self.pumps:
            message = f"sync.leads.pump names {leads.pump!r}, which stands not under pumps; name one of {[*self.pumps]}"
            raise ValueError(message)


@dataclass(frozen=True)
class _Document:
    """YAML as plain data, and the line of each of its keys."""

    data: Any
    lines: dict[Keys, int]


def load_config(path: Path) -> MarketoConfig:
    """Read and validate marketo.yaml.

    Raises ConfigError with one line per problem: `marketo.yaml:12: pumps.contacts.shedule: unknown key …`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: no such file; set MARKETO_ASSETS_CONFIG to the path of marketo.yaml"],
        ) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path.name}: not in UTF-8; save it as UTF-8"]) from None
    try:
        document = _parse(text, path.name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError([f"{path.name}:{line}: not valid YAML: {error.problem or error.context}"]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([f"{path.name}:{line}: not valid YAML: {error.reason}"]) from None
    try:
        return MarketoConfig.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError([_complaint(problem, document, path.name) for problem in error.errors()]) from None


def _parse(text: str, name: str) -> _Document:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    lines: dict[Keys, int] = {}
    loader = yaml.SafeLoader("")
    data = {} if node is None else _plain(node, (), lines, loader, name)
    return _Document(data, lines)


def _plain(node: yaml.Node, at: Keys, lines: dict[Keys, int], loader: yaml.SafeLoader, name: str) -> Any:
    """Turn a YAML node into plain data, noting the line of each key and refusing a key that stands twice."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*at, index), lines, loader, name) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node, loader, name)
    data: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError([f"{name}:{line}: not a key: expected plain text before the colon; put it in quotes"])
        key = _scalar(key_node, loader, name)
        here = (*at, key)
        if key in data:
            raise ConfigError(
                [f"{name}:{line}: {_dotted(here)}: stands twice (first on line {lines[here]}); keep one of them"],
            )
        lines[here] = line
        value = _plain(value_node, here, lines, loader, name)
        if len(at) >= _MAPPING_DEPTH and at[-1] == "mapping":
            value = {**(value if isinstance(value, dict) else {"to": value}), PLACE: f"{name}:{line}"}
        data[key] = value
    return data


def _scalar(node: yaml.Node, loader: yaml.SafeLoader, name: str) -> Any:
    """One value; what looks like a day or a number and is none is refused: 2026-02-30."""
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:
        raise ConfigError([f"{name}:{node.start_mark.line + 1}: not valid YAML: {error}"]) from None


_MAPPING_DEPTH = len(("pumps", "<pump>", "mapping"))


def _complaint(problem: Any, document: _Document, name: str) -> str:
    """One sentence for one pydantic error: file, line, dotted key, what is wrong, what is allowed."""
    keys = _keys_in_file(problem["loc"], document.data)
    line = next((document.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in document.lines), 1)
    if problem["type"] == "extra_forbidden":
        said = "unknown key; docs/configuration.md lists the keys that exist"
    elif problem["type"] == "missing":
        said = "missing; it has no default"
    else:
        said = problem["msg"].removeprefix("Value error, ")
    return f"{name}:{line}: {_dotted(keys)}: {said}"


def _keys_in_file(location: tuple[Hashable, ...], data: Any) -> Keys:
    """Translate pydantic's path (which counts mapping entries) into the keys as they stand in the file."""
    keys: list[Hashable] = []
    for part in location:
        if isinstance(part, int) and isinstance(data, dict) and part not in data and part < len(data):
            part = list(data)[part]  # noqa: PLW2901  # the entry's number becomes the entry's name
        keys.append(part)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return tuple(keys)


def _dotted(keys: Keys) -> str:
    return ".".join(str(key) for key in keys) or "(whole file)"
