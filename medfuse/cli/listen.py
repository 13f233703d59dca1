"""``medfuse listen``: take studies by C-STORE, fuse each when it is complete, and send the result on."""

from __future__ import annotations

import ipaddress
import logging
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import medfuse
from medfuse import listener
from medfuse.cli.console import guarded, out
from medfuse.cli.web_access import web_access
from medfuse.errors import OptionError
from medfuse.options import AUTO_METHOD, METHODS, REGISTRATIONS, FusionOptions, RegistrationOptions

if TYPE_CHECKING:
    from medfuse.io.dicom_node import Node
    from medfuse.listener.sender import Send
    from medfuse.listener.worker import Fuse


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
    fixed_series: Annotated[
        str | None, typer.Option("--fixed", help="Modality of the fixed series, if MR is not or not clear.")
    ] = None,
    moving_series: Annotated[str | None, typer.Option("--moving", help="The same of the moving series.")] = None,
    registration: Annotated[
        str, typer.Option("--registration", "--register", help=f"How to register: {', '.join(REGISTRATIONS)}.")
    ] = "rigid",
    method: Annotated[str, typer.Option(help=f"How to fuse: {', '.join(METHODS)}, or auto.")] = AUTO_METHOD,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
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
    options = FusionOptions(
        registration=RegistrationOptions(method=registration),
        method=method,
        device=device,
        fixed_series=fixed_series,
        moving_series=moving_series,
    )
    theirs = listener.TlsFiles(certificate, key, forward_ca) if forward_tls else None
    node = None if forward is None else listener.parse_node(forward, ae_title, theirs)
    send = _sender(node, forward_web, forward_ca)
    logging.getLogger("medfuse.listener").setLevel(logging.INFO)
    inbox = listener.Inbox(output)
    worker = listener.Worker(inbox, _fuse_with(options), send, quiet_seconds)
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


def _fuse_with(options: FusionOptions) -> Fuse:
    """Return what fuses two series of a study and tells the folder of the DICOM files to send."""

    def fuse_study(study: Path, output: Path) -> Path:
        medfuse.fuse_volumes(study, None, replace(options, output=output))
        return output / "dicom"

    return fuse_study


def _sender(forward: Node | None, forward_web: str | None, ca: Path | None) -> Send | None:
    """Return what brings results on their way, or None to keep them here."""
    if forward is not None and forward_web is not None:
        msg = "--forward and --forward-web are both given; choose one way for the results"
        raise OptionError(msg)
    if forward is not None:
        return listener.send_to_node(forward)
    return None if forward_web is None else listener.send_to_web(forward_web, web_access(ca))


def _check_openness(host: str, allow: list[str]) -> None:
    """Refuse to take instances from anyone on the network."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not allow:
        msg = f"--host {host} lets other computers send; name those that may by --allow AETITLE"
        raise OptionError(msg)
