"""What fetching from an archive needs, whichever network protocol it speaks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medfuse.errors import NetworkError, OptionError, OutputError
from medfuse.io.checks import shown
from medfuse.io.dicom_peek import LONGEST_UID, is_uid
from medfuse.options import MODALITIES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesEntry:
    """One series as an archive lists it.

    Attributes:
        uid: SeriesInstanceUID.
        modality: as DICOM writes it.
        description: SeriesDescription, or empty.
        instances: how many the archive says it has; 0 if it does not say.
    """

    uid: str
    modality: str
    description: str
    instances: int


class NumberedFiles:
    """Writes instances into a folder under names that count up, never under names that came over the network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths: list[Path] = []

    def write(self, content: bytes) -> Path:
        """Write one instance, whole or not at all.

        Raises:
            OutputError: if the folder cannot be written.
        """
        path = self._folder / f"{len(self.paths) + 1:06d}.dcm"
        partial = path.with_suffix(".partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            os.replace(partial, path)
        except OSError as error:
            msg = f"{shown(path)} was not written ({error.strerror}); free some space or choose another folder"
            raise OutputError(msg) from error
        self.paths.append(path)
        return path


def checked_uid(uid: str, name: str) -> str:
    """Return a UID that a user gave, or refuse it.

    Raises:
        OptionError: if it is not digits and dots, or is longer than 64 characters.
    """
    if not is_uid(uid):
        msg = f"the {name} UID {shown(uid)[:LONGEST_UID]!r} is not digits and dots, at most {LONGEST_UID}; check it"
        raise OptionError(msg)
    return uid


def wanted_series(
    listed: Sequence[SeriesEntry], series_uids: Sequence[str], study_uid: str, archive: str
) -> list[SeriesEntry]:
    """Choose the series of a study to fetch: those that are named, or all whose modality can be fused.

    Args:
        listed: what the archive has.
        series_uids: those to fetch; empty for all that are CT, MR, PT or NM.
        study_uid: the study, for the message.
        archive: the archive, for the message.

    Raises:
        OptionError: if a series is named that the study does not have.
        NetworkError: if the archive has nothing of the study, or nothing that can be fused.
    """
    if not listed:
        msg = f"{archive} has no study {study_uid}; check the study UID"
        raise NetworkError(msg)
    by_uid = {entry.uid: entry for entry in listed}
    for uid in series_uids:
        if checked_uid(uid, "series") not in by_uid:
            msg = f"study {study_uid} has no series {uid}; choose one of {', '.join(by_uid)}"
            raise OptionError(msg)
    if series_uids:
        return [by_uid[uid] for uid in series_uids]
    chosen = [entry for entry in listed if entry.modality in MODALITIES]
    for entry in listed:
        if entry not in chosen:
            _log.info("series %s is %s and not fetched", entry.uid, shown(entry.modality) or "of no modality")
    if not chosen:
        msg = f"study {study_uid} of {archive} has no series of {', '.join(MODALITIES)}; check the study UID"
        raise NetworkError(msg)
    return chosen
