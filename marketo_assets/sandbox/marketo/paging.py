"""Paging tokens: opaque to clients, bound to the question they continue.

UNCONFIRMED: how long Marketo's live and what a bad one gets; here a bad one gets a 1003, and those of questions about
leads do not age. The tokens of the activity streams are in activity_tokens.py.
"""

import base64
import binascii
import hashlib

from marketo_assets.sandbox.marketo.wire import ApiError, Call

TOKEN_PARAMETER = "nextPageToken"  # noqa: S105 - a parameter's name, not a secret
BAD_TOKEN = ("1003", "Invalid paging token")
_DIGEST_BYTES = 5


def seal(question: str, text: str) -> str:
    """A token that holds a text for one question: padded base32, as Marketo's are."""
    return base64.b32encode(_digest(question, text) + text.encode()).decode()


def unseal(question: str, token: str) -> str:
    """The text in a token; 1003 for one that was not made for this question."""
    try:
        data = base64.b32decode(token)
        digest, text = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        raise ApiError(*BAD_TOKEN) from None
    if digest != _digest(question, text):
        raise ApiError(*BAD_TOKEN)
    return text


def make_token(question: str, position: int) -> str:
    """The token that continues `question` beyond `position`."""
    return seal(question, str(position))


def read_token(call: Call, question: str) -> int:
    """The position a call continues from, 0 without a token; 1003 for a token of another question."""
    token = call.text(TOKEN_PARAMETER)
    return 0 if token is None else int(unseal(question, token))


def _digest(question: str, text: str) -> bytes:
    return hashlib.blake2b(f"{question}\n{text}".encode(), digest_size=_DIGEST_BYTES).digest()
