"""Made-up accounts, products and purchases beside the contacts, for the companies and custom objects of Marketo.

The same contacts give the same purchases. Does not belong here: the contacts themselves (contacts.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from marketo_assets.sandbox.contacts import COUNTRIES, LAST_NAMES, SNOWFLAKE_TYPES, SOURCE_TABLE, count_contacts
from marketo_assets.warehouse.session import Warehouse

_SCHEMA: Final = SOURCE_TABLE.rsplit(".", 1)[0]
ACCOUNT_TABLE: Final = f"{_SCHEMA}.ACCOUNT"
PRODUCT_TABLE: Final = f"{_SCHEMA}.PRODUCT"
PURCHASE_TABLE: Final = f"{_SCHEMA}.PURCHASE"
ACCOUNTS, PRODUCTS, PURCHASES = 200, 20, 500

_Columns = Mapping[str, Sequence[Any]]

_INDUSTRIES: Final = ("Software", "Education", "Healthcare", "Logistics", "Energy")
_THINGS: Final = ("Notebook", "Lantern", "Kettle", "Compass", "Umbrella")
_KINDS: Final = ("small", "large", "blue", "green")

_BUYERS: Final = """
select distinct lower(trim(email_address)) as email from {table}
where email_address like '%@%' and trim(email_address) not like '% %'
    and coalesce(length(last_name), 0) <= 255 and coalesce(length(company_name), 0) <= 255
order by 1
"""


def purchases_are_there(warehouse: Warehouse) -> bool:
    """Whether the tables were made; whoever makes the contacts anew makes them anew as well."""
    return count_contacts(warehouse, PURCHASE_TABLE) is not None


def load_purchases(warehouse: Warehouse) -> None:
    """Make the three tables anew. Those who bought are contacts that Marketo takes as leads."""
    found = warehouse.rows(_BUYERS.format(table=SOURCE_TABLE))
    buyers = [row["email"] for row in found if row["email"].isascii()]
    numbers = range(ACCOUNTS)
    accounts: _Columns = {
        "account_id": [f"A-{number:05d}" for number in numbers],
        "name": [f"{_nth(LAST_NAMES, number)} & {_nth(LAST_NAMES, 7 * number + 1)} {number}" for number in numbers],
        "industry": [_nth(_INDUSTRIES, number) for number in numbers],
        "employees": [10 + 37 * number % 5_000 for number in numbers],
        "country": [_nth(COUNTRIES, number) for number in numbers],
    }
    numbers = range(PRODUCTS)
    products: _Columns = {
        "product_id": [f"P-{number:03d}" for number in numbers],
        "name": [f"{_nth(_THINGS, number)}, {_nth(_KINDS, number // len(_THINGS))}" for number in numbers],
        "price": [5 + 3 * number for number in numbers],
    }
    numbers = range(PURCHASES if buyers else 0)
    purchases: _Columns = {
        "purchase_id": [f"B-{number:07d}" for number in numbers],
        # Neighbours buy different things, and nearly everybody buys more than one.
        "email": [buyers[number // 2 % len(buyers)] for number in numbers],
        "product_id": [f"P-{7 * number % PRODUCTS:03d}" for number in numbers],
        "quantity": [1 + number % 4 for number in numbers],
    }
    # The purchases last: where they are, the others are too.
    for table, columns in ((ACCOUNT_TABLE, accounts), (PRODUCT_TABLE, products), (PURCHASE_TABLE, purchases)):
        _load(warehouse, table, columns)


def _load(warehouse: Warehouse, table: str, columns: _Columns) -> None:
    kinds = {name: pa.int64() if name in {"employees", "price", "quantity"} else pa.string() for name in columns}
    definitions = ", ".join(f"{name} {SNOWFLAKE_TYPES[kind]}" for name, kind in kinds.items())
    names = ", ".join(columns)
    warehouse.execute(f"create or replace table {table} ({definitions})")
    with warehouse.staged(pa.table(dict(columns), schema=pa.schema(list(kinds.items())))) as staged:
        warehouse.execute(f"insert into {table} ({names}) select {names} from {staged}")


def _nth(pool: Sequence[str], number: int) -> str:
    return pool[number % len(pool)]
