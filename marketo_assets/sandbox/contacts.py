"""Made-up contacts for the local warehouse: the 57 columns of the marketing data pump and the time of last change.

The same seed gives the same contacts everywhere. What is wrong with real contact tables is wrong with this one too, in
shares that are written down below and counted per kind. Addresses are of domains reserved for examples.

Does not belong here: what the pump does about any of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import snowflake.connector

from marketo_assets.warehouse.session import Warehouse

SOURCE_TABLE = "PROD.PUMPS_SENSITIVE.PUMP_MARKETING_CONTACT"
NETWORK_TIMEOUT_SECONDS = 5
CHUNK_ROWS = 50_000
OVER_LONG = 300  # characters; Marketo's string fields hold 255
NULL_SHARE = 0.08  # of any cell that may be null
FIRST_DAY, DAYS = np.datetime64("2018-01-01"), 2922  # dates lie within these eight years
LAST_CHANGED = np.datetime64("2026-01-01T00:00:00", "us")

BOOLEAN_PREFIXES = ("is_", "group_", "individual_", "responsible_")
COLUMNS = """
    company_name country customer_db_confirmed_date customer_db_created_date customer_db_customer_id
    days_since_saas_signup_bucket days_since_saas_trial_ended_bucket days_since_self_managed_owner_signup_bucket
    dim_marketing_contact_id email_address first_name gitlab_dotcom_active_state gitlab_dotcom_confirmed_date
    gitlab_dotcom_created_date gitlab_dotcom_email_opted_in gitlab_dotcom_last_login_date gitlab_dotcom_user_id
    gitlab_user_name group_member_of_saas_bronze_tier group_member_of_saas_free_tier
    group_member_of_saas_premium_tier group_member_of_saas_trial group_member_of_saas_ultimate_tier
    group_owner_of_saas_bronze_tier group_owner_of_saas_free_tier group_owner_of_saas_premium_tier
    group_owner_of_saas_trial group_owner_of_saas_ultimate_tier individual_namespace_is_saas_bronze_tier
    individual_namespace_is_saas_free_tier individual_namespace_is_saas_premium_tier
    individual_namespace_is_saas_trial individual_namespace_is_saas_ultimate_tier is_customer_db_owner
    is_customer_db_user is_gitlab_dotcom_user is_group_namespace_member is_group_namespace_owner
    is_individual_namespace_owner is_self_managed_premium_tier is_self_managed_starter_tier
    is_self_managed_ultimate_tier is_zuora_billing_contact last_name responsible_for_free_tier_only
    responsible_for_group_saas_bronze_tier responsible_for_group_saas_free_tier
    responsible_for_group_saas_premium_tier responsible_for_group_saas_trial
    responsible_for_group_saas_ultimate_tier zuora_active_state zuora_contact_id zuora_created_date is_paid_tier
    pql_list_stages pql_nbr_stages pql_nbr_namespace_users last_changed
""".split()  # noqa: SIM905 - one name per line would be no easier to read
NOT_TEXT: Mapping[str, pa.DataType] = {
    "gitlab_dotcom_email_opted_in": pa.bool_(),
    "customer_db_confirmed_date": pa.date32(),
    "customer_db_created_date": pa.date32(),
    "zuora_created_date": pa.date32(),
    "gitlab_dotcom_confirmed_date": pa.timestamp("us"),
    "gitlab_dotcom_created_date": pa.timestamp("us"),
    "gitlab_dotcom_last_login_date": pa.timestamp("us"),
    "last_changed": pa.timestamp("us"),
    "gitlab_dotcom_user_id": pa.int64(),
    "pql_nbr_stages": pa.int64(),
    "pql_nbr_namespace_users": pa.int64(),
}
SNOWFLAKE_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "varchar",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp_ntz",
    pa.int64(): "number(38, 0)",
}

# Share of rows per kind of dirt. A row has at most one kind per column.
EMAIL_DIRT: Mapping[str, float] = {
    "email_null": 0.001,
    "email_blank": 0.003,
    "email_not_ascii": 0.003,
    "email_malformed": 0.005,
    "email_spaces_or_upper_case": 0.02,
    "email_of_another_row": 0.01,
}
FIRST_NAME_DIRT: Mapping[str, float] = {"name_emoji": 0.005, "name_not_latin": 0.03, "name_empty_string": 0.01}
LAST_NAME_DIRT: Mapping[str, float] = {"name_over_long": 0.001, "name_is_text_null": 0.001}
COMPANY_DIRT: Mapping[str, float] = {
    "company_quotes_and_commas": 0.01,
    "company_newline": 0.003,
    "company_leading_equals": 0.001,
    "company_over_long": 0.0005,
}

FIRST_NAMES = tuple(
    "Ada Alan Barbara Carol Dana Edsger Frances Grace Hedy Ivan Jean Karen Leslie Margaret Niklaus Olga Peter Radia"  # noqa: SIM905 - as above
    " Sophie Tim Ursula Vint Whitfield Yukihiro".split()
)
LAST_NAMES = tuple(
    "Allen Berners Curie Dijkstra Euler Fermi Gauss Hopper Iverson Jones Knuth Lovelace Meitner Noether Ohm Perlman"  # noqa: SIM905 - as above
    " Quine Ritchie Shannon Turing Ulam Volta Wirth Zuse".split()
)
COMPANIES = tuple(f"{name} {kind}" for name in LAST_NAMES for kind in ("Ltd", "GmbH", "Inc.", "Labs"))
NOT_LATIN = ("李娜", "山田太郎", "Ольга", "محمد", "Δημήτρης", "김민수", "Zoë", "Łukasz")
EMOJI = ("Ada 🚀", "🌷 Grace", "Tim 👩‍👩‍👧")
DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "corp.example")
COUNTRIES = ("United States", "Germany", "India", "Japan", "Brazil", "Côte d'Ivoire", "Korea, Republic of")
BUCKETS = ("0-7", "8-30", "31-90", "91-180", "181-365", "365+")
STAGES = ("create", "create,plan", "create,plan,verify", "create,verify,secure,release")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ContactChunk:
    """Up to CHUNK_ROWS contacts; how many rows of each kind of dirt and how many empty-looking cells are among them."""

    table: pa.Table
    dirt: Counter[str]


def contact_schema() -> pa.Schema:
    """Column names in lower case and their Arrow types."""
    return pa.schema([(name, _type(name)) for name in COLUMNS])


def make_contacts(count: int, *, seed: int = 1) -> Iterator[ContactChunk]:
    """`count` contacts in chunks. Row n is the same whatever `count` is."""
    for number, start in enumerate(range(0, count, CHUNK_ROWS)):
        yield _Chunk(np.random.default_rng((seed, number)), start, wanted=min(CHUNK_ROWS, count - start)).make()


def count_contacts(warehouse: Warehouse, table: str = SOURCE_TABLE) -> int | None:
    """How many contacts the table holds; None if there is no such table."""
    database, schema, name = table.split(".")
    found = warehouse.rows(
        f"select count(*) as n from {database}.information_schema.tables"
        " where table_schema = %(schema)s and table_name = %(name)s",
        schema=schema,
        name=name,
    )
    return int(warehouse.rows(f"select count(*) as n from {table}")[0]["n"]) if found[0]["n"] else None


def load_contacts(
    warehouse: Warehouse,
    count: int,
    *,
    table: str = SOURCE_TABLE,
    seed: int = 1,
    on_chunk: Callable[[int], object] = lambda _: None,
) -> Counter[str]:
    """Make the table anew with `count` contacts; returns what dirt it holds, as ContactChunk counts it.

    `table` is written as in SQL, with database and schema. `on_chunk` hears how many rows each chunk added.
    """
    definitions = ", ".join(f"{field.name} {SNOWFLAKE_TYPES[field.type]}" for field in contact_schema())
    names = ", ".join(COLUMNS)
    dirt: Counter[str] = Counter()
    warehouse.execute(f"create or replace table {table} ({definitions})")
    for chunk in make_contacts(count, seed=seed):
        with warehouse.staged(chunk.table) as staged:
            warehouse.execute(f"insert into {table} ({names}) select {names} from {staged}")
        dirt += chunk.dirt
        on_chunk(chunk.table.num_rows)
    return dirt


@contextmanager
def open_warehouse(environment: Mapping[str, str]) -> Iterator[Warehouse]:
    """A session with the Snowflake of these SNOWFLAKE_ variables, for loading and looking at it."""
    names = ("ACCOUNT", "USER", "PASSWORD", "ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "HOST", "PROTOCOL")
    login = {name.lower(): environment[f"SNOWFLAKE_{name}"] for name in names}
    connection = snowflake.connector.connect(
        **login,
        port=int(environment["SNOWFLAKE_PORT"]),
        # The stand-in answers what it does not understand with HTTP 500, which the connector repeats for this long.
        network_timeout=NETWORK_TIMEOUT_SECONDS,
        platform_detection_timeout_seconds=0.0,
    )
    with connection:
        yield Warehouse(connection)


def _type(column: str) -> pa.DataType:
    if column.startswith(BOOLEAN_PREFIXES):
        return pa.bool_()
    return NOT_TEXT.get(column, pa.string())


class _Chunk:
    """The making of one chunk: all draws come from one random generator, in a fixed order, for CHUNK_ROWS rows.

    The last chunk is cut to the rows wanted, and only what is left is counted.
    """

    def __init__(self, random: np.random.Generator, start: int, wanted: int) -> None:
        self._random = random
        self._rows = CHUNK_ROWS
        self._wanted = wanted
        self._numbers: Numbers = np.arange(start, start + CHUNK_ROWS, dtype=np.int64)
        self._dirt: Counter[str] = Counter()

    def make(self) -> ContactChunk:
        """Every column, in the order of COLUMNS."""
        first, last = self._pick(FIRST_NAMES), self._pick(LAST_NAMES)
        number = pc.cast(pa.array(self._numbers), pa.string())
        made = {
            "email_address": self._emails(first, last, number),
            "first_name": self._first_names(first),
            "last_name": self._last_names(last),
            "company_name": self._companies(),
            "country": self._with_nulls(self._pick(COUNTRIES)),
            "dim_marketing_contact_id": pc.utf8_lpad(number, width=32, padding="0"),
            "customer_db_customer_id": self._with_nulls(number),
            "gitlab_dotcom_user_id": self._with_nulls(pa.array(self._numbers + 1)),
            "gitlab_user_name": self._with_nulls(_join(pc.utf8_lower(first), number, separator="_")),
            "gitlab_dotcom_active_state": self._with_nulls(self._pick(("active", "blocked", "deactivated"))),
            "zuora_active_state": self._with_nulls(self._pick(("Active", "Cancelled"))),
            "zuora_contact_id": self._with_nulls(_join(pa.scalar("zc"), number, separator="-")),
            "pql_list_stages": self._with_nulls(self._pick(STAGES)),
            "last_changed": pa.array(LAST_CHANGED + self._numbers.astype("timedelta64[ms]")),
        }
        columns = [made[name] if name in made else self._plain(name) for name in COLUMNS]
        table = pa.Table.from_arrays(columns, schema=contact_schema()).slice(0, self._wanted)
        return ContactChunk(table, self._dirt + _cells(table))

    def _plain(self, name: str) -> pa.Array:
        """A column with nothing peculiar about it but nulls, and many false and 0."""
        kind = _type(name)
        if pa.types.is_boolean(kind):
            return self._with_nulls(pa.array(self._random.random(self._rows) < 0.2))  # noqa: PLR2004 - one in five
        if pa.types.is_date(kind):
            days = self._random.integers(0, DAYS, self._rows).astype("timedelta64[D]")
            return self._with_nulls(pa.array(FIRST_DAY + days))
        if pa.types.is_timestamp(kind):
            seconds = self._random.integers(0, DAYS * 86_400, self._rows).astype("timedelta64[s]")
            return self._with_nulls(pa.array((FIRST_DAY + seconds).astype("datetime64[us]")))
        if pa.types.is_integer(kind):
            return self._with_nulls(pa.array(self._random.integers(0, 12, self._rows)))
        return self._with_nulls(self._pick(BUCKETS))

    def _emails(self, first: pa.Array, last: pa.Array, number: pa.Array) -> pa.Array:
        """Clean ones are lower case and differ from row to row."""
        name = pc.utf8_lower(_join(first, last, number, separator="."))
        domain = self._pick(DOMAINS)
        clean = _join(name, domain, separator="@")
        rows = self._draw(EMAIL_DIRT)
        clean_rows = np.setdiff1d(np.arange(self._rows), np.concatenate(list(rows.values())))
        copying = rows["email_of_another_row"]
        before = np.searchsorted(clean_rows, copying)  # how many clean rows stand above each one that copies
        others = clean_rows[(self._random.random(len(copying)) * before).astype(np.int64)]
        upper = pc.utf8_upper(clean)
        replaced = {
            "email_null": pa.nulls(len(rows["email_null"]), pa.string()),
            "email_blank": _alternate(("", "   "), len(rows["email_blank"])),
            "email_not_ascii": _join(
                pc.take(name, rows["email_not_ascii"]), _alternate(("bücher.example",), len(rows["email_not_ascii"]))
            ),
            "email_malformed": pc.take(name, rows["email_malformed"]),
            "email_spaces_or_upper_case": _join(
                _alternate((" ", ""), len(rows["email_spaces_or_upper_case"])),
                pc.take(upper, rows["email_spaces_or_upper_case"]),
                separator="",
            ),
            "email_of_another_row": pc.take(upper, others),
        }
        return self._replace(clean, rows, replaced)

    def _first_names(self, clean: pa.Array) -> pa.Array:
        rows = self._draw(FIRST_NAME_DIRT)
        pools = {"name_emoji": EMOJI, "name_not_latin": NOT_LATIN, "name_empty_string": ("",)}
        replaced = {kind: _alternate(pool, len(rows[kind])) for kind, pool in pools.items()}
        return self._with_nulls(self._replace(clean, rows, replaced), keep=rows)

    def _last_names(self, clean: pa.Array) -> pa.Array:
        rows = self._draw(LAST_NAME_DIRT)
        pools = {"name_over_long": ("von " * (OVER_LONG // 4),), "name_is_text_null": ("null", "Null", "NULL")}
        replaced = {kind: _alternate(pool, len(rows[kind])) for kind, pool in pools.items()}
        return self._with_nulls(self._replace(clean, rows, replaced), keep=rows)

    def _companies(self) -> pa.Array:
        rows = self._draw(COMPANY_DIRT)
        pools = {
            "company_quotes_and_commas": ('Turing, "Enigma" & Sons, Ltd', '"Hopper", COBOL, Inc.'),
            "company_newline": ("Noether\nInstitute", "Gauss GmbH\r\nGöttingen"),
            "company_leading_equals": ("=Wirth+Zuse",),
            "company_over_long": ("Babbage & " * (OVER_LONG // 10),),
        }
        replaced = {kind: _alternate(pool, len(rows[kind])) for kind, pool in pools.items()}
        return self._with_nulls(self._replace(self._pick(COMPANIES), rows, replaced), keep=rows)

    def _pick(self, pool: Sequence[str]) -> pa.Array:
        return pc.take(pa.array(pool), self._random.integers(0, len(pool), self._rows))

    def _draw(self, shares: Mapping[str, float]) -> dict[str, Numbers]:
        """Which rows get which kind of dirt, each row one kind at most; counted."""
        bounds = np.cumsum([0.0, *shares.values()])
        kinds = np.searchsorted(bounds, self._random.random(self._rows), side="right") - 1
        rows = {kind: np.flatnonzero(kinds == index) for index, kind in enumerate(shares)}
        self._dirt.update({kind: int((which < self._wanted).sum()) for kind, which in rows.items()})
        return rows

    def _replace(self, clean: pa.Array, rows: Mapping[str, Numbers], replaced: Mapping[str, pa.Array]) -> pa.Array:
        """`clean`, with the values of each kind put in at its rows."""
        source = np.arange(self._rows)
        position = self._rows
        for which in rows.values():
            source[which] = np.arange(position, position + len(which))
            position += len(which)
        return pc.take(pa.concat_arrays([clean, *(replaced[kind] for kind in rows)]), source)

    def _with_nulls(self, values: pa.Array, keep: Mapping[str, Numbers] | None = None) -> pa.Array:
        """Some cells become null, but none of the rows in `keep`, or the count of dirt would be wrong."""
        null = self._random.random(self._rows) < NULL_SHARE
        for which in (keep or {}).values():
            null[which] = False
        return pc.if_else(pa.array(null), pa.scalar(None, values.type), values)


def _cells(table: pa.Table) -> Counter[str]:
    """Cells that careless code mixes up: null, empty string, false and 0."""
    found = Counter(cells_null=sum(column.null_count for column in table.columns))
    for name, like in (("cells_empty_string", ""), ("cells_false", False), ("cells_zero", 0)):
        kind = pa.scalar(like).type
        columns = [column for column in table.columns if column.type == kind]
        found[name] = sum(pc.sum(pc.equal(column, like), min_count=0).as_py() for column in columns)
    return found


def _join(*parts: pa.Array | pa.Scalar, separator: str = "@") -> pa.Array:
    return pc.binary_join_element_wise(*parts, pa.scalar(separator))


def _alternate(pool: Sequence[str], count: int) -> pa.Array:
    return pc.take(pa.array(pool), np.arange(count) % len(pool))
