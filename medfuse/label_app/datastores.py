"""Where images come from: a folder, or an archive that speaks DICOMweb; nothing but ids goes in."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.local import LocalDatastore
from monailabel.datastore.utils.dicom import dicom_web_download_series
from monailabel.interfaces.datastore import Datastore
from pydicom.dataset import Dataset

from medfuse.errors import NetworkError
from medfuse.io.dicom_peek import is_uid
from medfuse.label_app.images import NotStoredError, StoredImage, checked_id, described, not_stored
from medfuse.label_app.refusals import refusals
from medfuse.options import MODALITIES

_NUMBER = "NumberOfSeriesRelatedInstances"
_FIELDS = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", _NUMBER)
_UNREACHABLE = (requests.RequestException, OSError)


class FolderDatastore(LocalDatastore):  # type: ignore[misc]
    """A folder of volumes, to which no image can be added under a name that leads elsewhere."""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image under an id that is a plain file name; see MONAI Label."""
        with refusals():
            if image_id:
                checked_id(image_id, "new")
        return str(super().add_image(image_id, image_filename, image_info))


class ArchiveDatastore(DICOMWebDatastore):  # type: ignore[misc]
    """The MR, CT, PET and SPECT series of an archive; the id of an image is its SeriesInstanceUID.

    Series are fetched when they are first used, into MONAI Label's cache, and appear there whole or not at all.

    Args:
        client: speaks to the archive.
        search_filter: what MONAI Label was told to look for; its modality is passed over, since a pair has two.
        cache_path: where fetched series are kept; None for MONAI Label's own place.
        fetch_by_frame: fetch pixels frame by frame.
        convert_to_nifti: give viewers NIfTI; medfuse reads the DICOM itself.
    """

    def __init__(
        self,
        client: DICOMwebClient,
        search_filter: Mapping[str, Any],
        cache_path: str | None = None,
        fetch_by_frame: bool = False,
        convert_to_nifti: bool = True,
    ) -> None:
        wanted = {key: value for key, value in search_filter.items() if key != "Modality"}
        self._listed: dict[str, dict[str, str]] = {}
        self._listed_at = -float("inf")
        super().__init__(client, wanted, cache_path, fetch_by_frame, convert_to_nifti)

    def list_images(self) -> list[str]:
        """Return the UIDs of all series of the four modalities; the archive is asked again when the list is old."""
        return list(self._current())

    def _current(self) -> dict[str, dict[str, str]]:
        if time.monotonic() - self._listed_at > settings.MONAI_LABEL_DICOMWEB_CACHE_EXPIRY:
            found = (self._search({**self._search_filter, "Modality": modality}) for modality in MODALITIES)
            self._listed = {uid: facts for series in found for uid, facts in series.items()}
            self._listed_at = time.monotonic()
        return self._listed

    def facts_of(self, image_id: str) -> dict[str, str]:
        """Return what the archive says about a series.

        Raises:
            NotStoredError: if it has no such series.
        """
        if image_id not in self._current() and is_uid(image_id):
            found = self._search({**self._search_filter, "SeriesInstanceUID": image_id})
            self._listed |= {uid: facts for uid, facts in found.items() if facts.get("Modality") in MODALITIES}
        if image_id not in self._listed:
            raise not_stored(image_id)
        return self._listed[image_id]

    def series_folder(self, image_id: str) -> Path:
        """Fetch a series, if that has not been done, and return the folder with its files.

        Raises:
            NotStoredError: if the archive has no such series.
            NetworkError: if the archive does not answer, or sends less than it has.
        """
        facts = self.facts_of(image_id)
        folder = Path(self._datastore.image_path(), image_id)
        if not _is_whole(folder, facts):
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as temporary:
                fetched = Path(temporary, "series")
                self._download(image_id, facts, fetched)
                shutil.move(fetched, folder)
        return folder

    def get_image_uri(self, image_id: str) -> str:
        """Return the NIfTI that viewers get, or the folder of DICOM files if MONAI Label is set so."""
        with refusals():
            self.series_folder(image_id)
        return str(super().get_image_uri(image_id))

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return nothing: a fusion has no labels, and nobody waits for the archive to list its segmentations."""
        return []

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return all images."""
        return self.list_images()

    def json(self) -> dict[str, Any]:
        """Return what MONAI Label tells about its images, of those too that have not been fetched."""
        told = dict(super().json())
        known = {uid: {"image": {"ext": "", "info": facts}, "labels": {}} for uid, facts in self._current().items()}
        return told | {"objects": {**known, **told["objects"]}}

    def _download(self, image_id: str, facts: Mapping[str, str], folder: Path) -> None:
        try:
            dicom_web_download_series(
                facts["StudyInstanceUID"], image_id, str(folder), self._client, self._fetch_by_frame
            )
        except _UNREACHABLE as error:
            raise _silent(error) from error
        if not _is_whole(folder, facts):
            msg = f"the archive sent {len(list(folder.iterdir()))} of {facts[_NUMBER]} instances of a series; try again"
            raise NetworkError(msg)

    def _search(self, filters: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Return what is said about each series that fits."""
        try:
            found = self._client.search_for_series(
                search_filters=dict(filters), fields=list(_FIELDS), get_remaining=True
            )
        except _UNREACHABLE as error:
            raise _silent(error) from error
        headers = [Dataset.from_json(one) for one in found]
        return {str(header.SeriesInstanceUID): _facts(header) for header in headers}


def facts_of(datastore: Datastore, image_id: str) -> StoredImage:
    """Find out what a stored image shows and whose it is, without fetching it.

    Raises:
        NotStoredError: if there is no such image.
        NetworkError: if the archive does not answer.
    """
    if isinstance(datastore, ArchiveDatastore):
        return described(image_id, datastore.facts_of(image_id))
    path = source_of(datastore, image_id)
    return described(image_id, datastore.get_image_info(image_id), path)


def source_of(datastore: Datastore, image_id: str) -> Path:
    """Return what the main job reads for a stored image: a file, or a folder with one DICOM series.

    Raises:
        NotStoredError: if there is no such image, or its file is gone.
        NetworkError: if it cannot be fetched.
    """
    if isinstance(datastore, ArchiveDatastore):
        return datastore.series_folder(image_id)
    if image_id not in datastore.list_images():
        raise not_stored(image_id)
    path = Path(datastore.get_image_uri(image_id))
    if not path.is_file():
        msg = "the file of the image is gone; put it back, or remove the image from the datastore"
        raise NotStoredError(msg)
    return path


def _is_whole(folder: Path, facts: Mapping[str, str]) -> bool:
    """Tell whether a folder holds as many files as the archive has instances; any number, if it does not say."""
    stated = facts.get(_NUMBER, "")
    return folder.is_dir() and (not stated.isdigit() or len(list(folder.iterdir())) == int(stated))


def _facts(header: Dataset) -> dict[str, str]:
    return {name: str(header.get(name)) for name in _FIELDS if header.get(name) not in (None, "")}


def _silent(error: Exception) -> NetworkError:
    """Return what is said about an archive that does not answer; the error itself may quote who the patient is."""
    return NetworkError(f"the archive does not answer as it should ({type(error).__name__}); look whether it runs")
