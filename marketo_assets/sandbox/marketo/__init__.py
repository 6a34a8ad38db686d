"""A stateful emulator of the Marketo Engage REST API, on loopback or in process.

docs/emulator.md says what it does, what it leaves out, and which behaviours are choices. Nothing outside the sandbox
and the tests imports it, and it knows nothing of Dagster or the warehouse.
"""

from marketo_assets.sandbox.marketo.activity_types import ActivityAttribute, ActivityType
from marketo_assets.sandbox.marketo.emulator import Emulator
from marketo_assets.sandbox.marketo.faults import Fault, FaultsError, load_faults
from marketo_assets.sandbox.marketo.fields import Field
from marketo_assets.sandbox.marketo.object_file import CustomObjectsError, load_custom_objects
from marketo_assets.sandbox.marketo.object_types import COMPANY, LEAD, ObjectField, ObjectLink, ObjectType
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sandbox.marketo.server import LocalServer, serve
from marketo_assets.sandbox.marketo.transport import EmulatorTransport
from marketo_assets.sandbox.marketo.wire import Reply, Request

__all__ = [
    "COMPANY",
    "LEAD",
    "ActivityAttribute",
    "ActivityType",
    "CustomObjectsError",
    "Emulator",
    "EmulatorOptions",
    "EmulatorTransport",
    "Fault",
    "FaultsError",
    "Field",
    "LocalServer",
    "ObjectField",
    "ObjectLink",
    "ObjectType",
    "Reply",
    "Request",
    "load_custom_objects",
    "load_faults",
    "serve",
]
