"""What Dagster shows of the leads' sync: counts and names. Never a value from a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from marketo_assets.extract.metadata import calls
from marketo_assets.marketo.stats import CallStats
from marketo_assets.sync.apply import Applied
from marketo_assets.sync.contacts import ContactCounts
from marketo_assets.sync.feed import FeedCounts
from marketo_assets.sync.fields import SyncFields
from marketo_assets.sync.gone import Gone

Metadata = dict[str, Any]


def feed(counts: FeedCounts, stats: CallStats) -> Metadata:
    """What the streams gave."""
    read = {f"read_{stream}": n for stream, n in counts.read.items()}
    new = {f"new_{stream}": n for stream, n in counts.new.items()}
    return {"dagster/row_count": sum(counts.new.values()), **read, **new, **calls(stats)}


def mirror(
    applied: Applied, fields: SyncFields, reconciled_because: str | None, stats: Sequence[CallStats]
) -> Metadata:
    """What was applied to the mirror; `stats` of each client that it took."""
    return {
        "changes_applied": applied.changes,
        "leads_read": applied.read,
        "leads_merged": applied.merged,
        "leads_deleted": applied.deleted,
        "company_changes": applied.company_changes,
        "mirrored_fields": ", ".join(fields.names),
        "reconciled": reconciled_because or "not needed",
        **calls(*stats),
    }


def contacts(counts: ContactCounts, gone: Gone, stats: CallStats) -> Metadata:
    """What became of the contacts that were not in step."""
    return {
        "contacts_looked_at": counts.looked_at,
        "linked": counts.linked,
        "pushed": counts.pushed,
        "fields_pulled": counts.pulled,
        "conflicts": counts.conflicts.total(),
        "conflicts_won_by": _table(("winner", "conflicts"), counts.conflicts),
        "fields_pushed": _table(("field", "contacts"), counts.fields),
        "rejected": _table(("code", "contacts"), counts.rejected),
        "unsent": _table(("code", "contacts"), counts.unsent),
        "lost_their_lead": _table(("reason", "contacts"), counts.lost),
        "cannot_be_taken_out_of_their_company": counts.cannot_unlink,
        "gone_from_the_warehouse": gone.found,
        "gone_and_settled": gone.done,
        **calls(stats),
    }


def _table(columns: tuple[str, str], counts: Mapping[str, int]) -> dg.TableMetadataValue:
    records = [dg.TableRecord({columns[0]: name, columns[1]: n}) for name, n in sorted(counts.items())]
    schema = dg.TableSchema([dg.TableColumn(columns[0], "string"), dg.TableColumn(columns[1], "int")])
    return dg.MetadataValue.table(records, schema=schema)
