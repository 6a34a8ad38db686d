"""Guards against made-up contacts that differ from run to run, lack the dirt they claim, or load as something else."""

from collections import ChainMap, Counter

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from marketo_assets.sandbox import contacts
from marketo_assets.warehouse.session import Warehouse


@pytest.fixture(scope="module")
def chunk() -> contacts.ContactChunk:
    return next(contacts.make_contacts(contacts.CHUNK_ROWS))


def test_the_table_has_the_57_columns_of_the_pump_and_the_time_of_last_change(chunk: contacts.ContactChunk) -> None:
    names = chunk.table.column_names
    assert len(names) == len(set(names)) == 58
    assert names[-1] == "last_changed"
    assert chunk.table.schema.field("is_paid_tier").type == pa.bool_()
    assert chunk.table.schema.field("zuora_created_date").type == pa.date32()
    assert chunk.table.schema.field("gitlab_dotcom_last_login_date").type == pa.timestamp("us")
    assert chunk.table.schema.field("pql_nbr_stages").type == pa.int64()
    assert chunk.table.schema.field("days_since_saas_signup_bucket").type == pa.string()


def test_row_n_is_the_same_however_many_are_made_and_another_seed_makes_others() -> None:
    long = pa.concat_tables(made.table for made in contacts.make_contacts(contacts.CHUNK_ROWS + 100))
    short = next(contacts.make_contacts(100)).table
    assert long.num_rows == contacts.CHUNK_ROWS + 100
    assert long.slice(0, 100) == short
    assert next(contacts.make_contacts(100, seed=2)).table != short
    assert list(contacts.make_contacts(0)) == []


def test_each_kind_of_dirt_comes_in_its_share(chunk: contacts.ContactChunk) -> None:
    per_column = (contacts.EMAIL_DIRT, contacts.FIRST_NAME_DIRT, contacts.LAST_NAME_DIRT, contacts.COMPANY_DIRT)
    for kind, share in ChainMap(*map(dict, per_column)).items():
        expected = share * contacts.CHUNK_ROWS
        assert abs(chunk.dirt[kind] - expected) < 6 * expected**0.5, kind


def test_the_counts_say_what_is_in_the_table(chunk: contacts.ContactChunk) -> None:
    rows = chunk.table.select(["email_address", "first_name", "last_name", "company_name"]).to_pylist()
    seen: set[str] = set()
    found: Counter[str] = Counter()
    for row in rows:
        email, company = row["email_address"], row["company_name"] or ""
        found["email_null"] += email is None
        found["name_empty_string"] += row["first_name"] == ""
        found["name_is_text_null"] += (row["last_name"] or "").lower() == "null"
        found["name_over_long"] += len(row["last_name"] or "") > 255
        found["company_over_long"] += len(company) > 255
        found["company_newline"] += "\n" in company
        found["company_quotes_and_commas"] += '"' in company and "," in company
        found["company_leading_equals"] += company.startswith("=")
        if email is None:
            continue
        found["email_blank"] += not email.strip()
        found["email_not_ascii"] += not email.isascii()
        found["email_malformed"] += bool(email.strip()) and "@" not in email
        key = email.strip().casefold()
        found["email_of_another_row"] += bool(key) and key in seen
        seen.add(key)
    assert {kind: chunk.dirt[kind] for kind in found} == found
    null_cells = sum(column.null_count for column in chunk.table.columns)
    assert chunk.dirt["cells_null"] == null_cells
    assert chunk.dirt["cells_false"] > null_cells
    assert chunk.dirt["cells_zero"] > 0
    assert chunk.dirt["cells_empty_string"] > chunk.dirt["name_empty_string"]


def test_loaded_contacts_come_back_as_they_were_made(warehouse: Warehouse, source_schema: str) -> None:
    table = f"{source_schema}.PUMP_MARKETING_CONTACT"
    assert contacts.count_contacts(warehouse, table) is None
    contacts.load_contacts(warehouse, 50, table=table)  # made anew each time, not added to
    added: list[int] = []
    dirt = contacts.load_contacts(warehouse, 600, table=table, on_chunk=added.append)
    made = next(contacts.make_contacts(600))
    assert (contacts.count_contacts(warehouse, table), added, dirt) == (600, [600], made.dirt)
    loaded = warehouse.arrow(f"select * from {table} order by last_changed")
    for name in contacts.COLUMNS:
        expected = made.table[name]
        assert pc.cast(loaded[name], expected.type).to_pylist() == expected.to_pylist(), name
