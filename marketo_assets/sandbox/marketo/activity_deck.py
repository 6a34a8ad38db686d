"""Invented activities without lead and time, from which the generator draws: types in a usual mixture, usual values.

When activities happen and to whom is decided in activity_fill.py and activity_time.py. Single activities make sense,
their sequence does not: a mail may be opened by a lead it was never sent to.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import orjson

from marketo_assets.sandbox.marketo.activities import any_activity
from marketo_assets.sandbox.marketo.activity_types import FIRST_CUSTOM_TYPE_ID, ActivityAttribute, ActivityType
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.lists import FIRST_LIST_ID

Card = tuple[int, bytes]
"""Type and detail as it is stored."""

CARDS = 4_000
MAIL_TYPES = frozenset({6, 7, 8, 10, 11, 27})
"""What a sending of mails consists of."""
_SHARES: Mapping[int, float] = {
    1: 26,
    2: 1,
    3: 2.5,
    6: 14,
    7: 13.5,
    8: 0.3,
    9: 0.1,
    10: 8,
    11: 1.5,
    13: 14,
    22: 7,
    23: 0.2,
    24: 2,
    25: 0.5,
    27: 0.4,
    38: 0.3,
    46: 1,
    47: 1.5,
    100: 0.1,
    101: 0.2,
    104: 2,
    108: 1,
    110: 0.5,
    113: 0.3,
    114: 0.1,
    115: 0.1,
    123: 0.3,
    145: 0.2,
}
"""Types in percent. Those that need a story of their own (New Lead, merges, deletes, the CRM) are left to writes."""
_CUSTOM_SHARE = 0.5
_MISSING = 0.15
"""Share of the attributes without a value, which are left out."""
_DIRTY = 0.01
_DIRT = (
    "null",
    "NUL \x00 inside",
    "two\nlines",
    "carriage\r\nreturn",
    'a lone " quote',
    "separator \u2028 inside",
    "comma, semicolon; tab\t",
    "größer 日本語 😀",
    " padded ",
    "",
)
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
)
_PAGES = ("/", "/pricing", "/docs", "/docs/api", "/blog/release", "/trial", "/contact", "/events/webinar", "/legal")
_WORDS = ("Alpha", "Beta", "Gamma", "Delta", "Omega", "Spring", "Autumn", "Launch", "Partner", "Renewal")
_INSTANTS = ("2026-01-15T08:30:00Z", "2026-02-28T23:59:59Z", "2026-03-29T01:00:00Z")

Draw = Callable[[random.Random], Any]
_VALUES: Mapping[str, Draw] = {
    "Client IP Address": lambda draws: f"203.0.113.{draws.randrange(256)}",
    "User Agent": lambda draws: draws.choice(_AGENTS),
    "Webpage URL": lambda draws: draws.choice(_PAGES),
    "Link": lambda draws: f"https://www.example.test{draws.choice(_PAGES)}?utm_source=mail",
    "Referrer URL": lambda draws: f"https://www.example.test{draws.choice(_PAGES)}",
    "Query Parameters": lambda draws: f"utm_source=mail&utm_campaign={draws.randrange(40)}",
    "Form Fields": lambda draws: f'a:1:{{s:7:"Company";s:9:"Example {draws.randrange(10)}";}}',
    "Bot Activity Pattern": lambda _draws: "N/A",
    "Device": lambda draws: draws.choice(("Unknown", "iPhone", "Android")),
    "Change Value": lambda draws: f"+{draws.randrange(1, 20)}",
    "New Value": lambda draws: draws.choice(_WORDS),
    "Old Value": lambda draws: draws.choice(_WORDS),
    "Source": lambda draws: draws.choice(("Web form fillout", "Marketo Flow Action", "Web service API")),
    "Reason": lambda draws: f"Marketo Flow Action: campaign {draws.randrange(40)}",
}
_VALUES_BY_DATA_TYPE: Mapping[str, Draw] = {
    "integer": lambda draws: str(draws.randrange(1, 100_000)),  # as recorded: the digits as text
    "float": lambda draws: round(draws.uniform(0, 1000), 2),
    "currency": lambda draws: round(draws.uniform(0, 1000), 2),
    "boolean": lambda draws: draws.choice((True, False)),
    "date": lambda draws: draws.choice(_INSTANTS)[:10],
    "datetime": lambda draws: draws.choice(_INSTANTS),
}


@dataclass(frozen=True, slots=True)
class Deck:
    """Activities to draw from, each as often as its type is usual."""

    all: list[Card]
    mail: list[Card]
    """Those of a sending."""


def make_deck(instance: Instance, seed: int) -> Deck:
    """The deck of an instance as its types are now: the same for the same seed."""
    draws = random.Random(seed)
    shares = {
        kind: _SHARES.get(kind.id, _CUSTOM_SHARE)
        for kind in instance.activity_types
        if kind.id in _SHARES or kind.id >= FIRST_CUSTOM_TYPE_ID
    }
    fields = [(field.id, field.display_name) for field in instance.fields.fields if not field.read_only]
    lists = list(enumerate(instance.options.lists, FIRST_LIST_ID))
    assets = {"Attribute Name": fields, "Score Name": fields, "List ID": lists}
    total = sum(shares.values())
    dirt = cycle(_DIRT)
    cards = [
        _card(kind, assets, draws, dirt)
        for kind, share in shares.items()
        for _ in range(max(1, round(CARDS * share / total)))
    ]
    return Deck(cards, [card for card in cards if card[0] in MAIL_TYPES])


def lasting(cards: Iterable[Card], short_lived: Iterable[int]) -> list[Card]:
    """The cards of other types than these."""
    gone = set(short_lived)
    return [card for card in cards if card[0] not in gone]


def _card(
    kind: ActivityType, assets: Mapping[str, list[tuple[int, str]]], draws: random.Random, dirt: Iterator[str]
) -> Card:
    values = {attribute.name: _value(attribute, draws) for attribute in kind.attributes if draws.random() >= _MISSING}
    campaign_id = None
    if kind.id in MAIL_TYPES:
        campaign_id = draws.randrange(1001, 1041)
        values["Campaign"] = f"Campaign {campaign_id}"  # recorded, though no type names it
    texts = [attribute.name for attribute in kind.attributes if attribute.data_type in {"string", "text"}]
    if texts and draws.random() < _DIRTY:
        values[draws.choice(texts)] = next(dirt)
    primary_id, primary = None, None
    if kind.primary is not None:
        choices = assets.get(kind.primary.name)
        primary_id = draws.randrange(1, 201)
        primary = f"{kind.primary.name.removesuffix(' ID')} {primary_id}"
        if choices:
            primary_id, primary = draws.choice(choices)
    return kind.id, orjson.dumps(any_activity(values, primary, primary_id, campaign_id))


def _value(attribute: ActivityAttribute, draws: random.Random) -> Any:
    draw = _VALUES_BY_DATA_TYPE.get(attribute.data_type) or _VALUES.get(attribute.name)
    return draw(draws) if draw is not None else f"{draws.choice(_WORDS)} {draws.randrange(100)}"
