"""What Marketo's answers mean: one table of codes, the exceptions made from it, and the quota day.

Retry decision, log level and metrics all read `ERROR_TABLE`; a new code is one word in one row. Nothing here sends,
waits or logs, and no exception made here carries a value, a token or a query string.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

# Marketo says "CST" and means the clock on the wall in US Central, daylight saving included.
QUOTA_ZONE: Final = ZoneInfo("America/Chicago")


class ErrorClass(StrEnum):
    """What is to be done about an answer."""

    TOKEN = "token"  # noqa: S105 -- the name of a class of errors, no secret
    RATE = "rate"
    TRANSIENT = "transient"
    QUOTA = "quota"
    QUEUE = "queue"
    ROW = "row"
    REQUEST = "request"


class MarketoError(Exception):
    """Marketo did not do what was asked. `code` is Marketo's own, an HTTP status, or one of the words of the table."""

    def __init__(self, code: str, message: str, endpoint: str, request_id: str = "") -> None:
        self.message = redact(message)
        super().__init__(code, self.message, endpoint, request_id)
        self.code = code
        self.endpoint = endpoint
        self.request_id = request_id

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.endpoint}: {self.code}: {self.message}{request}. {self.rule.advice}."

    @property
    def rule(self) -> "Rule":
        """The row of the table that this error falls under."""
        return rule_for(self.code, self.message)


class TokenError(MarketoError):
    """The credentials or the token were refused, a fresh token included."""


class RateLimitError(MarketoError):
    """606 or 615 time and again, although every window and slot was kept: others use the instance heavily."""


class TransientError(MarketoError):
    """It may work later: the retries of the client are used up."""


class TimedOutError(TransientError):
    """604, or no answer within the read timeout: it may work later, or with fewer rows."""


class QuotaExhaustedError(MarketoError):
    """No more calls today. `resume_at` is the moment (UTC) from which there are."""

    def __init__(self, code: str, message: str, endpoint: str, request_id: str, resume_at: datetime) -> None:
        super().__init__(code, message, endpoint, request_id)
        self.resume_at = resume_at

    def __str__(self) -> str:
        return f"{super().__str__()} Resumes at {self.resume_at.isoformat()}."


class QueueFullError(MarketoError):
    """A queue of Marketo's (imports, exports) has no room just now."""


class JobQueuedError(MarketoError):
    """The export job stands in the queue already, as after a lost reply: what was asked for is done."""


class RequestError(MarketoError):
    """The request itself is wrong: sending it again cannot help."""


class TooManyMatchesError(RequestError):
    """A filter matched more than the 1,000 leads Marketo gives out."""


class BodyTooLargeError(RequestError):
    """HTTP 413: the body is over 1 MB."""


class UriTooLongError(RequestError):
    """HTTP 414: the URI is over 8 KB."""


class CrmSyncOnError(RequestError):
    """1018: Marketo's native sync with a CRM is on, so companies can be changed in the CRM alone."""


class PagingTokenError(RequestError):
    """Marketo does not take this paging token (any more): get a new one from the time where the old one began."""


class ExportFileError(MarketoError):
    """The file of an export job is not there, or is not the one that the job's status describes."""


class ReplyError(RequestError):
    """A reply that is whole and successful, and yet not what the documentation says."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one group of codes is treated. `attempts` counts the first one, so 1 means never again."""

    error_class: ErrorClass
    attempts: int
    log_level: int
    raises: type[MarketoError]
    advice: str
    codes: str


# Codes from Marketo's error page; HTTP statuses by number; our own words: connection (reset, refused, cut off),
# timeout (nothing came in time), reply (unreadable or truncated), budget (our own count), tls, shape, invalid_client,
# no_file (HTTP 404 for the file of an export that is done), file (its size or SHA-256 is another than the job's),
# export (a job failed, or does not end).
_REQUEST_RULE: Final = Rule(
    ErrorClass.REQUEST,
    1,
    logging.ERROR,
    RequestError,
    "Sending it again cannot help: the request, the permissions of the API user or the instance has to change",
    "400 403 404 405 600 603 605 609 610 612 613 616 701 702 703 704 709 710 711 712 714 718 1020 1026 1027 1028 1035 "
    "1042 1048 1076 1077 1078 1079 1080 tls",
)
_QUOTA_RULE: Final = Rule(
    ErrorClass.QUOTA,
    1,
    logging.WARNING,
    QuotaExhaustedError,
    "The quota starts afresh at midnight US Central",
    "607 budget",
)
ERROR_TABLE: Final[tuple[Rule, ...]] = (
    Rule(ErrorClass.TOKEN, 2, logging.INFO, TokenError, "A fresh token was refused as well", "401 601 602"),
    Rule(
        ErrorClass.TOKEN,
        1,
        logging.ERROR,
        TokenError,
        "Check MARKETO_CLIENT_ID and MARKETO_CLIENT_SECRET against the custom service in LaunchPoint",
        "invalid_client",
    ),
    Rule(
        ErrorClass.RATE,
        10,
        logging.WARNING,
        RateLimitError,
        "Others use the instance's limits; it may work later",
        "429 606 615",
    ),
    Rule(
        ErrorClass.TRANSIENT,
        7,
        logging.WARNING,
        TransientError,
        "It may work later",
        "500 502 503 504 608 611 614 713 719 connection reply export",
    ),
    # Fewer attempts: each costs minutes, and a smaller batch is the better remedy.
    Rule(
        ErrorClass.TRANSIENT,
        3,
        logging.WARNING,
        TimedOutError,
        "It may work later, or with fewer rows",
        "604 timeout",
    ),
    # A job can read Completed some time before its file is there, so this goes on for two to four minutes.
    Rule(
        ErrorClass.TRANSIENT,
        10,
        logging.WARNING,
        ExportFileError,
        "It may come later; Marketo keeps files for 7 days",
        "no_file",
    ),
    # Once afresh, from the first byte.
    Rule(
        ErrorClass.TRANSIENT,
        2,
        logging.WARNING,
        ExportFileError,
        "Nothing of this file was used; create the export anew",
        "file",
    ),
    _QUOTA_RULE,
    Rule(ErrorClass.QUEUE, 1, logging.INFO, QueueFullError, "Wait for a slot", "1016 1019 1029"),
    Rule(
        ErrorClass.ROW,
        1,
        logging.WARNING,
        RequestError,
        "Sending it again cannot help: the values, the fields or the instance's set-up have to change",
        "1001 1002 1003 1004 1005 1006 1007 1008 1009 1010 1011 1012 1013 1014 1015 1017 1021 1022 1025 1036 1037 1049",
    ),
    Rule(
        ErrorClass.ROW,
        1,
        logging.WARNING,
        CrmSyncOnError,
        "Change these records in the CRM: its native sync is on",
        "1018",
    ),
    Rule(ErrorClass.REQUEST, 1, logging.WARNING, BodyTooLargeError, "Send fewer rows", "413"),
    Rule(ErrorClass.REQUEST, 1, logging.ERROR, UriTooLongError, "Send the filter as a form by POST", "414"),
    Rule(ErrorClass.REQUEST, 1, logging.ERROR, ReplyError, "Nothing of this reply was used", "shape"),
    _REQUEST_RULE,
)
_BY_CODE: Final[Mapping[str, Rule]] = {code: rule for rule in ERROR_TABLE for code in rule.codes.split()}


def rule_for(code: str, message: str = "") -> Rule:
    """The row for a code; an unknown code is a request error, so that nothing unknown is ever taken for success.

    1029 is one code for a full export queue, for a job that is in it already, and for the day's export quota, with the
    quota's size or without it: only the text tells them apart.
    """
    if code == "1029" and "quota" in message.lower():
        return _QUOTA_RULE
    return _BY_CODE.get(code, _REQUEST_RULE)


def is_row_code(code: str) -> bool:
    """Whether a row skipped with this code is that row's own fault, so that the rest can go on."""
    return rule_for(code).error_class is ErrorClass.ROW


def error_for(code: str, message: str, endpoint: str, request_id: str = "", *, now: float) -> MarketoError:
    """The exception for a code. `now` (epoch seconds) is what a quota's next reset is counted from."""
    rule = rule_for(code, message)
    if rule.raises is QuotaExhaustedError:
        return QuotaExhaustedError(code, message, endpoint, request_id, next_quota_reset(now))
    if code == "1029" and "already" in message.lower():
        return JobQueuedError(code, message, endpoint, request_id)
    # 1003 is overloaded: a typed value, missing ids, a filter that matches too much. Only the text tells.
    if code == "1003" and "too many" in message.lower():
        return TooManyMatchesError(code, message, endpoint, request_id)
    return rule.raises(code, message, endpoint, request_id)


# Marketo quotes the offending value: "Invalid value for field 'age' and value '14.1'". A value may hold quotes itself,
# so everything up to the last one goes.
_QUOTED_VALUE: Final = re.compile(r"\bvalue\s*'.*'", re.DOTALL)
_EMAIL: Final = re.compile(r"[^\s'\"<>,;]+@[^\s'\"<>,;]+")


def redact(text: str) -> str:
    """Marketo's text without the values it quotes; field names, limits and counts stay."""
    return _EMAIL.sub("…", _QUOTED_VALUE.sub("value '…'", text))


def quota_day(now: float) -> date:
    """The day that a call made at `now` (epoch seconds) is counted on."""
    return datetime.fromtimestamp(now, QUOTA_ZONE).date()


def next_quota_reset(now: float) -> datetime:
    """The next midnight US Central after `now` (epoch seconds), in UTC: when daily quotas start afresh."""
    return datetime.combine(quota_day(now) + timedelta(days=1), time(), QUOTA_ZONE).astimezone(UTC)
