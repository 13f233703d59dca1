"""What a client is told when a request cannot be done: an HTTP status, and one line that says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import HTTPException

from medfuse.errors import (
    DeviceError,
    InputError,
    MedfuseError,
    NetworkError,
    OptionError,
    RegistrationError,
    WeightsError,
)
from medfuse.label_app.images import NotStoredError
from medfuse.steps import WAYS_ON

_STATUS: tuple[tuple[type[MedfuseError], HTTPStatus], ...] = (
    (NotStoredError, HTTPStatus.NOT_FOUND),
    (OptionError, HTTPStatus.BAD_REQUEST),
    (DeviceError, HTTPStatus.BAD_REQUEST),
    (WeightsError, HTTPStatus.BAD_REQUEST),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RegistrationError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NetworkError, HTTPStatus.BAD_GATEWAY),
)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what medfuse raises on purpose into the answer that a client gets.

    Raises:
        HTTPException: 404 for what is not there, 400 for a parameter that is not allowed, 422 for images that cannot
            be fused, 502 for an archive that does not answer, 500 for the rest; its detail is one line.
    """
    try:
        yield
    except MedfuseError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        raise HTTPException(status, " ".join(str(error).split())) from None
    except MemoryError:
        line = "the memory of the server does not suffice; give smaller volumes"
        raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, line) from None


@contextmanager
def for_clients(names: Mapping[Path, str]) -> Iterator[None]:
    """Put into a client's words what a message says in those of the command line.

    Args:
        names: the id of each path that a message may quote.
    """
    try:
        yield
    except MedfuseError as error:
        text = str(error).replace(WAYS_ON, "give other images, or set accept_registration")
        for path, name in names.items():
            text = text.replace(str(path), name)
        raise type(error)(text) from error
