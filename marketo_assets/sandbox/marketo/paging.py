"""Paging tokens: opaque to clients, bound to the question they continue.

UNCONFIRMED: how long Marketo's live and what a bad one gets; here they do not age, and a bad one gets a 1003.
"""

import base64
import binascii
import hashlib

from marketo_assets.sandbox.marketo.wire import ApiError, Call

TOKEN_PARAMETER = "nextPageToken"  # noqa: S105 - a parameter's name, not a secret
_DIGEST_BYTES = 5


def make_token(question: str, position: int) -> str:
    """The token that continues `question` beyond `position`: padded base32, as Marketo's are."""
    return base64.b32encode(_digest(question) + f"{position}".encode()).decode()


def read_token(call: Call, question: str) -> int:
    """The position a call continues from, 0 without a token; 1003 for a token of another question."""
    token = call.text(TOKEN_PARAMETER)
    if token is None:
        return 0
    try:
        data = base64.b32decode(token)
        digest, position = data[:_DIGEST_BYTES], int(data[_DIGEST_BYTES:])
    except (binascii.Error, ValueError):
        digest, position = b"", 0
    if digest != _digest(question):
        raise ApiError("1003", "Invalid paging token")
    return position


def _digest(question: str) -> bytes:
    return hashlib.blake2b(question.encode(), digest_size=_DIGEST_BYTES).digest()
