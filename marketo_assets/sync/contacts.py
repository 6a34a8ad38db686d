"""Contacts and leads brought into step: fields decided one by one, conflicts noted, changes sent to the leads by id.

Each step leaves a state that a killed run can go on from: conflicts are noted before anything follows from them, what
the warehouse takes over is stored before anything is sent, and what Marketo accepted is in the mirror before the
contact counts as in step. Sent twice, a change is the same change.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import is_row_code
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.marketo.leads import LeadResult, sync_leads
from marketo_assets.pump.rows import PreparedRow, batches
from marketo_assets.sync.canonical import canonical, record_hash
from marketo_assets.sync.contact_store import Conflict, Contact, ContactStore, Settled, Write
from marketo_assets.sync.decide import Base, Field, decide
from marketo_assets.sync.fields import COMPANY_LINK, SyncFields, winner
from marketo_assets.sync.mirror import Lead, Mirror

UNSETTLED: Final = ""
"""In place of a fingerprint: the contact is looked at again by the next sync."""

RECORDED_AT_ONCE: Final = 3_000
"""Contacts that Marketo has answered for: some ten statements, whatever their number. Killed before, a sync sends them
once more."""


@dataclass
class ContactCounts:
    """What a sync did, in contacts unless said otherwise."""

    looked_at: int = 0
    linked: int = 0
    """Met their lead for the first time."""
    pushed: int = 0
    pulled: int = 0
    """Fields whose value of Marketo's stands."""
    fields: Counter[str] = field(default_factory=Counter)
    """Fields sent, by REST name."""
    conflicts: Counter[str] = field(default_factory=Counter)
    """By winner."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By code: the contact's fault, not sent again until it changes."""
    unsent: Counter[str] = field(default_factory=Counter)
    """By code: tried again by the next sync."""
    lost: Counter[str] = field(default_factory=Counter)
    """By what happened to their lead."""
    cannot_unlink: int = 0
    """Contacts without a company whose lead has one: Marketo has no way to take a lead out of its company."""


@dataclass
class _Plan:
    contact: Contact
    lead: Lead
    rest: dict[str, Base] = field(default_factory=dict)
    """What fields are left with that are not sent."""
    push: dict[str, Field] = field(default_factory=dict)
    pull: dict[str, Field] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    cannot_unlink: bool = False


class ContactSync:
    """One sync of the contacts of one pump."""

    def __init__(
        self,
        client: MarketoClient,
        store: ContactStore,
        mirror: Mirror,
        config: LeadSyncConfig,
        fields: SyncFields,
        company_fields: Container[str],
    ) -> None:
        """`company_fields`: those that a lead with a company has from it; they are the company's to change."""
        self._client = client
        self._store = store
        self._mirror = mirror
        self._config = config
        self._fields = fields
        self._company_fields = company_fields
        self._kinds = {each.field.name: each.field.data_type for each in fields.mapping.fields}
        self._rules = {each.field.name: winner(config, each.field) for each in fields.mapping.fields}
        self._columns = {field.name: column for column, field in fields.pulled}
        self.counts = ContactCounts()

    def run(self, *, calls: int) -> None:
        """Bring all contacts into step that are not. Raises what the client raises; what is done by then stays done."""
        with self._store.candidates() as snapshot:
            pages = self._store.pages(snapshot)
            self._push((plan for contacts in pages for plan in self._page(contacts)), calls=calls)

    def _page(self, contacts: Sequence[Contact]) -> Iterator[_Plan]:
        """Settle what is not to be sent; what is."""
        self.counts.looked_at += len(contacts)
        plans = [self._plan(each, each.lead) for each in contacts if each.lead is not None]
        lost, released = self._lose([each for each in contacts if each.lead is None])
        conflicts = [conflict for plan in plans for conflict in plan.conflicts]
        self._store.note_conflicts(conflicts)
        self.counts.conflicts.update(conflict.winner for conflict in conflicts)
        self.counts.linked += sum(plan.contact.state is None for plan in plans)
        self.counts.pulled += sum(len(plan.pull) for plan in plans)
        self.counts.cannot_unlink += sum(plan.cannot_unlink for plan in plans)
        rejected = [_rejected(plan) for plan in plans if plan.contact.error]
        self.counts.rejected.update(write.code or "" for write in rejected)
        self._take_over(plans)
        self._store.settle([*lost, *map(_settled, plans)], rejected, released=released)
        return (plan for plan in plans if plan.push)

    def _plan(self, contact: Contact, lead: Lead) -> _Plan:
        plan = _Plan(contact, lead)
        met_before = contact.state == "linked" and contact.known_id == lead.lead_id
        for name, kind in self._kinds.items():
            if not self._is_synced(name, lead):
                continue
            base = contact.bases.get(name) if met_before else None
            says = name in contact.values
            ours = canonical(contact.values.get(name), kind) if says else None
            each = Field(name, says, ours, lead.fields.get(name))
            self._decide(plan, each, base)
        flag = self._fields.flag
        if contact.state == "gone" and flag is not None:
            plan.push[flag.name] = Field(flag.name, says=True, ours="false", theirs=lead.fields.get(flag.name))
        return plan

    def _decide(self, plan: _Plan, each: Field, base: Base | None) -> None:
        rule = self._rules[each.name]
        told = plan.lead.field_times.get(each.name)
        their_time = datetime.fromisoformat(told) if told else None
        if their_time is None and (base is not None or each.theirs is not None):
            # It changed and nobody told when: no later than the lead did.
            their_time = plan.lead.as_of
        decision = decide(each, base, rule, plan.contact.changed_at, their_time)
        if decision.winner is not None and base is not None:
            plan.conflicts.append(self._conflict(plan, each, base, decision.winner, rule))
        if decision.action == "push" and each.name == COMPANY_LINK and each.ours is None:
            plan.cannot_unlink = True
            plan.rest[each.name] = each.now
        elif decision.action == "push":
            plan.push[each.name] = each
        else:
            plan.rest[each.name] = each.now
            if decision.action == "pull":
                plan.pull[each.name] = each

    def _is_synced(self, name: str, lead: Lead) -> bool:
        if name in self._fields.left_alone:
            return False
        return name == COMPANY_LINK or not lead.fields.get(COMPANY_LINK) or name not in self._company_fields

    def _conflict(self, plan: _Plan, each: Field, base: Base, won: str, rule: str) -> Conflict:
        parts = [self._config.pump, plan.contact.key, each.name, *base[:2], *each.now[:2]]
        conflict_id = hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]
        return Conflict(plan.contact.key, plan.lead.lead_id, each.name, each.now, conflict_id, won, rule)

    def _take_over(self, plans: Sequence[_Plan]) -> None:
        """Marketo's values into the contact table, where marketo.yaml has it written; said before it is done."""
        if self._config.pull is None or self._config.pull.into != "contact_table":
            return
        pulls = [(plan, [each for each in plan.pull.values() if each.name in self._columns]) for plan in plans]
        self._store.settle([_taking(plan, fields) for plan, fields in pulls if fields])
        self._store.take_over(
            {plan.contact.key: {self._columns[each.name]: each.theirs for each in fields} for plan, fields in pulls}
        )
        for plan, fields in pulls:
            plan.rest |= {each.name: Base(each.their_hash, each.their_hash) for each in fields}

    def _push(self, plans: Iterable[_Plan], *, calls: int) -> None:
        """Send and record. A page is settled while the last one's calls are under way."""
        under_way: dict[int, _Plan] = {}

        def rows() -> Iterator[PreparedRow]:
            for at, plan in enumerate(plans):
                under_way[at] = plan
                yield PreparedRow(at, plan.contact.key, self._body(plan))

        done: list[tuple[_Plan, LeadResult]] = []
        try:
            for outcomes in in_flight(batches(rows()), self._send, calls=calls):
                done += [(under_way.pop(at), outcome) for at, outcome in outcomes]
                if len(done) >= RECORDED_AT_ONCE:
                    recorded, done = done, []
                    self._record(recorded)
        finally:
            # Also when a later call has failed: what Marketo did is never forgotten.
            if done:
                self._record(done)

    def _send(self, batch: Sequence[PreparedRow]) -> list[tuple[int, LeadResult]]:
        outcomes = sync_leads(self._client, [row.body for row in batch], action="updateOnly", lookup_field="id")
        return [(row.row_number, outcome) for row, outcome in zip(batch, outcomes, strict=True)]

    def _body(self, plan: _Plan) -> bytes:
        values = plan.contact.values
        # A field that is sent and not the contact's is the flag of a contact that came back.
        return orjson.dumps({"id": plan.lead.lead_id, **{name: values.get(name, False) for name in plan.push}})

    def _record(self, outcomes: Sequence[tuple[_Plan, LeadResult]]) -> None:
        accepted = [plan for plan, outcome in outcomes if outcome.status != "skipped"]
        for plan in accepted:
            plan.lead.fields |= {name: each.ours for name, each in plan.push.items()}
        self._mirror.replace(plan.lead for plan in accepted)
        settled, writes = [], []
        for plan, outcome in outcomes:
            write = _write(plan, outcome)
            writes.append(write)
            if write.status == "updated":
                self.counts.pushed += 1
                self.counts.fields.update(list(plan.push))
            elif write.status == "rejected":
                self.counts.rejected[write.code or ""] += 1
            else:
                self.counts.unsent[write.code or ""] += 1
                continue
            left = {name: each.pushed if write.status == "updated" else each.now for name, each in plan.push.items()}
            settled.append(_settled_with(plan, plan.contact.fingerprint, plan.rest | left))
        self._store.settle(settled, writes)

    def _lose(self, contacts: Sequence[Contact]) -> tuple[list[Settled], dict[str, str | None]]:
        """Contacts whose lead is gone, and which no other lead has the key of: those kept, those for the pump."""
        kept, released = list[Settled](), dict[str, str | None]()
        # Without what is left out a fingerprint is not the contact's: it is unlinked once the mapping is whole again.
        is_unlinked = self._config.lost_leads == "unlink" and not self._fields.mapping.left_out
        for contact in contacts:
            if contact.state not in ("gone", "lost"):
                self.counts.lost[contact.lost_reason] += 1
            if contact.state == "gone" or self._config.lost_leads == "recreate":
                released[contact.key] = None
            elif is_unlinked:
                released[contact.key] = contact.fingerprint
            elif contact.state != "lost" and contact.known_id is not None:
                kept.append(
                    Settled(contact.key, contact.known_id, "lost", contact.fingerprint, "", {}, contact.lost_reason)
                )
        return kept, released


def _settled(plan: _Plan) -> Settled:
    """Before anything is sent: what is to be sent keeps its base and says so, and the contact is looked at again."""
    sending = {each.name: _sending(each, plan.contact.bases.get(each.name)) for each in plan.push.values()}
    return _settled_with(plan, UNSETTLED if plan.push else plan.contact.fingerprint, plan.rest | sending)


def _sending(each: Field, base: Base | None) -> Base:
    if base is None:
        return Base("", each.their_hash, sending=(each.our_hash,))
    return base._replace(taking="", sending=(*base.sending, each.our_hash))


def _taking(plan: _Plan, fields: Sequence[Field]) -> Settled:
    known = plan.contact.bases
    taking = {
        each.name: Base(each.our_hash, known[each.name].marketo if each.name in known else "", each.their_hash)
        for each in fields
    }
    return _settled_with(plan, UNSETTLED, {**known, **taking})


def _settled_with(plan: _Plan, fingerprint: str, left: dict[str, Base]) -> Settled:
    lead = plan.lead
    return Settled(plan.contact.key, lead.lead_id, "linked", fingerprint, record_hash(lead.fields), left)


def _rejected(plan: _Plan) -> Write:
    reason = "a cell cannot be read as its field's type; nothing of the contact was sent"
    return Write(plan.contact.key, plan.lead.lead_id, (), "rejected", plan.contact.error, reason)


def _write(plan: _Plan, outcome: LeadResult) -> Write:
    key, lead_id, names = plan.contact.key, plan.lead.lead_id, tuple(plan.push)
    if outcome.status != "skipped":
        return Write(key, lead_id, names, "updated")
    # A company that is not there yet may come: its link is tried again, a value at fault is not.
    is_final = is_row_code(outcome.code or "") and COMPANY_LINK not in plan.push
    return Write(key, lead_id, names, "rejected" if is_final else "unsent", outcome.code, outcome.message)
