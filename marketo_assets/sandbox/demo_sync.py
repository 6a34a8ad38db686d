"""The demo both ways: people change things in the warehouse and in Marketo, `database_sync` runs, and all is looked at.

What is found is asked of Marketo itself and of the warehouse's tables. Does not belong here: the sync itself.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from rich.progress import Progress
from rich.table import Table

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.leads import delete_leads, leads_by_filter, sync_leads
from marketo_assets.sandbox.contacts import SOURCE_TABLE
from marketo_assets.sandbox.demo_dagster import DagsterApi, DemoError, Steps
from marketo_assets.sandbox.purchases import ACCOUNT_TABLE, PRODUCT_TABLE, PURCHASE_TABLE
from marketo_assets.warehouse.session import Warehouse

JOB: Final = "database_sync"
CHANGED: Final = 5
"""Contacts that each kind of change is made to, as far as there are so many."""

_FIRST_NAME, _COMPANY, _COUNTRY = "cDBFirstName", "cDBCompanyName", "cDBCountry"

_LINKED: Final = """
select contact_key, lead_id from SYNC_CONTACTS
where pump = 'contacts' and state = 'linked' and contact_key in (
    select contact_key from LEADS where merged_into is null and deleted_at is null group by 1 having count(*) = 1
) and contact_key in (select lower(trim(email_address)) from {table} group by 1 having count(*) = 1)
order by contact_key limit {limit}
"""


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    what: str
    found: int
    expected: int
    ends_section: bool = False


@dataclass(frozen=True)
class _Linked:
    key: str
    lead_id: int


class SyncDemo:
    """A sync that links all contacts with their leads; changes by people on both sides; a second sync."""

    def __init__(self, dagster: DagsterApi, warehouse: Warehouse, client: MarketoClient) -> None:
        """`client`: of the people at Marketo."""
        self._dagster = dagster
        self._warehouse = warehouse
        self._client = client
        self._since = datetime.now(UTC).replace(tzinfo=None)
        self._mark = f"{time.time():.0f}"  # in every value written, so that no older one is taken for it
        self.runs: list[str] = []
        self.seconds = 0.0

    def steps(self, progress: Progress) -> Steps:
        """Both syncs and, between them, what people do."""
        task = progress.add_task(f"{JOB}: all leads, companies and custom objects", total=1)
        yield from self._sync()
        progress.update(task, completed=1)
        self._change_both_sides()
        task = progress.add_task(f"{JOB}: what people have changed on both sides", total=1)
        yield from self._sync()
        progress.update(task, completed=1)

    def findings(self) -> list[Finding]:
        """What Marketo and the warehouse hold now."""
        return [*self._values(), *self._merge_and_delete(), *self._companies(), *self._custom_objects()]

    def table(self, findings: Sequence[Finding]) -> Table:
        """What arrived where."""
        table = Table("", "arrived", "of", title="Both sides in step")
        for column in table.columns[1:]:
            column.justify = "right"
        for each in findings:
            table.add_row(each.what, f"{each.found:,}", f"{each.expected:,}", end_section=each.ends_section)
        table.add_row("seconds of both syncs", f"{self.seconds:.1f}", "")
        return table

    def check(self, findings: Sequence[Finding]) -> None:
        """Raise DemoError unless everything arrived."""
        missing = [f"{each.what}: {each.found} of {each.expected}" for each in findings if each.found != each.expected]
        if missing:
            raise DemoError("\n".join(["not everything arrived on the other side:", *missing]))

    def _sync(self) -> Steps:
        started = time.monotonic()
        self.runs.append(self._dagster.launch_job(JOB))
        yield from self._dagster.finished(self.runs[-1])
        self.seconds += time.monotonic() - started

    # What people do

    def _change_both_sides(self) -> None:
        found = self._warehouse.rows(_LINKED.format(table=SOURCE_TABLE, limit=3 * CHANGED + 2))
        people = [_Linked(row["contact_key"], int(row["lead_id"])) for row in found]
        if len(people) < 5:  # noqa: PLR2004 - one for each kind of change
            raise DemoError(f"only {len(people)} contacts are linked to a lead; take a larger --contacts")
        (self._merged, self._deleted), rest = people[:2], people[2:]
        share = len(rest) // 3
        self._in_warehouse, self._in_marketo, self._in_both = rest[:share], rest[share : 2 * share], rest[2 * share :]
        self._change_marketo()
        self._merge()
        delete_leads(self._client, [self._deleted.lead_id])
        self._change_warehouse()

    def _change_marketo(self) -> None:
        score = int(self._mark) % 1_000_000
        self._score, self._phone = score, f"+1 {self._mark}"
        rows: list[dict[str, Any]] = [
            *({"id": each.lead_id, "leadScore": score, "phone": self._phone} for each in self._in_marketo),
            *(
                {"id": each.lead_id, _COMPANY: self._value("Marketo"), _COUNTRY: self._value("Marketo")}
                for each in self._in_both
            ),
        ]
        sync_leads(self._client, [orjson.dumps(row) for row in rows], action="updateOnly", lookup_field="id")

    def _merge(self) -> None:
        """A second lead of the same person, into which the first one goes."""
        body = orjson.dumps({"action": "createDuplicate", "input": [{"email": self._merged.key}]})
        self._winner = int(self._client.request("POST", "/rest/v1/leads.json", json_body=body).result[0]["id"])
        path, losers = f"/rest/v1/leads/{self._winner}/merge.json", {"leadIds": str(self._merged.lead_id)}
        self._client.request("POST", path, params=losers)

    def _change_warehouse(self) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        contact = f"update {SOURCE_TABLE} set last_changed = %(now)s"
        these = "where lower(trim(email_address)) in (%(keys)s)"
        self._warehouse.execute(
            f"{contact}, first_name = %(value)s {these}",
            now=now,
            value=self._value("Warehouse"),
            keys=tuple(each.key for each in self._in_warehouse),
        )
        self._warehouse.execute(
            f"{contact}, company_name = %(value)s, country = %(value)s {these}",
            now=now,
            value=self._value("Warehouse"),
            keys=tuple(each.key for each in self._in_both),
        )
        self._account = self._first(ACCOUNT_TABLE, "account_id")
        self._warehouse.execute(
            f"update {ACCOUNT_TABLE} set name = %(value)s where account_id = %(id)s",
            value=self._value("Account"),
            id=self._account,
        )
        # One purchase more, one less, one changed: their number stays.
        self._bought, self._returned = f"B-{self._mark}", self._first(PURCHASE_TABLE, "purchase_id")
        product = self._first(PRODUCT_TABLE, "product_id")
        self._warehouse.execute(f"delete from {PURCHASE_TABLE} where purchase_id = %(id)s", id=self._returned)
        self._more = self._first(PURCHASE_TABLE, "purchase_id")
        self._quantity = int(self._mark) % 1_000_000
        self._warehouse.execute(
            f"update {PURCHASE_TABLE} set email = %(email)s, quantity = %(quantity)s where purchase_id = %(id)s",
            email=self._in_warehouse[0].key,
            quantity=self._quantity,
            id=self._more,
        )
        self._warehouse.execute(
            f"insert into {PURCHASE_TABLE} (purchase_id, email, product_id, quantity)"
            " select %(id)s, %(email)s, %(product)s, 1",
            id=self._bought,
            email=self._in_marketo[0].key,
            product=product,
        )

    # What is there afterwards

    def _values(self) -> Iterator[Finding]:
        leads = self._leads([*self._in_warehouse, *self._in_both], (_FIRST_NAME, _COMPANY, _COUNTRY))
        theirs, ours = self._value("Marketo"), self._value("Warehouse")
        linked = self._count("SYNC_CONTACTS where pump = 'contacts' and state in ('linked', 'lost')")
        yield Finding("contacts that became leads, linked to them", linked, self._accepted(), ends_section=True)
        found = sum(leads.get(each.lead_id, {}).get(_FIRST_NAME) == ours for each in self._in_warehouse)
        yield Finding("contacts changed in the warehouse, found in Marketo", found, len(self._in_warehouse))
        beside = self._warehouse.rows(
            "select count(*) as n from CONTACTS_FROM_MARKETO"
            " where lead_id in (%(ids)s) and lead_score = %(score)s and phone = %(phone)s",
            ids=tuple(each.lead_id for each in self._in_marketo),
            score=self._score,
            phone=self._phone,
        )
        yield Finding("leads changed in Marketo, found in the warehouse", int(beside[0]["n"]), len(self._in_marketo))
        both = [(leads.get(each.lead_id, {}), each) for each in self._in_both]
        kept = sum(lead.get(_COMPANY) == theirs for lead, _ in both)
        sent = sum(lead.get(_COUNTRY) == ours for lead, _ in both)
        yield Finding("changed in both: company, where Marketo wins", kept, len(both))
        yield Finding("changed in both: country, where the later wins", sent, len(both))
        noted = self._count("SYNC_CONFLICTS where seen_at >= %(since)s", since=self._since)
        yield Finding("  conflicts noted", noted, 2 * len(both), ends_section=True)

    def _merge_and_delete(self) -> Iterator[Finding]:
        merged = self._count(
            "LEADS where lead_id = %(loser)s and merged_into = %(winner)s",
            loser=self._merged.lead_id,
            winner=self._winner,
        )
        moved = self._count(
            "SYNC_CONTACTS where contact_key = %(key)s and lead_id = %(winner)s and state = 'linked'",
            key=self._merged.key,
            winner=self._winner,
        )
        deleted = self._count("LEADS where lead_id = %(lead)s and deleted_at is not null", lead=self._deleted.lead_id)
        lost = self._count("SYNC_CONTACTS where contact_key = %(key)s and state = 'lost'", key=self._deleted.key)
        yield Finding("leads merged in Marketo, found in the warehouse", merged, 1)
        yield Finding("  its contact is the winner's", moved, 1)
        yield Finding("leads deleted in Marketo, found in the warehouse", deleted, 1)
        yield Finding("  its contact is known as lost", lost, 1, ends_section=True)

    def _companies(self) -> Iterator[Finding]:
        ids = self._keys(ACCOUNT_TABLE, "account_id")
        found = self._records("companies", "externalCompanyId", ids, "company")
        yield Finding("accounts, found as companies in Marketo", len(found), len(ids))
        renamed = found.get(self._account, {}).get("company") == self._value("Account")
        yield Finding("  renamed in the warehouse, found in Marketo", int(renamed), 1, ends_section=True)

    def _custom_objects(self) -> Iterator[Finding]:
        products = self._keys(PRODUCT_TABLE, "product_id")
        found = self._records("customobjects/product_c", "productId", products, "name")
        yield Finding("products, found in Marketo", len(found), len(products))
        purchases = self._keys(PURCHASE_TABLE, "purchase_id")
        fields = ("email", "productId", "quantity")
        found = self._records("customobjects/purchase_c", "purchaseId", [*purchases, self._returned], *fields)
        is_gone = found.pop(self._returned, None) is None
        yield Finding("purchases between leads and products, found in Marketo", len(found), len(purchases))
        new = found.get(self._bought, {}).get("email") == self._in_marketo[0].key
        yield Finding("  added in the warehouse, found in Marketo", int(new), 1)
        changed = int(found.get(self._more, {}).get("quantity", 0)) == self._quantity
        yield Finding("  changed in the warehouse, found in Marketo", int(changed), 1)
        yield Finding("  deleted in the warehouse, gone in Marketo", int(is_gone), 1, ends_section=True)

    # How it is looked up

    def _value(self, side: str) -> str:
        return f"{side} {self._mark}"

    def _accepted(self) -> int:
        """Contacts that Marketo has taken, by the pump's ledger."""
        return self._count("PUMP_FINGERPRINTS where pump = 'contacts' and fingerprint is not null")

    def _count(self, rows: str, **values: object) -> int:
        return int(self._warehouse.rows(f"select count(*) as n from {rows}", **values)[0]["n"])

    def _first(self, table: str, key: str) -> str:
        return str(self._warehouse.rows(f"select min({key}) as k from {table}")[0]["k"])

    def _keys(self, table: str, key: str) -> list[str]:
        return [row["k"] for row in self._warehouse.rows(f"select {key} as k from {table} order by 1")]

    def _leads(self, people: Sequence[_Linked], fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        ids = [str(each.lead_id) for each in people]
        return {int(lead["id"]): lead for lead in leads_by_filter(self._client, "id", ids, ("id", *fields))}

    def _records(self, path: str, key: str, values: Sequence[str], *fields: str) -> dict[str, dict[str, Any]]:
        """Companies or custom objects by their key, asked of Marketo."""
        found = {}
        for start in range(0, len(values), 300):
            some = values[start : start + 300]
            form = {"filterType": key, "filterValues": ",".join(some), "fields": ",".join((key, *fields))}
            page = self._client.request("POST", f"/rest/v1/{path}.json", params={"_method": "GET"}, form=form)
            found.update({item[key]: item for item in page.result})
        return found
