"""An archive by its address, whichever of the two protocols it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from medfuse.io import dicom_network, dicom_web
from medfuse.io.dicom_node import OWN_AE_TITLE, Node, parse_node
from medfuse.io.dicom_web_access import WebAccess, checked_url
from medfuse.progress import Progress


class Archive(Protocol):
    """What studies are fetched from and stored in."""

    def fetch(self, study_uid: str, folder: Path, progress: Progress | None = None) -> list[Path]:
        """Put the images of a study into a folder."""
        ...

    def store(self, files: Sequence[Path], progress: Progress | None = None) -> None:
        """Store files."""
        ...


class WebArchive:
    """An archive that speaks DICOMweb.

    Args:
        url: root of the service.
        access: credentials and limits.

    Raises:
        OptionError: if the address is none.
    """

    def __init__(self, url: str, access: WebAccess | None = None) -> None:
        self.url = checked_url(url)
        self.access = access

    def fetch(self, study_uid: str, folder: Path, progress: Progress | None = None) -> list[Path]:
        """Fetch by WADO; see ``dicom_web.fetch_study``."""
        return dicom_web.fetch_study(self.url, study_uid, folder, progress=progress, access=self.access)

    def store(self, files: Sequence[Path], progress: Progress | None = None) -> None:
        """Store by STOW; see ``dicom_web.store_files``."""
        dicom_web.store_files(self.url, files, progress, self.access)


class NodeArchive:
    """An archive that speaks DIMSE.

    Args:
        node: where it is.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def fetch(self, study_uid: str, folder: Path, progress: Progress | None = None) -> list[Path]:
        """Fetch by C-GET; see ``dicom_network.retrieve_study``."""
        return dicom_network.retrieve_study(self.node, study_uid, folder, progress=progress)

    def store(self, files: Sequence[Path], progress: Progress | None = None) -> None:
        """Store by C-STORE; see ``dicom_network.store_files``."""
        dicom_network.store_files(self.node, files, progress)


def archive_at(address: str, access: WebAccess | None = None, own_ae_title: str = OWN_AE_TITLE) -> Archive:
    """Return the archive at an address.

    Args:
        address: ``http://host/dicom-web`` or ``https://...`` for DICOMweb, ``AETITLE@host:port`` for DIMSE.
        access: credentials for DICOMweb.
        own_ae_title: the AE title that medfuse calls itself by.

    Raises:
        OptionError: if it is neither.
    """
    if "://" in address:
        return WebArchive(address, access)
    return NodeArchive(parse_node(address, own_ae_title))
