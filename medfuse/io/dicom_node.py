"""Where a DICOM application is: its name, host and port, and how to speak to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medfuse.errors import OptionError
from medfuse.io.checks import shown
from medfuse.io.dicom_tls import TlsFiles

OWN_AE_TITLE = "MEDFUSE"

_ADDRESS = re.compile(
    r"(?P<title>[^@]+)@(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True)
class Node:
    """A DICOM application on the network.

    Attributes:
        host: name or address.
        port: 1 to 65535.
        ae_title: its AE title.
        own_ae_title: the AE title that medfuse calls itself by.
        tls: certificates, if the connection is to be encrypted.
        seconds: how long to wait for a connection; four times that for an answer.
    """

    host: str
    port: int
    ae_title: str
    own_ae_title: str = OWN_AE_TITLE
    tls: TlsFiles | None = None
    seconds: float = 30.0

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def parse_node(address: str, own_ae_title: str = OWN_AE_TITLE, tls: TlsFiles | None = None) -> Node:
    """Read an address such as ``ORTHANC@pacs.example.org:4242``.

    Raises:
        OptionError: if it is not of this form, or an AE title is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 2**16:
        msg = f"{shown(address)!r} is no DICOM address; give AETITLE@host:port, such as ORTHANC@localhost:4242"
        raise OptionError(msg)
    host = found["six"] or found["host"]
    return Node(host, int(found["port"]), checked_ae_title(found["title"]), checked_ae_title(own_ae_title), tls)


def checked_ae_title(title: str) -> str:
    """Return an AE title without padding, or refuse it.

    Raises:
        OptionError: if it is empty, longer than 16 characters, or has others than printable ASCII without backslash.
    """
    stripped = title.strip(" ")
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        msg = f"{shown(title)!r} is no AE title; give 1 to 16 printable ASCII characters without backslash"
        raise OptionError(msg)
    return stripped
