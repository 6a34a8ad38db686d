"""The local Marketo: the emulator of the package marketo/ behind HTTP, in a process of the sandbox's own.

Does not belong here: how Marketo behaves.
"""

import gc
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox import marketo

ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
"""Python's own 700 are fewer than the parts of one call's rows: looking through them took half of the time."""


def serve(
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    options: Mapping[str, Any],
    leads: int,
    activities: int,
    days: int,
) -> None:
    """Answer at the address of `listener` until the process is told to stop; `ready` is called when that begins.

    `options` are EmulatorOptions as JSON carries them. Leads are filled up to `leads` where the state has fewer, and so
    are activities, over the past `days` days, where it has had fewer. ValueError for activities without any lead.
    """
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    emulator = marketo.Emulator(read_options(options), SystemClock())
    emulator.fill(max(0, leads - emulator.lead_count()))
    missing = activities - emulator.activities_made()
    if missing > 0:
        emulator.fill_activities(missing, days)
    port = listener.getsockname()[1]
    listener.close()  # the emulator's server binds for itself; until now nobody else could take the port
    marketo.serve(emulator, port, ready=lambda _port: ready())


def read_options(options: Mapping[str, Any]) -> marketo.EmulatorOptions:
    """EmulatorOptions from what dataclasses.asdict and JSON made of them."""
    return marketo.EmulatorOptions(
        **{
            **options,
            "rate": options["rate"] and tuple(options["rate"]),
            "state": options["state"] and Path(options["state"]),
            "partitions": tuple(options["partitions"]),
            "lists": tuple(options["lists"]),
            "programs": tuple(options["programs"]),
            "custom_objects": tuple(_read_object(**given) for given in options["custom_objects"]),
            "custom_activity_types": tuple(_read_type(**given) for given in options["custom_activity_types"]),
            "faults": [marketo.Fault(**fault) for fault in options["faults"]],
        }
    )


def _read_object(
    *,
    fields: Sequence[Mapping[str, Any]],
    links: Sequence[Mapping[str, Any]],
    dedupe_fields: Sequence[str],
    also_searchable: Sequence[str],
    **given: Any,
) -> marketo.ObjectType:
    return marketo.ObjectType(
        **given,
        fields=tuple(marketo.ObjectField(**field) for field in fields),
        dedupe_fields=tuple(dedupe_fields),
        links=tuple(marketo.ObjectLink(**link) for link in links),
        also_searchable=tuple(also_searchable),
    )


def _read_type(
    *, primary: Mapping[str, Any] | None, attributes: Sequence[Mapping[str, Any]], **given: Any
) -> marketo.ActivityType:
    return marketo.ActivityType(
        **given,
        primary=None if primary is None else marketo.ActivityAttribute(**primary),
        attributes=tuple(marketo.ActivityAttribute(**attribute) for attribute in attributes),
    )
