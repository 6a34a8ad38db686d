"""Guards against what nobody thought of: random edits on both sides, merges and deletes, and syncs killed anywhere.

The histories of one example run side by side in one warehouse and one Marketo, a person each. After some quiet syncs
both sides must agree, and by the rules.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from marketo_assets.sync.canonical import canonical
from marketo_assets.warehouse.session import Warehouse
from marketo_assets_tests.sync.conftest import KilledError, SyncWorld

EXAMPLES, HISTORIES, ROUNDS, QUIET = 2, 500, 4, 3
FIELDS: Final = {"firstName": "first_name", "title": "title", "phone": "phone"}
RULES: Final = {"firstName": "warehouse", "title": "latest", "phone": "marketo"}
EDITS: Final = [f"{side} {name}" for side in ("warehouse", "marketo", "both") for name in FIELDS]
EVENTS: Final = ["nothing", *EDITS, *EDITS, "contact gone", "lead gone", "wins a merge", "loses a merge"]
PULL: Final = "pull: {into: contact_table, columns: {firstName: first_name, title: title, phone: phone}}"


@dataclass
class Life:
    """Statements until the process dies; None: it lives."""

    left: int | None = None

    def live(self, sql: str) -> None:
        """Die, or do nothing. What the server does by itself when a client is gone is let through."""
        if self.left is None or sql == "rollback":
            return
        self.left -= 1
        if self.left < 0:
            raise KilledError


@dataclass
class Person:
    """One history: what was done, so that what must come of it is known."""

    number: int
    events: Sequence[str]
    values: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """By side and field: round and value of the last edit."""

    @property
    def email(self) -> str:
        return f"p{self.number}@example.com"

    @property
    def is_plain(self) -> bool:
        """Nothing happened to contact and lead but edits."""
        return set(self.events) <= {"nothing", *EDITS}

    def edit(self, turn: int, side: str, name: str) -> str:
        value = f"{side} {name} {turn} of {self.number}"
        self.values[side, name] = (turn, value)
        return value


@contextmanager
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """Every statement of every warehouse session may be the last."""
    life = Life()
    with monkeypatch.context() as patch:
        for name in ("execute", "rows", "arrow"):
            real = getattr(Warehouse, name)

            def statement(self: Warehouse, sql: str, real: Any = real, **values: Any) -> Any:
                try:
                    life.live(sql)
                except KilledError:
                    if sql == "commit":
                        real(self, "rollback")  # as the server does when the connection is gone
                    raise
                return real(self, sql, **values)

            patch.setattr(Warehouse, name, statement)
        yield life


@pytest.fixture
def world(make_world: Callable[..., SyncWorld]) -> SyncWorld:
    before = "pull: {columns: {phone: phone_in_marketo, leadScore: score, firstName: first_name_in_marketo}}"
    return make_world((before, PULL), ("max_delete_share: 0.5", "max_delete_share: 1"))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate],  # an example takes as long as a test, so none is made smaller
    suppress_health_check=list(HealthCheck),
)
@given(
    histories=st.lists(
        st.lists(st.sampled_from(EVENTS), min_size=ROUNDS, max_size=ROUNDS), min_size=HISTORIES, max_size=HISTORIES
    ),
    kills=st.lists(st.one_of(st.none(), st.integers(0, 150)), min_size=ROUNDS, max_size=ROUNDS),
)
def test_both_sides_agree_in_the_end(
    world: SyncWorld, monkeypatch: pytest.MonkeyPatch, histories: list[list[str]], kills: list[int | None]
) -> None:
    assume(any(event != "nothing" for history in histories for event in history))  # which is where hypothesis begins
    people = begin(world, histories)
    with mortal(monkeypatch) as life:
        for turn in range(ROUNDS):
            happen(world, people, turn)
            life.left = kills[turn]
            try:
                world.sync()
            except KilledError:
                world.clock.advance(600)
            life.left = None
    for _ in range(QUIET):
        assert world.sync().success, world.failure()
    check_agreement(world, people, was_killed=any(kill is not None for kill in kills))
    before = world.state_of_both()
    world.sync()
    assert world.writes_of_last_sync() == []
    assert world.state_of_both() == before


def begin(world: SyncWorld, histories: Sequence[Sequence[str]]) -> list[Person]:
    """New people, each with a contact and a lead that are linked."""
    first = int(world.rows(f"select count(*) as n from {world.table}")[0]["n"]) + len(world.runs)
    people = [Person(first * 1000 + number, events) for number, events in enumerate(histories)]
    edit_contacts(world, [(person, dict.fromkeys(FIELDS, f"first {person.number}")) for person in people])
    world.settle()
    return people


def happen(world: SyncWorld, people: Sequence[Person], turn: int) -> None:
    """What everybody does between two syncs; of those who edit on both sides, every other one ends in the warehouse."""
    doing: dict[str, list[Person]] = {}
    for person in people:
        doing.setdefault(person.events[turn], []).append(person)
    ours = [(p, {n: p.edit(turn, "warehouse", n)}) for n in FIELDS for p in doing.get(f"warehouse {n}", [])]
    theirs = [(p, {n: p.edit(turn, "marketo", n)}) for n in FIELDS for p in doing.get(f"marketo {n}", [])]
    both = [(p, n) for n in FIELDS for p in doing.get(f"both {n}", [])]
    edit_contacts(world, ours + [(p, {n: p.edit(turn, "warehouse", n)}) for p, n in both if p.number % 2])
    edit_leads(world, theirs + [(p, {n: p.edit(turn, "marketo", n)}) for p, n in both])
    world.clock.advance(5)
    edit_contacts(world, [(p, {n: p.edit(turn, "warehouse", n)}) for p, n in both if not p.number % 2])
    emails = [person.email for person in doing.get("contact gone", [])]
    if emails:
        world.warehouse.execute(f"delete from {world.table} where email in (%(emails)s)", emails=tuple(emails))
    end_leads(world, doing, turn)


def end_leads(world: SyncWorld, doing: dict[str, list[Person]], turn: int) -> None:
    """Deletes and merges; somebody else's lead is made for each merge."""
    changed = [p for name in ("lead gone", "wins a merge", "loses a merge") for p in doing.get(name, [])]
    leads = {lead["email"]: lead["id"] for lead in leads_in_marketo(world, "email", [p.email for p in changed])}
    gone = [leads[p.email] for p in doing.get("lead gone", []) if p.email in leads]
    if gone:
        world.delete(*gone)
    for name in ("wins a merge", "loses a merge"):
        for person in doing.get(name, []):
            if person.email not in leads:
                continue
            other = world.lead(f"other{turn}.{person.email}", title=f"other {turn}")
            mine = leads[person.email]
            world.merge(*((mine, other) if name == "wins a merge" else (other, mine)))


def edit_contacts(world: SyncWorld, edits: Sequence[tuple[Person, dict[str, str]]]) -> None:
    """Other values of contacts; those that are not there come back."""
    if not edits:
        return
    now = datetime.fromtimestamp(world.clock.now(), UTC).replace(tzinfo=None)
    rows = [(p.email, FIELDS[n], value) for p, values in edits for n, value in values.items()]
    names = ("email", "field", "value")
    with world.warehouse.staged(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))) as staged:
        world.warehouse.execute(
            f"insert into {world.table} (email) select distinct s.email from {staged} s"
            f" left join {world.table} t on t.email = s.email where t.email is null"
        )
        for column in FIELDS.values():
            world.warehouse.execute(
                f"update {world.table} set {column} = s.value, last_changed = %(now)s::timestamp_ntz from {staged} s"
                f" where {world.table}.email = s.email and s.field = '{column}'",
                now=now,
            )


def edit_leads(world: SyncWorld, edits: Sequence[tuple[Person, dict[str, str]]]) -> None:
    """Other values of leads; those that are not there are made anew."""
    for start in range(0, len(edits), 300):
        world.person().sync(*({"email": p.email, **values} for p, values in edits[start : start + 300]))


def leads_in_marketo(world: SyncWorld, by: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """All of them."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(values), 300):
        form = {"filterType": by, "filterValues": ",".join(map(str, values[start : start + 300]))}
        form["fields"] = ",".join(["id", "email", *FIELDS])
        found += world.person().form("leads.json", form, _method="GET")["result"]
    return found


def check_agreement(world: SyncWorld, people: Sequence[Person], *, was_killed: bool) -> None:
    """The mirror is Marketo, linked contacts have their leads' values, and who won is who should have."""
    mirror = {
        int(row["lead_id"]): row["fields"]
        for row in world.rows("select lead_id, fields from LEADS where merged_into is null and deleted_at is null")
    }
    newest = max(int(row["n"] or 0) for row in world.rows("select max(lead_id) as n from LEADS"))
    leads = {int(lead["id"]): lead for lead in leads_in_marketo(world, "id", range(1, newest + 1))}
    assert mirror.keys() == leads.keys()
    contacts = {row["email"]: row for row in world.rows(f"select * from {world.table}")}
    links = {row["contact_key"]: row for row in world.rows("select contact_key, lead_id, state from SYNC_CONTACTS")}
    linked = {key: leads[int(row["lead_id"])] for key, row in links.items() if row["state"] == "linked"}
    assert len({lead["id"] for lead in linked.values()}) == len(linked)
    free = {lead["email"] for lead in leads.values()} - {lead["email"] for lead in linked.values()}
    assert not free & contacts.keys() - linked.keys()
    for key, lead in linked.items():
        for name, column in FIELDS.items():
            ours, theirs = contacts[key][column], canonical(lead[name], "string")
            # A null says nothing where it clears nothing; a contact that came back has them.
            says_nothing = ours is None and name != "title"
            assert says_nothing or ours == theirs, (key, name, [p.events for p in people if p.email == key])
    for person in people:
        if person.is_plain:
            check_rules(person, contacts[person.email], was_killed=was_killed)


def check_rules(person: Person, contact: dict[str, Any], *, was_killed: bool) -> None:
    """The last edit stands; where both sides edited before one sync, that of the rule."""
    for name, column in FIELDS.items():
        first = (-1, f"first {person.number}")
        ours, theirs = (person.values.get((side, name), first) for side in ("warehouse", "marketo"))
        winner = {"warehouse": ours, "marketo": theirs, "latest": theirs if person.number % 2 else ours}[RULES[name]]
        expected = winner if ours[0] == theirs[0] else max(ours, theirs)
        # A killed sync may have brought one side's edit over before the other side edited.
        allowed = {ours[1], theirs[1]} if was_killed else {expected[1]}
        assert contact[column] in allowed, (person.events, name, contact[column], allowed)
