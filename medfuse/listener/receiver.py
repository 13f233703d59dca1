"""The door: a DICOM server that takes instances (C-STORE) and puts them into the inbox."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from medfuse.errors import NetworkError, UnreadableFileError
from medfuse.extras import required
from medfuse.io.checks import shown
from medfuse.io.dicom_contexts import ACCEPTED_SYNTAXES
from medfuse.io.dicom_node import checked_ae_title
from medfuse.io.dicom_tls import TlsFiles, server_context
from medfuse.listener.inbox import Inbox

_log = logging.getLogger(__name__)

MOST_SENDERS = 64
SILENT_SECONDS = 60.0

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000


class Receiver:
    """Listens for the time of a ``with`` block.

    Args:
        inbox: where the instances go.
        ae_title: the AE title that senders must call.
        host: address to listen on; the loopback one is not reachable from other computers.
        port: 0 for any that is free.
        allowed: AE titles that may send; anyone may if there are none.
        tls: certificates, if connections are to be encrypted.

    Raises:
        OptionError: if an AE title or a certificate is none.
    """

    def __init__(
        self,
        inbox: Inbox,
        ae_title: str,
        host: str = "127.0.0.1",
        port: int = 0,
        allowed: Sequence[str] = (),
        tls: TlsFiles | None = None,
    ) -> None:
        self._inbox = inbox
        self._address = (host, port)
        self._door = _Door(None if tls is None else server_context(tls))
        self._pynetdicom = required("pynetdicom", "pynetdicom", "dicom")
        self._entity = self._pynetdicom.AE(ae_title=checked_ae_title(ae_title))
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = [checked_ae_title(title) for title in allowed]
        self._entity.maximum_associations = MOST_SENDERS
        self._entity.acse_timeout = self._entity.dimse_timeout = self._entity.network_timeout = SILENT_SECONDS
        self._entity.add_supported_context("1.2.840.10008.1.1")  # C-ECHO
        for context in self._pynetdicom.AllStoragePresentationContexts:
            # also what is no picture: a sender that gets one refusal often gives up the whole study
            self._entity.add_supported_context(context.abstract_syntax, list(ACCEPTED_SYNTAXES))

    def __enter__(self) -> Receiver:
        """Open the door.

        Raises:
            NetworkError: if the address cannot be listened on.
        """
        events = self._pynetdicom.evt
        handlers = [(events.EVT_C_STORE, self._store), (events.EVT_REJECTED, _note_refusal)]
        handlers.append((events.EVT_ABORTED, _note_abort))
        host, port = self._address
        try:
            self._server = self._entity.start_server(
                self._address, block=False, ssl_context=self._door, evt_handlers=handlers
            )
        except OSError as error:
            msg = f"cannot listen on {shown(host)}:{port} ({error.strerror or error}); choose another host or port"
            raise NetworkError(msg) from error
        self._address = self._server.server_address[:2]
        return self

    def __exit__(self, *_: object) -> None:
        """Close the door, and break off with those who are still sending: they will send again."""
        self._server.shutdown()
        for association in self._entity.active_associations:
            if association.is_established:
                association.abort()
            else:  # pynetdicom cannot abort one that has not said yet who it is
                association.kill()
        self._door.close()

    @property
    def address(self) -> tuple[str, int]:
        """Return the host and port that senders reach."""
        return self._address

    def _store(self, event: Any) -> int:
        """Answer one C-STORE: success only once the instance is safe on the disk."""
        try:
            kept = self._inbox.keep(event.encoded_dataset(), str(event.request.AffectedSOPInstanceUID))
        except UnreadableFileError as error:
            _log.warning("an instance from %s is refused: %s", _caller(event), error)
            return _CANNOT_UNDERSTAND
        except OSError as error:
            _log.error("an instance from %s was not written: %s", _caller(event), error.strerror or error)
            return _OUT_OF_RESOURCES
        if kept == "different":
            _log.warning("%s came again with other contents; the first is kept", event.request.AffectedSOPInstanceUID)
        return _SUCCESS


class _Door:
    """Gives each connection a time limit, and TLS where it is asked for.

    It stands in for the ``SSLContext`` that pynetdicom would call while it accepts connections. There a client that
    says nothing would keep everyone else out, so the handshake is left to the thread of that connection.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._connections: WeakSet[socket.socket] = WeakSet()

    def wrap_socket(self, accepted: socket.socket, server_side: bool) -> socket.socket:
        """Return what the connection is spoken through."""
        accepted.settimeout(SILENT_SECONDS)
        connection: socket.socket
        if self._context is None:
            connection = _Connection(accepted.family, accepted.type, accepted.proto, accepted.detach())
            connection.settimeout(SILENT_SECONDS)
        else:
            connection = self._context.wrap_socket(accepted, server_side, do_handshake_on_connect=False)
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._connections):
            connection.close()


class _Connection(socket.socket):
    """A connection that can be ended when the other side has ended it: pynetdicom leaves it open if this fails."""

    def shutdown(self, how: int) -> None:
        with suppress(OSError):
            super().shutdown(how)


def _caller(event: Any) -> str:
    return f"{shown(str(event.assoc.requestor.ae_title)) or 'someone'} at {event.assoc.requestor.address}"


def _note_refusal(event: Any) -> None:
    _log.warning("%s is refused; allow its AE title if it may send", _caller(event))


def _note_abort(event: Any) -> None:
    _log.warning("%s broke off; what has come of its study is kept", _caller(event))
