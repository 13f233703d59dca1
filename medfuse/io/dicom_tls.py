"""How DICOM connections are encrypted: certificates of both sides, checked both ways where they are given."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medfuse.errors import OptionError
from medfuse.io.checks import shown


@dataclass(frozen=True)
class TlsFiles:
    """The files, all PEM, of one side of an encrypted connection.

    Attributes:
        certificate: what this side shows; a server must have one.
        key: the private key of that certificate.
        ca: certificates that the other side's must descend from. A client that has none trusts those of the
            system; a server that has none lets anyone in.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return how a server encrypts.

    Raises:
        OptionError: if there is no certificate with its key, or a file cannot be used.
    """
    if files.certificate is None or files.key is None:
        msg = "a certificate without its key, or the reverse; give both --certificate and --key"
        raise OptionError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return how a client encrypts; the server's name must match its certificate.

    Raises:
        OptionError: if a file cannot be used.
    """
    context = ssl.create_default_context() if files.ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, files)
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Connection
    for path in (files.certificate, files.key, files.ca):
        if path is not None and not path.is_file():
            msg = f"{shown(path)} does not exist; give a PEM file"
            raise OptionError(msg)
    try:
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
        if files.ca is not None:
            context.load_verify_locations(files.ca)
    except (OSError, ValueError) as error:
        names = ", ".join(shown(path) for path in (files.certificate, files.key, files.ca) if path is not None)
        msg = f"{names}: not a certificate with its key in PEM ({getattr(error, 'reason', None) or error}); check them"
        raise OptionError(msg) from error


class _Connection(ssl.SSLSocket):
    """A connection that can be ended when it has failed: pynetdicom leaves it open if it cannot be shut down."""

    def shutdown(self, how: int) -> None:
        with suppress(OSError):
            super().shutdown(how)


def _no_password() -> str:
    """Refuse to ask at the terminal for the password of a key: nobody sits before a service."""
    msg = "the key has a password"
    raise ValueError(msg)
