"""One text for one value, whichever side it comes from: what is compared, stored in the mirror and hashed.

Marketo gives a value out as JSON in a lead, as text in a change and as text in an export; the warehouse has columns.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from marketo_assets.extract.rows import moment

_WHOLE: Final = frozenset({"integer", "score"})
_NUMBERS: Final = frozenset({"float", "currency", "percent"})
_TRUE: Final = frozenset({"true", "1", "yes"})


def canonical(value: Any, data_type: str) -> str | None:
    """The value as text; None where there is none. A boolean always has a value: Marketo reads a null as false.

    A value that is not of its type is kept as it is: it is compared, and what it means is nobody's business here.
    """
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    text = text.strip()
    if data_type == "boolean":
        return "true" if text.lower() in _TRUE else "false"
    if not text:
        return None
    try:
        return _typed(text, data_type)
    except (ValueError, OverflowError):
        return text


def _typed(text: str, data_type: str) -> str:
    if data_type in _WHOLE:
        return str(int(float(text)))
    if data_type in _NUMBERS:
        return repr(float(text))
    if data_type == "date":
        return moment(text).date().isoformat()
    if data_type == "datetime":
        return moment(text).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text


def value_hash(field: str, text: str | None) -> str:
    """Of one field's canonical text; the same text in two fields has two hashes."""
    return hashlib.sha256(orjson.dumps([field, text])).hexdigest()[:20]


def record_hash(fields: Mapping[str, str | None]) -> str:
    """Of all fields of a lead."""
    return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
