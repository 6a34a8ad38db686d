"""The demo's way out: changed contacts from the local Snowflake through S3 to Marketo, every row accounted for.

Does not belong here: the pump itself, and what comes back from Marketo (demo_extract.py).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.pump.drop import SourceState
from marketo_assets.pump.files import file_version
from marketo_assets.sandbox import contacts
from marketo_assets.sandbox.demo_dagster import DagsterApi, DemoError, Steps, progress_bars
from marketo_assets.warehouse.session import Warehouse

DROP, LEADS = ("contacts", "drop"), ("contacts", "leads")

EXISTING_SHARE = 50
"""One contact in so many is a lead already. Each is updated in some 30 fields, and each of these is an activity."""

DUPLICATE_SHARE = 100
"""One contact in so many is two or three leads."""


@dataclass(frozen=True)
class Outcome:
    """What the ledger says of one drop."""

    exported: int
    counts: dict[str, int]
    codes: dict[str, int]
    duplicates: int

    @property
    def settled(self) -> int:
        """Rows that have ended."""
        return sum(self.counts.values())


def load_contacts(console: Console, warehouse: Warehouse, client: MarketoClient, count: int) -> None:
    """Make the contact table; some of its people are leads already, some of them several times."""
    with progress_bars(console) as progress:
        task = progress.add_task("loading contacts", total=count)
        dirt = contacts.load_contacts(warehouse, count, on_chunk=lambda rows: progress.advance(task, rows))
        known = warehouse.rows(
            f"select distinct lower(trim(email_address)) as email from {contacts.SOURCE_TABLE}"
            " where email_address like '%@%' and email_address not like '% %' order by 1"
        )
        emails = [row["email"] for row in known if row["email"].isascii()]
        leads = [*emails[::EXISTING_SHARE], *emails[::DUPLICATE_SHARE], *emails[:: 3 * DUPLICATE_SHARE]]
        task = progress.add_task("filling Marketo with leads", total=len(leads))
        for batch in _batches(leads, 300):
            body = {"action": "createDuplicate", "input": [{"email": email} for email in batch]}
            client.request("POST", "/rest/v1/leads.json", json_body=orjson.dumps(body))
            progress.advance(task, len(batch))
    table = Table("dirt in the contact table", "contacts", title=f"{count:,} contacts")
    for name, rows in sorted(dirt.items()):
        table.add_row(name.replace("_", " "), f"{rows:,}")
    console.print(table)


class PumpDemo:
    """One drop, and its files until their last row has ended."""

    outcome: Outcome
    """Once its steps have come to their end."""
    seconds: float

    def __init__(self, dagster: DagsterApi, warehouse: Warehouse) -> None:
        """It answers for the files dropped from now on, also by the schedule, and for those it finds open."""
        self._dagster = dagster
        self._warehouse = warehouse
        self._since = datetime.now(UTC).replace(tzinfo=None)
        # Files of an earlier demo that was stopped before their rows had arrived.
        self._carried_over = _open_files(warehouse)

    def steps(self, progress: Progress) -> Steps:
        """Look at the drop's run, then at the ledger, until every file of the drop has ended."""
        started = time.monotonic()
        self._go_on_with_open_files()
        task = progress.add_task("contacts/drop: changed contacts to CSV on S3", total=1)
        yield from self._dagster.finished(self._dagster.launch(DROP))
        progress.update(task, completed=1)
        self.outcome, open_files = self._look()
        if open_files:
            task = progress.add_task("contacts/leads: the S3 sensor's runs", total=self.outcome.exported)
        while open_files:
            yield
            self.outcome, open_files = self._look()
            progress.update(task, completed=self.outcome.settled)
        self.seconds = time.monotonic() - started

    def check(self) -> None:
        """Raise DemoError unless it adds up."""
        if self.outcome.settled != self.outcome.exported:
            raise DemoError(f"{self.outcome.exported - self.outcome.settled} rows are not accounted for")

    def table(self, source: SourceState, calls: int) -> Table:
        """What became of the contacts."""
        outcome = self.outcome
        table = Table("", "rows", title="What became of the contacts")
        table.columns[1].justify = "right"
        table.add_row("in the contact table", f"{source.contacts:,}")
        table.add_row("  without an e-mail", f"{source.blank_keys:,}")
        table.add_row("  older ones with the same e-mail", f"{source.contacts - source.blank_keys - source.keys:,}")
        table.add_row("  unchanged since Marketo answered", f"{max(0, source.keys - outcome.exported):,}")
        table.add_row("  exported to S3", f"{outcome.exported:,}", end_section=True)
        for status, rows in outcome.counts.items():
            table.add_row(status, f"{rows:,}")
            if status == "rejected":
                for code, of_code in sorted(outcome.codes.items()):
                    table.add_row(f"  {code}", f"{of_code:,}")
        table.add_row("accounted for", f"{outcome.settled:,}", end_section=True)
        table.add_row("duplicates resolved (several leads, one e-mail)", f"{outcome.duplicates:,}")
        table.add_row("API calls", f"{calls:,}")
        table.add_row("seconds", f"{self.seconds:.1f}")
        if not outcome.exported:
            table.caption = "Nothing has changed since Marketo last accepted it: nothing was exported."
        return table

    def _go_on_with_open_files(self) -> None:
        """Run the partitions of these files again; of a file that has none yet, the sensor does it."""
        if not self._carried_over:
            return
        query = "query($it: AssetKeyInput!) { assetNodeOrError(assetKey: $it) { ... on AssetNode { partitionKeys } } }"
        keys = self._dagster.query(query, it={"path": LEADS})["assetNodeOrError"]["partitionKeys"]
        again = [key for key in keys if file_version(key).path in self._carried_over]
        if again:
            self._dagster.launch_backfill(LEADS, partitions=again)

    def _look(self) -> tuple[Outcome, int]:
        """What the ledger says of these files, and how many are open."""
        dropped = "PUMP_FILES where origin = 'drop' and (opened_at >= %(since)s or file in (%(carried_over)s))"
        # A tuple is bound as a list of values; it must not be empty.
        values = {"since": self._since, "carried_over": self._carried_over or ("",)}
        of_them = f"where file in (select file from {dropped})"
        totals = self._warehouse.rows(
            "select coalesce(sum(row_count), 0) as exported,"
            f" coalesce(count_if(state in ('writing', 'open')), 0) as open_files from {dropped}",
            **values,
        )[0]
        rows = self._warehouse.rows(
            f"select status, code, count(*) as n from LEAD_SYNC_RESULTS {of_them} group by status, code",
            **values,
        )
        duplicates = self._warehouse.rows(f"select count(*) as n from DUPLICATE_LEADS {of_them}", **values)[0]["n"]
        counts = dict.fromkeys(("created", "updated", "skipped", "rejected", "superseded"), 0)
        codes: dict[str, int] = {}
        for row in rows:
            counts[row["status"]] += row["n"]
            if row["status"] == "rejected":
                codes[row["code"]] = codes.get(row["code"], 0) + row["n"]
        return Outcome(int(totals["exported"]), counts, codes, int(duplicates)), int(totals["open_files"])


def _batches(items: Sequence[str], size: int) -> Iterator[list[str]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _open_files(warehouse: Warehouse) -> tuple[str, ...]:
    there = warehouse.rows("select table_name from information_schema.tables where table_name = 'PUMP_FILES'")
    open_files = "select file from PUMP_FILES where origin = 'drop' and state in ('writing', 'open')"
    return tuple(row["file"] for row in warehouse.rows(open_files)) if there else ()
