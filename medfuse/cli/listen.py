"""``medfuse listen``: take studies by C-STORE, fuse each when it is complete, and send the result on."""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
import warnings
from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse import listener
from medfuse.cli.console import guarded, out
from medfuse.errors import OptionError


@guarded
def listen(
    output: Annotated[Path, typer.Option("--output", "-o", help="Working folder: studies, results, state.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 11112,
    host: Annotated[str, typer.Option(help="Address to listen on; by default other computers cannot.")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option(help="AE title that senders call.")] = "MEDFUSE",
    allow: Annotated[
        list[str] | None, typer.Option(help="AE title that may send; repeat for more. Any, if none is named.")
    ] = None,
    quiet_seconds: Annotated[
        float, typer.Option(min=0.0, help="A study is complete when nothing has come for so long.")
    ] = 60.0,
    forward: Annotated[str | None, typer.Option(help="Send results by C-STORE to AETITLE@host:port.")] = None,
    forward_tls: Annotated[bool, typer.Option("--forward-tls", help="Encrypt that connection.")] = False,
    forward_web: Annotated[str | None, typer.Option(help="Send results to this DICOMweb service.")] = None,
    forward_ca: Annotated[
        Path | None, typer.Option(help="Certificates that those of the receiver of results must descend from (PEM).")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM); turns TLS on.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates that those of senders must descend from (PEM).")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Fuse what failed once more.")] = False,
) -> None:
    """Take studies by C-STORE, fuse each when it is complete, and send the result on. Runs until stopped."""
    _check_openness(host, allow or [])
    if forward is not None and forward_web is not None:
        msg = "--forward and --forward-web are both given; choose one way for the results"
        raise OptionError(msg)
    send = None
    if forward is not None:
        theirs = listener.TlsFiles(certificate, key, forward_ca) if forward_tls else None
        send = listener.send_to_node(listener.parse_node(forward, ae_title, theirs))
    elif forward_web is not None:
        send = listener.send_to_web(forward_web, _web_access(forward_ca))
    logging.getLogger("medfuse.listener").setLevel(logging.INFO)
    inbox = listener.Inbox(output)
    worker = listener.Worker(inbox, _fuse_study, send, quiet_seconds)
    tls = listener.TlsFiles(certificate, key, ca) if certificate or key or ca else None
    receiver = listener.Receiver(inbox, ae_title, host, port, allow or [], tls)
    try:
        with inbox.opened(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries warn about quotes values of headers
            worker.resume(retry_failed)
            with receiver:
                out.print(f"Listening as {ae_title} on {receiver.address[0]}:{receiver.address[1]}.", markup=False)
                worker.run(threading.Event())
    except KeyboardInterrupt:
        out.print(f"Stopped. {worker.waiting} studies wait for the next start.", markup=False)


def _fuse_study(study: Path, output: Path) -> Path:
    """Fuse the two series of a study; return the folder of the DICOM files to send."""
    medfuse.fuse_volumes(study, study, medfuse.FusionOptions(output=output))
    return output / "dicom"


def _check_openness(host: str, allow: list[str]) -> None:
    """Refuse to take instances from anyone on the network."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not allow:
        msg = f"--host {host} lets other computers send; name those that may by --allow AETITLE"
        raise OptionError(msg)


def _web_access(ca: Path | None) -> listener.WebAccess:
    """Take the credentials from the environment: on the command line every user of the computer could read them."""
    names = ("MEDFUSE_WEB_USER", "MEDFUSE_WEB_PASSWORD", "MEDFUSE_WEB_TOKEN")
    user, password, token = (os.environ.get(name, "") for name in names)
    return listener.WebAccess(user=user, password=password, token=token, ca=ca)
