"""The pairing token: shown once, known by its hash, compared in constant time.

It is random and has 160 bits, so that a plain hash cannot be guessed back and wrong guesses need
no limit.
"""

from __future__ import annotations

import hmac
import secrets

from hwnas.agent.wire import Refused
from hwnas.files import sha256

TOKEN_BYTES = 20
SCHEME = b"bearer "
LONGEST = 200
"""Bytes of an Authorization header that are looked at."""


def new_token() -> str:
    """Return a token; its digits make it safe in a shell and after `--token`."""
    return secrets.token_hex(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Return what is kept of a token."""
    return sha256(token.encode())


def require_token(headers: list[tuple[bytes, bytes]], expected: str) -> None:
    """Pass only who has the token.

    Args:
        headers: of a request, names in lower case.
        expected: hash of the token.

    Raises:
        Refused: no token, two, or another one.
    """
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise Refused(401, "no-token", "no token: start the harness with --token")
    one = len(given) == 1 and len(given[0]) <= LONGEST and given[0][:7].lower() == SCHEME
    shown = sha256(given[0][7:].strip()) if one else ""
    if not hmac.compare_digest(shown, expected):
        raise Refused(401, "wrong-token", "wrong token: use the one that hwnas showed at its start")
