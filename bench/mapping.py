"""The project's marketo.yaml resolved against the emulator's lead fields, without asking anybody."""

from pathlib import Path

from marketo_assets.config import load_config
from marketo_assets.marketo.leads import LeadField
from marketo_assets.pump.mapping import LeadMapping, resolve_mapping
from marketo_assets.sandbox.marketo.fields import known_fields


def project_mapping() -> LeadMapping:
    """All mapped columns of the pump `contacts`."""
    described = [LeadField(f.name, f.display_name, f.data_type, f.length, f.read_only) for f in known_fields()]
    return resolve_mapping(load_config(Path("marketo.yaml")).pumps["contacts"], described)
