"""One record of a bulk file: where its columns stand, and how one that is not plain CSV is told apart and mended.

Marketo's files hold values with line breaks and NUL bytes, quotes that are not doubled and JSON with raw control
characters (fact: Bulk Extract, "File content"). What is mended here comes out as the plain line that `csv_file` reads
by the block; a value is never changed, only how it is written down. Nothing here reads files.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from marketo_assets.extract.rows import INT64, NO_ATTRIBUTES, attributes_object, moment

COLUMNS: Final = {
    "marketoGUID": "guid",
    "leadId": "whole",
    "activityDate": "moment",
    "activityTypeId": "whole",
    "campaignId": "optional whole",
    "primaryAttributeValueId": "optional whole",
    "primaryAttributeValue": "text",
    "attributes": "object",
}
"""The columns that are read, by header name, with what they hold; in the order of ACTIVITY_SCHEMA."""

_WHOLE: Final = "-?[0-9]{1,18}"
_STRING: Final = (
    r'""(?:[^"\\\x00-\x1f]|\\(?:[bfnrt/\\]|""|u(?:[0-9a-cA-CeEfF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})))*""'
)
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?"
_PAIR: Final = rf"{_STRING}: ?(?:{_STRING}|{_NUMBER}|true|false|null)"
PLAIN: Final = {
    "guid": r'[^",\r\n]+',
    "whole": _WHOLE,
    "moment": r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    "optional whole": f"(?:{_WHOLE}|null|)",
    "text": r'(?:[^",\r\n]*|"(?:[^"]|"")+")',
    "object": rf'(?:"\{{(?:{_PAIR}(?:, ?{_PAIR})*)?\}}"|\{{\}})',
    "other": r'(?:[^",\r\n]*|"(?:[^"]|"")*")',
}
"""How each kind of column looks in a line that Arrow reads right and whose JSON is a flat object; regular, for RE2."""

_ROUGH: Final = {
    "guid": rb'"?[^",\n]+"?',
    "whole": rb'"?-?[0-9]+"?',
    "moment": rb'"?[0-9]{4}-[0-9]{2}-[0-9]{2}[^,\n]*',
    "optional whole": rb'(?:"?-?[0-9]+"?|null|"?"?)',
}
"""How the columns before the first text look, by which the start of a record is known."""

_NO_COLUMNS: Final = "its quotes do not show where its columns begin and end"
_CELL: Final = rb'("(?:[^"]|"")*+"|(?:[^",\n][^,\n]*?)??)'
_NO_OBJECT: Final = (b"", b"null")
_OBJECT_FOLLOWS: Final = re.compile(rb',(?="?[\[{])')


class RecordError(ValueError):
    """A record that cannot be read; says what of it, never its values."""


@dataclass(frozen=True)
class Layout:
    """The columns of a file, by header name, in the file's order."""

    names: tuple[str, ...]

    @cached_property
    def kinds(self) -> list[str]:
        """What each column holds; "other" for those that are not read."""
        return [COLUMNS.get(name, "other") for name in self.names]

    @cached_property
    def plain_line(self) -> str:
        """RE2 pattern of a line that is a whole record and needs no mending."""
        return "^" + ",".join(PLAIN[kind] for kind in self.kinds) + r"\r?\n$"

    @cached_property
    def _record(self) -> re.Pattern[bytes]:
        """A record by RFC 4180; quotes within a value that is not quoted are its text."""
        return re.compile(b",".join([_CELL] * len(self.names)) + rb"\r?\n")

    @cached_property
    def _start(self) -> re.Pattern[bytes] | None:
        """The line break before a record; None if the order of the columns does not show where one begins."""
        *head, text, last = self.kinds
        if (text, last) != ("text", "object") or not set(head) <= set(_ROUGH):
            return None
        return re.compile(rb"\n(?=" + b"".join(_ROUGH[kind] + b"," for kind in head) + b")")

    def mend(self, text: bytes, start: int, end: int, *, is_last: bool) -> tuple[bytes, int] | None:
        """The record that begins at `start` as a plain line, and where the next one begins.

        `end` is where the last whole line ends. None: the record may go on behind it, so more text is needed.
        Raises RecordError if it cannot be read.
        """
        record, line, error = self._record.match(text, start, end), None, RecordError(_NO_COLUMNS)
        if record:
            try:
                line = self._line(list(map(_value, record.groups())))
            except RecordError as found:
                error = found
        following = self._following(text, start, end) or (end if is_last else None)
        if record and line and self._is_whole(record, following):
            return line, record.end()
        if following is None:
            return None
        if by_shape := self._by_shape(text[start:following]):
            return by_shape, following
        if record and line:
            return line, record.end()
        raise error

    def _is_whole(self, record: re.Match[bytes], following: int | None) -> bool:
        """Whether a record read by its quotes neither runs on into the next one nor ends before its attributes."""
        if self._start is None or record.end() == following:
            return True
        return record[len(self.names)] not in _NO_OBJECT and (following is None or record.end() < following)

    def _following(self, text: bytes, start: int, end: int) -> int | None:
        """Where, after `start`, something begins that looks like a record."""
        found = self._start.search(text, start, end) if self._start else None
        return found.end() if found else None

    def _line(self, values: Sequence[bytes | None]) -> bytes:
        """The values, in the file's order, as a plain line. Raises RecordError for the first that cannot be read."""
        cells = []
        for name, kind, value in zip(self.names, self.kinds, values, strict=True):
            try:
                cells.append(_WRITTEN[kind](value))
            except ValueError:
                raise RecordError(f"{name} is missing or cannot be read") from None
        return b",".join(cells) + b"\n"

    def _by_shape(self, record: bytes) -> bytes | None:
        """Read a record from both ends: columns of a known shape, JSON in braces, and what is between them is text."""
        *head, rest = record.removesuffix(b"\n").removesuffix(b"\r").split(b",", len(self.names) - 2)
        if self._start is None or len(head) != len(self.names) - 2:
            return None
        for text, attributes in _cuts(rest):
            for reading in _readings(attributes):
                with suppress(RecordError):
                    return self._line([*map(_value, head), _value(text), reading])
        return None


def _value(cell: bytes) -> bytes | None:
    """The value of a cell: None where it is the word null without quotes."""
    if len(cell) > 1 and cell[:1] == cell[-1:] == b'"':
        return cell[1:-1].replace(b'""', b'"')
    return None if cell == b"null" else cell


def _cuts(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Where the text may end and the attributes begin, first places first."""
    for comma in _OBJECT_FOLLOWS.finditer(rest):
        yield rest[: comma.start()], rest[comma.end() :]
    text, comma_found, attributes = rest.rpartition(b",")
    if comma_found and attributes in _NO_OBJECT:
        yield text, attributes


def _readings(attributes: bytes) -> Iterator[bytes | None]:
    """What a cell of attributes may stand for: with its quotes doubled, not doubled at all, or doubled but for some."""
    yield _value(attributes)
    body = attributes.strip(b'"') if attributes[:1] == b'"' else attributes
    yield body
    yield _ODD_QUOTES.sub(_escape_odd, body).replace(b'""', b'"')


_ODD_QUOTES: Final = re.compile(rb'(?<![\\"])(?:"")*"(?!")')


def _escape_odd(quotes: re.Match[bytes]) -> bytes:
    """One of an odd number of quotes belongs to the value: the last if the value begins here, else the first."""
    opens = quotes.string[: quotes.start()].endswith((b":", b",", b"{", b" "))
    pairs = quotes[0][1:]
    return pairs + b'\\"' if opens else b'\\"' + pairs


def _guid(value: bytes | None) -> bytes:
    if not value:
        raise ValueError
    return _quoted(value)


def _whole(value: bytes | None) -> bytes:
    if value is None or not _WHOLE_TEXT.fullmatch(value) or int(value) not in INT64:
        raise ValueError
    return b"%d" % int(value)


_WHOLE_TEXT: Final = re.compile(rb" *-?[0-9]{1,19} *")


def _moment(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError
    return f"{moment(value.decode()).isoformat()}Z".encode()


def _object(value: bytes | None) -> bytes:
    return _quoted(_whole_object(value)) if value else NO_ATTRIBUTES.encode()


def _whole_object(text: bytes) -> bytes:
    """The text as valid JSON with the same values: itself if it is valid. Raises ValueError if it is no object."""
    for mended in (bytes, _without_controls, _without_half_pairs):
        candidate = mended(text)
        try:
            parsed = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        # The documentation shows both: an object, and the array that REST has.
        if isinstance(parsed, list):
            return _object_of(parsed)
        if isinstance(parsed, dict):
            return candidate
    raise ValueError


def _object_of(pairs: list[Any]) -> bytes:
    try:
        return attributes_object(pairs).encode()
    except (AttributeError, KeyError, TypeError):
        raise ValueError from None


def _without_controls(text: bytes) -> bytes:
    """Control characters within strings, which JSON wants escaped, escaped."""
    return _STRING_TOKEN.sub(_escape_controls, text)


def _escape_controls(string: re.Match[bytes]) -> bytes:
    return _CONTROL_OR_ESCAPE.sub(lambda found: found[1] or b"\\u%04x" % ord(found[0]), string[0])


def _without_half_pairs(text: bytes) -> bytes:
    """A half of a surrogate pair alone has no form in UTF-8: the replacement character stands for it."""
    try:
        plain = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
    except ValueError:
        return b""
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


_STRING_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_CONTROL_OR_ESCAPE: Final = re.compile(rb"(\\.)|[\x00-\x1f]", re.DOTALL)


def _quoted(value: bytes) -> bytes:
    value.decode()
    return b'"' + value.replace(b'"', b'""') + b'"'


_WRITTEN: Final[dict[str, Callable[[bytes | None], bytes]]] = {
    "guid": _guid,
    "whole": _whole,
    "moment": _moment,
    "optional whole": lambda value: _whole(value) if value else b"null",
    "text": lambda value: _quoted(value) if value else b"null",
    "object": _object,
    "other": lambda _value: b"",
}
"""How a value is written in a plain line. Raises ValueError for one that is not of its kind."""
