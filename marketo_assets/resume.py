"""What is written on a run that a daily quota stopped, so that a sensor or schedule goes on with it in time.

Which runs those are, and what of them is left, belongs to the flows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import dagster as dg

from marketo_assets.marketo.errors import QuotaExhaustedError

STOPPED_TAG: Final = "marketo_assets/stopped_by_quota"
"""Whose run it is: the name that its sensor looks for."""

RESUME_AFTER_TAG: Final = "marketo_assets/resume_after"


def remember_to_resume(
    context: dg.AssetExecutionContext, name: str, error: QuotaExhaustedError, more: Mapping[str, str] | None = None
) -> None:
    """Write on the run that it was stopped, from when there is a new quota, and `more` tags."""
    tags = {STOPPED_TAG: name, RESUME_AFTER_TAG: error.resume_at.isoformat(), **(more or {})}
    context.instance.add_run_tags(context.run.run_id, tags)


def resume_after(run: dg.DagsterRun) -> datetime:
    """From when on a stopped run may be gone on with."""
    return datetime.fromisoformat(run.tags[RESUME_AFTER_TAG])
