"""Leads and the companies they are linked to: such a lead has its company's values in its Company-type fields.

The values are kept with the lead as well, so that whatever reads leads has them, and a change of the company is a
change of each of its leads. Documented: the link is set through the lead, can be moved and cannot be unset, and the
values of a linked lead's company are not written through the lead.
"""

from collections.abc import Iterable, Sequence

from marketo_assets.sandbox.marketo import activities
from marketo_assets.sandbox.marketo.fields import COMPANY_LINK, ReadRow
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lead_values import change_lead
from marketo_assets.sandbox.marketo.object_types import COMPANY
from marketo_assets.sandbox.marketo.record_rows import key_of
from marketo_assets.sandbox.marketo.record_store import BY_KEY, BY_NUMBER, StoredRecord
from marketo_assets.sandbox.marketo.store import StoredLead

METHOD = "syncCompanies"


class CompanyLinks:
    """The links of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance."""
        self._instance = instance
        self._link = instance.fields.position[COMPANY_LINK]

    def named(self, names: Iterable[str]) -> dict[str, StoredRecord]:
        """The companies with these externalCompanyIds, by the names given; without those that are not there."""
        keys = {name: key_of([name]) for name in names}
        found = self._instance.store.find_records(COMPANY, BY_KEY, keys.values())
        by_key = {company.key: company for company in found}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}

    def numbered(self, numbers: Iterable[int]) -> dict[int, StoredRecord]:
        """The companies with these ids, by id."""
        found = self._instance.store.find_records(COMPANY, BY_NUMBER, numbers)
        return {company.number: company for company in found}

    def is_linked(self, lead: StoredLead) -> bool:
        """Whether the lead has a company."""
        return lead.values[self._link] is not None

    def without_link(self, row: ReadRow) -> ReadRow:
        """A row without the company that it names."""
        return _without(row, {self._link})

    def row_for(self, lead: StoredLead, row: ReadRow, company: StoredRecord | None) -> ReadRow:
        """The row as it may be written to this lead, which gets linked to the company if there is one.

        The row names no company itself. Values of a linked lead's company are left out, or are those of the company.
        """
        if company is None and not self.is_linked(lead):
            return row
        of_company = self._instance.fields.of_company
        own = _without(row, set(of_company.values()))
        if company is not None:
            own.positions.append(self._link)
            own.values.append(company.values[COMPANY_LINK])
            own.positions.extend(of_company.values())
            blank = self._instance.fields.blank
            own.values.extend(company.values.get(name, blank[place]) for name, place in of_company.items())
        return own

    def tell(self, companies: Sequence[StoredRecord], request_id: str) -> None:
        """After a change of companies: their leads have the new values."""
        self._change(companies, request_id, {company.number: company for company in companies})

    def let_go(self, companies: Sequence[StoredRecord], request_id: str) -> None:
        """After companies were deleted: their leads have no link any more, and keep the values (UNCONFIRMED)."""
        self._change(companies, request_id, {})
        self._instance.store.unlink_companies(company.number for company in companies)

    def _change(self, companies: Sequence[StoredRecord], request_id: str, there: dict[int, StoredRecord]) -> None:
        store, now = self._instance.store, self._instance.now()
        of_lead = store.leads_of(company.number for company in companies)
        changed, events = [], []
        for lead in store.leads(of_lead).values():
            company = there.get(of_lead[lead.id])
            row = ReadRow([self._link], [None]) if company is None else self.row_for(lead, ReadRow([], []), company)
            change = change_lead(self._instance, lead, row, now)
            if change is not None:
                changed.append(lead)
                events.append(activities.changed_values(lead.id, request_id, METHOD, *change))
        store.update_leads(changed)
        store.add_activities(now, events)


def _without(row: ReadRow, positions: set[int]) -> ReadRow:
    kept = [(position, value) for position, value in zip(*row, strict=True) if position not in positions]
    return ReadRow([position for position, _ in kept], [value for _, value in kept])
