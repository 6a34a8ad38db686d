"""SQL text: reading `.sql` files, and the one place where names are quoted. Values are bound, never pasted."""

import re
from importlib.resources import files
from string import Template

_PART = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_NAME = re.compile(rf"{_PART}(?:\.{_PART}){{0,2}}")


def identifier(name: str) -> str:
    """Quote a column or table name of up to three parts as Snowflake understands it.

    A plain part means its upper-case form, as it does unquoted in Snowflake; a part in double quotes is kept as it is.
    Raises ValueError for anything else, so that nothing but a name can reach the SQL text.
    """
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a Snowflake name; expected [[database.]schema.]name, odd parts in double quotes"
        raise ValueError(message)
    parts = re.findall(_PART, name)
    return ".".join(part if part.startswith('"') else f'"{part.upper()}"' for part in parts)


def literal(text: str) -> str:
    """Quote a text as SQL, for names within VARIANT values: in the SQL of a view they cannot be bound."""
    # The local stand-in takes "$name" for a session variable, even within quotes.
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("$", "\\u0024")
    return f"'{escaped}'"


def plain_parts(name: str) -> list[str]:
    """The parts of a name without their quotes, folded to lower case."""
    bare = (part[1:-1].replace('""', '"') if part.startswith('"') else part for part in re.findall(_PART, name))
    return [part.lower() for part in bare]


def statement(package: str, file: str, **names: str) -> str:
    """Read `sql/<file>.sql` of a package and fill in `${names}`, which must be quoted names or fixed SQL fragments."""
    text = files(package).joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    return Template(text).substitute(names)
