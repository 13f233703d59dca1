"""How a DICOMweb service is reached: its address, credentials, time limits, and what its failures mean."""

from __future__ import annotations

import base64
import ipaddress
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydicom.errors import InvalidDicomError

from medfuse.errors import NetworkError, OptionError
from medfuse.extras import required
from medfuse.io.checks import shown

_log = logging.getLogger(__name__)

REFUSED_OBJECT = (400, 409, 413, 415, 422)  # HTTP codes that concern what was sent, and not the way there
_MEANING = {
    401: "it wants credentials; set MEDFUSE_WEB_TOKEN, or MEDFUSE_WEB_USER and MEDFUSE_WEB_PASSWORD",
    403: "the credentials do not allow it; ask the archive's keeper",
    404: "nothing is there; check the address and the study UID",
    503: "it is busy; try again later",
}
_NOT_DICOMWEB = (ArithmeticError, AttributeError, EOFError, InvalidDicomError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class WebAccess:
    """Credentials and limits for a DICOMweb service.

    Attributes:
        user: for basic authentication, with ``password``.
        password: of that user.
        token: for bearer authentication; goes before ``user``.
        ca: file of certificates that the server's must descend from, in place of the usual ones.
        seconds: how long to wait for a connection, or for the next piece of an answer.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: Path | None = None
    seconds: float = 60.0


def checked_url(url: str) -> str:
    """Return the address of a service, or refuse it.

    Raises:
        OptionError: if it is not a http or https address, or has a password, a query or a fragment in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.username is not None or parts.password is not None:
        msg = (
            f"the address of {parts.hostname or 'the archive'} has a user or password in it, which would end up in "
            "logs; set MEDFUSE_WEB_USER and MEDFUSE_WEB_PASSWORD instead"
        )
        raise OptionError(msg)
    printable = url.isprintable() and not any(c.isspace() for c in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not printable:
        msg = f"{shown(url)!r} is no address of a DICOMweb service; give http://host:port/dicom-web or https://..."
        raise OptionError(msg)
    if parts.query or parts.fragment:
        msg = f"the address of {parts.hostname} has a query or fragment; give the root of its DICOMweb service"
        raise OptionError(msg)
    return url.rstrip("/")


@contextmanager
def session(access: WebAccess, address: str) -> Iterator[Any]:
    """Give a connection with credentials and time limits.

    Raises:
        OptionError: if the file of certificates does not exist.
    """
    with required("requests", "dicomweb-client", "dicom").Session() as connected:
        if access.ca is not None and not access.ca.is_file():
            msg = f"{shown(access.ca)} does not exist; give the file of certificates that the server's descends from"
            raise OptionError(msg)
        if (access.token or access.user) and _readable_on_the_way(address):
            _log.warning("the credentials go to %s unencrypted; use https", urlsplit(address).hostname)
        connected.auth = _authorization(access)
        connected.send = _settled(connected.send, access)
        yield connected


@contextmanager
def answers(address: str) -> Iterator[None]:
    """Turn every failure of a service into one clear line.

    Raises:
        NetworkError: in place of what the libraries raise.
    """
    errors = required("requests.exceptions", "dicomweb-client", "dicom")
    try:
        yield
    except errors.RequestException as error:
        msg = f"{address}{_complaint(error, errors)}"
        raise NetworkError(msg) from error
    except _NOT_DICOMWEB as error:
        msg = f"{address} does not answer as DICOMweb does ({type(error).__name__}); check the address"
        raise NetworkError(msg) from error


def _complaint(error: Any, errors: Any) -> str:
    """Say what a failure means, the most special kind first."""
    if isinstance(error, errors.HTTPError):
        code = error.response.status_code
        return f" answers HTTP {code}: {_MEANING.get(code, 'look into its log')}"
    kinds = (
        (errors.SSLError, f": TLS failed ({_cause(error)}); check the certificates, or give the right CA file"),
        (errors.Timeout, " does not answer in time; check that it runs, or try again later"),
        (errors.ChunkedEncodingError, " broke off in the middle of an answer; try again"),
        (errors.ConnectionError, f" cannot be reached ({_cause(error)}); check the address and that it runs"),
        (errors.InvalidJSONError, " does not answer as DICOMweb does (no JSON); check the address"),
    )
    fitting = [text for kind, text in kinds if isinstance(error, kind)]
    return fitting[0] if fitting else f": the request failed ({type(error).__name__}); check the address"


def _authorization(access: WebAccess) -> Callable[[Any], Any]:
    def authorize(request: Any) -> Any:
        # dicomweb-client writes the host without its port, which leads astray behind a proxy; http.client does better
        request.headers.pop("Host", None)
        if access.token:
            request.headers["Authorization"] = f"Bearer {access.token}"
        elif access.user:
            pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode("ascii")
            request.headers["Authorization"] = f"Basic {pair}"
        return request

    return authorize


def _settled(send: Callable[..., Any], access: WebAccess) -> Callable[..., Any]:
    """Give every request the limits and certificates of ``access``.

    Not through the session: there the environment (REQUESTS_CA_BUNDLE) would go before the certificates, and
    dicomweb-client before 0.60 knows no time limit.
    """
    settings: dict[str, Any] = {"timeout": access.seconds}
    if access.ca is not None:
        settings["verify"] = str(access.ca)

    def send_so(request: Any, **options: Any) -> Any:
        return send(request, **{**options, **settings})

    return send_so


def _readable_on_the_way(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return parts.scheme == "http" and not local


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a failure, in one line."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(inner or error)
    return shown(" ".join(str(text).split()))[:120]
