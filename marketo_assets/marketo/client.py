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
}
READ_MARGIN_SECONDS: Final = 10.0

LONGEST_BACKOFF_SECONDS: Final = 60.0
# When the connection is lost or the time runs out under a write, Marketo may still be at work on it. Sent again at
# once, the two overlap, and two upserts of one new e-mail that overlap create two leads. So it is given time to finish.
WRITE_SETTLE_SECONDS: Final = 5.0


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
        return self._until_done(endpoint, ready, partial(self._call, endpoint, send), is_write=kind != "GET")

    def wait(self, seconds: float) -> None:
        """Let time pass, and count it."""
        self.stats.add_wait(seconds)
        self.clock.sleep(seconds)

    def _until_done(self, endpoint: str, ready: Callable[[], R], attempt: Callable[[R], T], *, is_write: bool) -> T:
        """The retry layer. What `ready` does (a token, the day's usage) has retries of its own and is not repeated."""
        failures: Counter[Rule] = Counter()
        number = 0
        while True:
            number += 1
            with_what = ready()
            started = self.clock.monotonic()
            try:
                answer = attempt(with_what)
            except MarketoError as error:
                rule = error.rule
                if rule.error_class is not ErrorClass.TOKEN:
                    # This token was let in. If it runs out later, that is no second refusal of a fresh one.
                    failures = Counter({r: n for r, n in failures.items() if r.error_class is not ErrorClass.TOKEN})
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

    def _call(self, endpoint: str, send: Callable[..., requests.Response], token: Token) -> Envelope:
        with self._budget.call() as waited:
            self.stats.add_wait(waited)
            self.stats.add_call(endpoint)
            status, content = self._exchange(endpoint, partial(send, auth=_Bearer(token.value)))
        try:
            return read_envelope(status, content, endpoint, now=self.clock.now())
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
        """(status, body) of one exchange. The texts of `requests` hold URLs and are dropped: only their kind stays."""
        try:
            response = send()
        except requests.RequestException as error:
            code = _code_of(error)
            raise error_for(code, type(error).__name__, endpoint, now=self.clock.now()) from None
        return response.status_code, response.content


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
    return re.sub(r"/\d+(?=[/.]|$)", "/{id}", path)


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
