"""Names in SQL text.

Guards against: a table or column name of marketo.yaml that becomes SQL, or another name than the one meant.
"""

import pytest

from marketo_assets.warehouse.sql import identifier, plain_parts, statement


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("contacts", '"CONTACTS"'),
        ("prod.Pumps.t_1$", '"PROD"."PUMPS"."T_1$"'),
        ('"Odd name"', '"Odd name"'),
        ('db."S-1"."a.b"', '"DB"."S-1"."a.b"'),
        ('"say ""hi"""', '"say ""hi"""'),
        ("select", '"SELECT"'),
        ("_x", '"_X"'),
    ],
)
def test_names_are_quoted_as_snowflake_understands_them(name: str, quoted: str) -> None:
    assert identifier(name) == quoted
    assert identifier(quoted) == quoted


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a;drop table t",
        "a--",
        'a"b',
        '"a"b"',
        '"open',
        '""',
        "1a",
        "a..b",
        "a.b.c.d",
        ".a",
        "a.",
        "a\n",
        "größe",
        "a,b",
        "%(x)s",
        "$(x)",
    ],
)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a Snowflake name"):
        identifier(name)


def test_the_parts_of_a_name_are_told_without_quotes_in_lower_case() -> None:
    assert plain_parts('PROD.Pumps."Odd ""Name"""') == ["prod", "pumps", 'odd "name"']


def test_a_statement_with_a_name_missing_is_an_error_and_not_a_query() -> None:
    with pytest.raises(KeyError):
        statement("marketo_assets.pump", "source_counts", table="T")
