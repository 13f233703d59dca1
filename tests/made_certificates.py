"""Certificates of one's own for the tests of encrypted connections."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from skipping import skip_or_fail

from medfuse.io.dicom_tls import TlsFiles


@dataclass(frozen=True)
class Certificates:
    """An authority and a certificate by it for localhost.

    Attributes:
        files: for a side that shows the certificate and trusts the authority.
    """

    files: TlsFiles

    @property
    def trusting(self) -> TlsFiles:
        """Return what a client has that shows no certificate."""
        return TlsFiles(ca=self.files.ca)

    @property
    def showing(self) -> TlsFiles:
        """Return what a server has that lets anyone in."""
        return TlsFiles(self.files.certificate, self.files.key)


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate for localhost and 127.0.0.1 by the openssl command."""
    program = shutil.which("openssl")
    if program is None:
        skip_or_fail("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    (folder / "names").write_text(names)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    steps = [
        ["req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests", "-days", "2"],
        ["req", *new_key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "own.csr", *authority, "-out", "own.pem", "-days", "2", "-extfile", "names"],
    ]
    for step in steps:
        subprocess.run([program, *step], cwd=folder, check=True, capture_output=True)
    return Certificates(TlsFiles(folder / "own.pem", folder / "own.key", folder / "ca.pem"))
