"""The main job on a study in an archive (PACS): fetch it, fuse, and store the result back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from medfuse.errors import OptionError
from medfuse.io.dicom_place import Archive
from medfuse.io.output_folder import check_output
from medfuse.options import FusionOptions
from medfuse.pipeline import fuse_volumes
from medfuse.progress import Progress
from medfuse.result import FusionResult

DICOM_FOLDER = "dicom"


def fuse_study(
    archive: Archive, study_uid: str, options: FusionOptions, progress: Progress | None = None
) -> FusionResult:
    """Fetch a study from an archive and fuse two series of it.

    Args:
        archive: where the study is; see ``medfuse.io.dicom_place.archive_at``.
        study_uid: StudyInstanceUID.
        options: as for ``fuse_volumes``.
        progress: told how far the work is.

    Raises:
        MedfuseError: one of its kinds, in one line.
    """
    if options.output is not None:
        check_output(options.output, options.overwrite)  # before anything is fetched
    with tempfile.TemporaryDirectory(prefix="medfuse-") as workspace:
        study = Path(workspace) / "study"
        archive.fetch(study_uid, study, progress)
        return fuse_volumes(study, None, options, progress)


def store_result(archive: Archive, output: Path, progress: Progress | None = None) -> int:
    """Store the DICOM objects of a result in an archive.

    Args:
        archive: where to.
        output: the folder that ``fuse_volumes`` wrote.
        progress: told how many are stored.

    Returns:
        How many objects were stored.

    Raises:
        OptionError: if the result has no DICOM objects.
        NetworkError: if the archive does not take them all.
    """
    files = sorted((output / DICOM_FOLDER).rglob("*.dcm"))
    if not files:
        msg = "the result has no DICOM objects to store; only a fixed volume read from DICOM gives some"
        raise OptionError(msg)
    archive.store(files, progress)
    return len(files)
