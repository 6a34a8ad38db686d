"""What the models of marketo.yaml are made of: names, durations, days, mappings."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from marketo_assets.warehouse.sql import identifier

# A key that no YAML author can mean: where the mapping entry stands, put there by the loader.
PLACE = "\0place"


class ConfigError(ValueError):
    """marketo.yaml (or the environment) is wrong. The message lists every problem, one a line, with what to do."""

    def __init__(self, problems: list[str]) -> None:
        """`problems` are whole sentences, each naming its place."""
        self.problems = problems
        super().__init__("\n".join(problems))


class Strict(BaseModel):
    """Frozen; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _snowflake_name(name: str) -> str:
    identifier(name)
    return name


def _cron_line(line: str) -> str:
    try:
        dg.ScheduleDefinition(name="schedule", job_name="job", cron_schedule=line)
    except dg.DagsterInvalidDefinitionError:
        message = f"{line!r} is not a cron line; expected five fields such as '0 * * * *'"
        raise ValueError(message) from None
    return line


_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


def _duration(text: Any) -> Any:
    """`5m`, `24h`, `3d` as a timedelta."""
    parts = re.fullmatch(r"([1-9]\d{0,4})([mhd])", str(text))
    if parts is None:
        message = f"{text!r} is not a duration; expected a number and m, h or d, such as 5m, 24h or 3d"
        raise ValueError(message)
    return timedelta(seconds=int(parts[1]) * _SECONDS[parts[2]])


def _kept_by_the_clock(interval: timedelta) -> timedelta:
    minutes = int(interval.total_seconds()) // 60
    if minutes > _DAY_MINUTES or (60 % minutes and minutes % 60) or _DAY_MINUTES % minutes:
        message = "cannot be kept by the clock; expected minutes that divide the hour or hours that divide the day"
        raise ValueError(message)
    return interval


def _whole_days(duration: timedelta) -> timedelta:
    if duration % timedelta(days=1):
        message = "expected whole days, such as 3d"
        raise ValueError(message)
    return duration


def _day(text: Any) -> Any:
    """A day as YAML has read it; nothing that only could be one, such as seconds since 1970."""
    if type(text) is date:
        return text
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        shown = str(text) if isinstance(text, date) else text
        message = f"{shown!r} is not a day; expected one such as 2026-01-01"
        raise ValueError(message)
    return date.fromisoformat(text)


def _names(names: Any) -> Any:
    if not isinstance(names, list):
        message = f"expected a list, such as [{names}]"
        raise ValueError(message)  # noqa: TRY004 - pydantic takes ValueErrors alone
    return names


def _type_names(names: Any) -> Any:
    if names == "all":
        return None
    if not isinstance(names, list):
        message = f"expected `all` or a list of names and ids, such as [{names}]"
        raise ValueError(message)  # noqa: TRY004 - as above
    return names


def compared(name: str | int) -> str:
    """A name of Marketo's, or an id, as names are compared: case and blanks around words aside."""
    return " ".join(str(name).split()).casefold()


_DAY_MINUTES = 24 * 60

SnowflakeName = Annotated[str, AfterValidator(_snowflake_name)]
Day = Annotated[date, BeforeValidator(_day)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
ExceptedTypeNames = Annotated[tuple[str | int, ...], BeforeValidator(_names)]
ActivityTypeNames = Annotated[tuple[str | int, ...] | None, BeforeValidator(_type_names)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
PollingInterval = Annotated[Duration, AfterValidator(_kept_by_the_clock)]
WholeDays = Annotated[Duration, AfterValidator(_whole_days)]
CronLine = Annotated[str, AfterValidator(_cron_line)]
PlainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
ApiName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Owner = Annotated[str, Field(pattern=r"^team:.+$|^[^@ ]+@[^@ ]+$")]


class TableConfig(Strict):
    """A warehouse table and the column that identifies its rows."""

    table: SnowflakeName
    key: SnowflakeName


class FieldMapping(Strict):
    """One source column and the Marketo field that it fills."""

    column: SnowflakeName
    to: str
    when_null: Literal["omit", "clear"] = "omit"
    when_too_long: Literal["reject", "truncate"] = "reject"
    place: str = Field(alias="\0place")


def _mapping_entries(raw: Any) -> Any:
    """Bring `column: field` and `column: {to: field, …}` to one shape."""
    if not isinstance(raw, dict):
        return raw
    entries = []
    for column, target in raw.items():
        fields = target if isinstance(target, dict) else {"to": target}
        entries.append({**fields, "column": column})
    return tuple(entries)


Mapping = Annotated[tuple[FieldMapping, ...], BeforeValidator(_mapping_entries), Field(min_length=1)]
