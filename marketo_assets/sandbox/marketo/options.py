"""What an emulator is started with. The named switches are choices where the real behaviour is not confirmed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from marketo_assets.sandbox.marketo.activity_types import ActivityType
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets.sandbox.marketo.object_types import ObjectType

MAX_ROWS = 300
"""Rows in one write, values in one filter, leads on one page."""
MAX_MATCHES = 1_000
"""Leads one filter may match."""
MAX_LOSERS = 25
"""Leads one merge may take in."""
MAX_BODY_BYTES = 1_000_000
"""The documented 1 MB, read strictly: a client that keeps to it keeps to 1,048,576 as well."""
MAX_URI_BYTES = 8_000
"""The documented 8 KB, read strictly; path and query together."""


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """Limits, identity, latency, state and switches of one emulated instance; None takes a limit away."""

    rate: tuple[int, float] | None = (100, 20.0)
    """Calls per so many seconds, sliding, for the whole instance (606)."""
    concurrency: int | None = 10
    """Calls in flight, for the whole instance (615)."""
    daily_quota: int | None = 50_000
    """Calls per US Central day, for the whole instance (607)."""
    token_seconds: int = 3600
    latency_ms: float = 0.0
    """How long every call takes; what a write does to the store happens at its end."""
    state: Path | None = None
    """SQLite file that survives a restart. None: a private temporary file that goes with the emulator."""
    client_id: str = "local-client"
    client_secret: str = "local-secret"  # noqa: S105 - the stand-in's own credentials, of use on loopback only
    api_user: str = "api-user@example.test"
    partitions: tuple[str, ...] = ("Default", "Europe")
    """Lead partitions the API user may write to, ids from 1; the first holds what names none."""
    lists: tuple[str, ...] = ("Newsletter", "Customers")
    """Static lists, ids from 1001."""
    programs: tuple[str, ...] = ("Webinar", "Trial")
    """Programs, ids from 2001."""
    custom_objects: tuple[ObjectType, ...] = ()
    """Types of custom objects there are at the start."""
    native_crm: bool = False
    """A CRM is natively in step with the instance: its companies can be read only (1018)."""
    custom_activity_types: tuple[ActivityType, ...] = ()
    """Beside the standard ones, ids from 100001; one with the id of a standard type takes its place."""
    deleted_lead_days: int | None = 14
    """How long Delete Lead activities are kept; None: for ever."""
    short_lived_activity_days: int | None = 90
    """How long the documented 90-day types are kept (SHORT_LIVED_TYPES); None: for ever. Others stay."""
    live_activities_per_minute: float = 0.0
    """How many new activities come by themselves while time passes, where there are leads."""
    faults: tuple[Fault, ...] | list[Fault] = ()
    parameter_token_is_invalid: bool = False
    """UNCONFIRMED: a call that still sends its token as a query or form parameter gets 601 instead of 603."""
    unknown_row_field: Literal["row", "response"] = "row"
    """UNCONFIRMED: whether an unknown field name (1006) fails its row or the whole call."""
    unknown_company: Literal["skip", "ignore"] = "skip"
    """UNCONFIRMED: whether a lead's row that names a company which is not there is skipped, or written without it."""
    deletes_in_activities: bool = True
    """UNCONFIRMED: whether activities.json has Delete Lead too, or deletedleads.json alone."""
    export_refresh_seconds: float = 60.0
    """How far apart the moments are at which the status of an export job is looked up; 0: it is always the latest."""
    export_seconds: float = 60.0
    """How long an export job is Processing, besides the time for its size."""
    export_seconds_per_mb: float = 0.5
    export_quota_bytes: int | None = 500_000_000
    """Size of the files exported in a US Central day, after which no job is created or enqueued (1029)."""
    updated_at_filter: bool = True
    """Whether leads can be exported by `updatedAt`: not every subscription can (1035)."""
    export_end_is_inclusive: bool = True
    """UNCONFIRMED: whether the second `endAt` of an export is part of it, as `startAt` is."""
    empty_export_is_header: bool = True
    """UNCONFIRMED: whether the file of an export without rows is its header line or holds nothing."""
    cancelled_export: Literal["Cancelled", "Canceled"] = "Cancelled"
    """How the status of a cancelled job is spelled: the documentation does it in both ways."""
    paging_token_seconds: int | None = None
    """UNCONFIRMED: how long the paging tokens of activity streams are good for; None: for ever."""
