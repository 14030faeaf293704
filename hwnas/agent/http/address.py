"""Where the host listens, and what the device has to be told to find it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^:\[\]]+):)?(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What TLS needs.

    Attributes:
        cert: PEM file, the host's own certificate first.
        key: PEM file of its key.
    """

    cert: Path
    key: Path

    def check(self) -> None:
        """Raise UserError if the files are not a certificate and its key."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"--tls-cert {self.cert} and --tls-key {self.key} are not a certificate and its "
                f"key, both as PEM: {reason}."
            ) from None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, by which a device knows it whatever its clock says."""
        text = self.cert.read_text(encoding="ascii", errors="replace")
        first = re.search(
            r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL
        )
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[0] if first else "")).hexdigest()


def parse_address(text: str) -> tuple[str, int]:
    """Read "PORT" (this machine only), "HOST:PORT" or "[IPV6]:PORT"; port 0 is any that is free.

    Raises:
        UserError: it is none of them.
    """
    found = ADDRESS.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65535:
        raise UserError(
            f"--listen {text!r} is not PORT, HOST:PORT or [IPV6]:PORT: for example 8765 for "
            "this machine only, or 0.0.0.0:8765 for the network."
        )
    return (found["host"] or LOOPBACK).strip("[]"), int(found["port"])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        UserError: the name is unknown, the port is taken, or not allowed.
    """
    bound = None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Give another address to "
            "--listen."
        ) from None
    return bound


def is_private(bound: socket.socket) -> bool:
    """Return whether only this machine can reach a socket."""
    return ipaddress.ip_address(str(bound.getsockname()[0]).partition("%")[0]).is_loopback


def url(bound: socket.socket, *, tls: bool) -> str:
    """Return what a device calls; for "all addresses" the one that leads into the network."""
    host, port = bound.getsockname()[:2]
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = _own_address(bound.family)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def _own_address(family: int) -> str:
    """Return this machine's address in its network; nothing is sent to find it."""
    there = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((there, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else LOOPBACK
