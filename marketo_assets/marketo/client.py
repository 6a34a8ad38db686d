"""One call to Marketo's REST API: sent within the budget, read, and tried again where the error table says so.

The only retry layer of the project. What an endpoint means belongs to the modules that use this one.
"""

import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError

from marketo_assets.marketo.auth import TOKEN_PATH, Token, TokenSource, read_token
from marketo_assets.marketo.clock import Clock, SystemClock
from marketo_assets.marketo.download import ExportFile
from marketo_assets.marketo.envelope import Envelope, read_envelope
from marketo_assets.marketo.errors import ErrorClass, MarketoError, QuotaExhaustedError, Rule, TokenError, error_for
from marketo_assets.marketo.limits import ApiBudget
from marketo_assets.marketo.stats import CallStats
from marketo_assets.marketo.usage import USAGE_PATH, calls_used_today

log = logging.getLogger("marketo_assets.marketo")

R = TypeVar("R")
T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
# How long Marketo itself works on a call before it gives up (the endpoints' own pages), and how much longer we listen:
# whoever hangs up first does not know what became of the call.
SERVER_SECONDS: Final = 30.0
SERVER_SECONDS_BY_ENDPOINT: Final[Mapping[tuple[str, str], float]] = {
    ("POST", "/rest/v1/leads.json"): 90.0,
    ("GET", "/rest/v1/leads.json"): 60.0,
    ("GET", "/rest/v1/lists/{id}/leads.json"): 60.0,
    ("POST", "/rest/v1/leads/partitions.json"): 60.0,
    ("POST", "/rest/v1/leads/{id}/merge.json"): 180.0,
    ("GET", "/rest/v1/activities/pagingtoken.json"): 300.0,
}
READ_MARGIN_SECONDS: Final = 10.0

LONGEST_BACKOFF_SECONDS: Final = 60.0
# When the connection is lost or the time runs out under a write, Marketo may still be at work on it. Sent again at
# once, the two overlap, and two upserts of one new e-mail that overlap create two leads. So it is given time to finish.
WRITE_SETTLE_SECONDS: Final = 5.0
# A broken download that brought this share of the whole got somewhere: counting begins anew. So there may be a hundred
# such attempts, but not one for every few bytes of a large file.
PROGRESS_SHARE: Final = 0.01


class MarketoClient:
    """A Marketo instance. Safe to share between threads; the budget is the caller's and stays open after `close`.

    Raises ValueError for a base URL that would send the token over the network in plain text.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        budget: ApiBudget,
        *,
        clock: Clock | None = None,
        transport: BaseAdapter | None = None,
    ) -> None:
        self._base_url = _checked_base_url(base_url)
        self._credentials = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._budget = budget
        self.clock: Clock = clock or SystemClock()
        self.stats = CallStats()
        self._tokens = TokenSource(self._fetch_token, self.clock)
        self._session = requests.Session()
        self._session.mount(
            self._base_url, transport or HTTPAdapter(pool_connections=1, pool_maxsize=budget.limits.concurrent_calls)
        )
        # One session for all threads: nothing in it may change from call to call.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers["Accept-Encoding"] = "gzip"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: bytes | None = None,
        form: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Envelope:
        """Call `path` (from the root, "/rest/v1/…") until it succeeds or the error table says that it will not.

        `form` goes as a form body; with `_method: GET` in `params`, a POST is a read with room for a long filter.
        `timeout`: seconds to wait for the answer, by default what the endpoint needs. Raises MarketoError: see
        `errors.py`.
        """
        kind = (params or {}).get("_method", method)
        endpoint = endpoint_of(path)
        if timeout is None:
            timeout = SERVER_SECONDS_BY_ENDPOINT.get((kind, endpoint), SERVER_SECONDS) + READ_MARGIN_SECONDS
        send = partial(
            self._session.request,
            method,
            self._base_url + path,
            params=params,
            data=json_body if form is None else form,
            headers={"Content-Type": "application/json"} if json_body is not None else None,
            timeout=(CONNECT_SECONDS, timeout),
            allow_redirects=False,
        )
        ready = partial(self._ready, endpoint)
        attempt = partial(self._call, endpoint, partial(self._ask, endpoint, send))
        return self._until_done(endpoint, ready, attempt, is_write=kind != "GET")

    def download(self, path: str, file: ExportFile) -> None:
        """GET the file at `path`, streamed into `file`, until it is whole and believed or will not be.

        What came before a connection broke is kept, and the rest asked for. Each attempt is a call of the budget and
        holds its slot while the body streams; the read timeout is for each read, not for the whole. Raises
        MarketoError.
        """
        endpoint = endpoint_of(path)
        send = partial(
            self._session.get,
            self._base_url + path,
            timeout=(CONNECT_SECONDS, SERVER_SECONDS + READ_MARGIN_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        ready = partial(self._ready, endpoint)
        attempt = partial(self._call, endpoint, partial(self._stream, endpoint, send, file))
        self._until_done(endpoint, ready, attempt, is_write=False, progress=lambda: file.reached)

    def calls_left_today(self) -> int:
        """How many calls today's budget still has for us."""
        return max(0, self._budget.calls_left(partial(calls_used_today, self)))

    def usage_is_due(self) -> bool:
        """Whether the next call will ask Marketo for the day's usage first: one call more."""
        return self._budget.usage_is_due()

    def wait(self, seconds: float) -> None:
        """Let time pass, and count it."""
        self.stats.add_wait(seconds)
        self.clock.sleep(seconds)

    def _until_done(
        self,
        endpoint: str,
        ready: Callable[[], R],
        attempt: Callable[[R], T],
        *,
        is_write: bool,
        progress: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """The retry layer. What `ready` does (a token, the day's usage) has retries of its own and is not repeated.

        `progress`: the share reached, 0 to 1, of what is continued where the last attempt ended.
        """
        failures: Counter[Rule] = Counter()
        number = 0
        while True:
            number += 1
            with_what = ready()
            started, there = self.clock.monotonic(), progress()
            try:
                answer = attempt(with_what)
            except MarketoError as error:
                rule = error.rule
                if rule.error_class is not ErrorClass.TOKEN:
                    # This token was let in. If it runs out later, that is no second refusal of a fresh one.
                    failures = Counter({r: n for r, n in failures.items() if r.error_class is not ErrorClass.TOKEN})
                if progress() - there >= PROGRESS_SHARE:
                    failures.clear()
                failures[rule] += 1
                seconds = self.clock.monotonic() - started
                log.log(rule.log_level, "%s: %s, attempt %d, %.3f s", endpoint, error.code, number, seconds)
                self.stats.add_error(error.code)
                if failures[rule] >= rule.attempts:
                    raise
                self.stats.add_retry()
                self.wait(_pause(rule, failures[rule], is_write=is_write))
            else:
                log.debug("%s: ok, attempt %d, %.3f s", endpoint, number, self.clock.monotonic() - started)
                return answer

    def _ready(self, endpoint: str) -> Token:
        token = self._tokens.current()
        if endpoint != USAGE_PATH:
            self._budget.check_day(endpoint, partial(calls_used_today, self))
        return token

    def _call(self, endpoint: str, exchange: Callable[[AuthBase], T], token: Token) -> T:
        try:
            with self._budget.call() as waited:
                self.stats.add_wait(waited)
                self.stats.add_call(endpoint)
                return exchange(_Bearer(token.value))
        except TokenError:
            self._tokens.reject(token)
            raise
        except QuotaExhaustedError as error:
            if error.code == "607":
                self._budget.quota_exhausted()
            raise
        except MarketoError as error:
            if error.code == "606":
                self._budget.rate_exceeded()
            raise

    def _ask(self, endpoint: str, send: Callable[..., requests.Response], auth: AuthBase) -> Envelope:
        status, content = self._exchange(endpoint, partial(send, auth=auth))
        return read_envelope(status, content, endpoint, now=self.clock.now())

    def _stream(self, endpoint: str, send: Callable[..., requests.Response], file: ExportFile, auth: AuthBase) -> None:
        try:
            with send(headers=file.headers(), auth=auth) as response:
                file.receive(response, endpoint, now=self.clock.now())
        except requests.RequestException as error:
            raise self._lost(error, endpoint) from None

    def _fetch_token(self) -> tuple[str, float]:
        # The secret goes in the body: what stands in a URL ends up in logs along the way.
        send = partial(
            self._session.post,
            self._base_url + TOKEN_PATH,
            data=self._credentials,
            timeout=(CONNECT_SECONDS, SERVER_SECONDS + READ_MARGIN_SECONDS),
            allow_redirects=False,
            auth=_Bearer(None),
        )

        def ask(_: None) -> tuple[str, float]:
            status, content = self._exchange(TOKEN_PATH, send)
            return read_token(status, content, now=self.clock.now())

        return self._until_done(TOKEN_PATH, lambda: None, ask, is_write=False)

    def _exchange(self, endpoint: str, send: Callable[[], requests.Response]) -> tuple[int, bytes]:
        """(status, body) of one exchange."""
        try:
            response = send()
        except requests.RequestException as error:
            raise self._lost(error, endpoint) from None
        return response.status_code, response.content

    def _lost(self, error: requests.RequestException, endpoint: str) -> MarketoError:
        """The texts of `requests` hold URLs and are dropped: only their kind stays."""
        return error_for(_code_of(error), type(error).__name__, endpoint, now=self.clock.now())


class _Bearer(AuthBase):
    """Sets the Authorization header, or leaves it out; either way `requests` does not look for a .netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def endpoint_of(path: str) -> str:
    """The path with ids replaced, as it stands in logs and counts."""
    return re.sub(r"/\d+(?=[/.]|$)|(?<=/export)/[^/.]+(?=/)", "/{id}", path)


def _code_of(error: requests.RequestException) -> str:
    """The error table's word for what went wrong on the way."""
    if isinstance(error, requests.exceptions.SSLError):
        return "tls"
    # A timeout in the middle of the body comes as a ConnectionError around urllib3's own.
    in_the_body = bool(error.args) and isinstance(error.args[0], ReadTimeoutError)
    if isinstance(error, requests.exceptions.ReadTimeout) or in_the_body:
        return "timeout"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "connection"
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "reply"
    return "400"


def _pause(rule: Rule, failures: int, *, is_write: bool) -> float:
    """Seconds before the next attempt; jitter keeps threads that failed together from coming back together."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 -- spreads attempts, guards nothing
    if rule.error_class is ErrorClass.TOKEN:
        return 0.0
    if rule.error_class is ErrorClass.RATE:
        return jitter * failures  # after a 606 the budget makes everybody wait for a window besides
    backoff = jitter * min(LONGEST_BACKOFF_SECONDS, 2.0 ** (failures - 1))
    return max(backoff, WRITE_SETTLE_SECONDS) if is_write else backoff


def _checked_base_url(base_url: str) -> str:
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query or url.username:
        raise ValueError("The Marketo base URL has to look like https://123-ABC-456.mktorest.com, without a path.")
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise ValueError(
            f"The Marketo base URL is plain http to {url.hostname}: the token would travel unencrypted. "
            "Use https; http is for a loopback address, such as the sandbox's, only."
        )
    return f"{url.scheme}://{url.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
