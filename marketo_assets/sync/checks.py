"""What must hold of the leads' sync, as asset checks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from marketo_assets.extract.catalog import Drift
from marketo_assets.extract.metadata import changes
from marketo_assets.sync.apply import Applied
from marketo_assets.sync.contacts import ContactCounts
from marketo_assets.sync.feed import FeedCounts
from marketo_assets.sync.gone import Gone

NO_GAP: Final = "no_changes_forgotten"
MODEL: Final = "model_is_as_configured"
DRIFT: Final = "model_is_unchanged"
KNOWN: Final = "changed_fields_are_known"
SENT: Final = "every_change_is_settled"
BOUNDED: Final = "deletes_within_bounds"


def feed_specs(asset: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """The checks that `feed_results` answers."""
    return [
        dg.AssetCheckSpec(
            NO_GAP, asset=asset, description="nothing happened that Marketo had forgotten before we read"
        ),
        dg.AssetCheckSpec(MODEL, asset=asset, description="every field and column that marketo.yaml names is there"),
        dg.AssetCheckSpec(DRIFT, asset=asset, description="Marketo's lead fields are as they were at the last look"),
    ]


def feed_results(counts: FeedCounts, missing: Sequence[str], drift: Drift) -> Sequence[dg.AssetCheckResult]:
    """Warnings all three: the rest flows."""
    gaps = {
        stream: f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}" for stream, (since, until) in counts.gaps.items()
    }
    reads = {"next": "marketo/leads reads all leads anew and closes the gap"} if gaps else {}
    return [
        _warning(NO_GAP, passed=not gaps, metadata={**gaps, **reads}),
        _warning(MODEL, passed=not missing, metadata={"missing": "; ".join(missing) or "nothing"}),
        _warning(DRIFT, passed=not drift.is_some, metadata=changes(drift)),
    ]


def mirror_specs(asset: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """The check that `mirror_results` answers."""
    return [dg.AssetCheckSpec(KNOWN, asset=asset, description="the feed told of no field that Describe Lead has not")]


def mirror_results(applied: Applied) -> Sequence[dg.AssetCheckResult]:
    """Such a change is left out; names only."""
    unknown = sorted(applied.unknown_fields)
    return [_warning(KNOWN, passed=not unknown, metadata={"unknown_fields": ", ".join(unknown) or "none"})]


def contact_specs(asset: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """The checks that `contact_results` answers."""
    return [
        dg.AssetCheckSpec(SENT, asset=asset, description="no change waits for another sync, none was refused"),
        dg.AssetCheckSpec(BOUNDED, asset=asset, description="no more contacts are gone than marketo.yaml allows"),
    ]


def contact_results(counts: ContactCounts, gone: Gone, max_share: float) -> Sequence[dg.AssetCheckResult]:
    """Refused changes warn; deletes that are held back fail, for nobody but a person can say what is right."""
    waiting = {f"unsent_{code}": n for code, n in counts.unsent.items()}
    refused = {f"rejected_{code}": n for code, n in counts.rejected.items()}
    held_back = (
        f"{gone.found} of {gone.linked} contacts are gone from the contact table, more than {max_share:.0%}: nothing"
        " was done to their leads. If it is right, raise sync.leads.max_delete_share for one run"
    )
    return [
        _warning(SENT, passed=not waiting and not refused, metadata={**waiting, **refused}),
        dg.AssetCheckResult(
            check_name=BOUNDED,
            passed=not gone.is_held_back,
            metadata={"gone": gone.found, **({"held_back": held_back} if gone.is_held_back else {})},
        ),
    ]


def _warning(name: str, *, passed: bool, metadata: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)
