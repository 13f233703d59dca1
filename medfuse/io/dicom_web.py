"""Steps 1 and 7 of 8, read and write: series from and to an archive over DICOMweb (QIDO, WADO, STOW)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from medfuse.errors import NetworkError, UnreadableFileError
from medfuse.extras import required
from medfuse.io.checks import shown
from medfuse.io.dicom_archive import NumberedFiles, SeriesEntry, checked_uid, wanted_series
from medfuse.io.dicom_peek import is_uid
from medfuse.io.dicom_web_access import REFUSED_OBJECT, WebAccess, answers, checked_url, session
from medfuse.progress import Progress, Silent, showing

_READ_BYTES = 2**20
_SEND_BYTES = 2**31 - 1  # whole instances in one piece: many servers and proxies refuse a body in chunks
_MOST_ENTRIES = 100_000
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MODALITY, _DESCRIPTION, _COUNT = "00080060", "0008103E", "00201209"


def query_series(url: str, study_uid: str, access: WebAccess | None = None) -> list[SeriesEntry]:
    """List the series of a study (QIDO).

    Args:
        url: root of the DICOMweb service, such as ``http://localhost:8042/dicom-web``.
        study_uid: StudyInstanceUID.
        access: credentials and limits.

    Raises:
        OptionError: if the address or the UID is none.
        NetworkError: if the archive is out of reach, refuses, or has no such study.
    """
    checked_uid(study_uid, "study")
    with _service(url, access, _READ_BYTES) as client:
        found = _all_pages(client.search_for_series, _SERIES, study_instance_uid=study_uid, fields=[_COUNT])
    entries = [
        SeriesEntry(uid, _value(item, _MODALITY), _value(item, _DESCRIPTION), _number(item, _COUNT))
        for uid, item in found.items()
    ]
    if not entries:
        msg = f"{checked_url(url)} has no study {study_uid}; check the study UID"
        raise NetworkError(msg)
    return sorted(entries, key=lambda entry: entry.uid)


def fetch_study(
    url: str,
    study_uid: str,
    folder: Path,
    series_uids: Sequence[str] = (),
    progress: Progress | None = None,
    access: WebAccess | None = None,
) -> list[Path]:
    """Fetch series of a study (WADO), one instance in memory at a time.

    Args:
        url: root of the DICOMweb service.
        study_uid: StudyInstanceUID.
        folder: where to put ``000001.dcm`` and so on; made if it does not exist.
        series_uids: the series to fetch; all that are CT, MR, PT or NM if there are none.
        progress: hears how many instances have come.
        access: credentials and limits.

    Returns:
        The files, in the order in which they came.

    Raises:
        OptionError: if the address or a UID is none.
        NetworkError: if the archive is out of reach, refuses, or sends less than it lists.
        OutputError: if the folder cannot be written.
    """
    listed = query_series(url, study_uid, access)
    chosen = wanted_series(listed, series_uids, study_uid, checked_url(url))
    files = NumberedFiles(folder)
    total = sum(entry.instances for entry in chosen)
    with showing(progress or Silent(), "fetch") as bar:
        for entry in chosen:
            _fetch_series(url, study_uid, entry, access, files, lambda: bar.advance(len(files.paths), total))
    return files.paths


def store_files(
    url: str, files: Sequence[Path], progress: Progress | None = None, access: WebAccess | None = None
) -> None:
    """Store DICOM files in an archive (STOW), one in memory at a time.

    Args:
        url: root of the DICOMweb service.
        files: the files.
        progress: hears how many are stored.
        access: credentials and limits.

    Raises:
        OptionError: if the address is none.
        NetworkError: if the archive is out of reach, or refuses any of the files; the others are stored.
    """
    refusals: list[str] = []
    with showing(progress or Silent(), "store") as bar, _service(url, access, _SEND_BYTES) as client:
        for number, path in enumerate(files, 1):
            refusals += _refusals(client, _whole(path))
            bar.advance(number, len(files))
    if refusals:
        msg = (
            f"{checked_url(url)} did not store {len(refusals)} of {len(files)} objects (first reason: {refusals[0]}); "
            "look into the archive's log"
        )
        raise NetworkError(msg)


def _fetch_series(
    url: str,
    study_uid: str,
    entry: SeriesEntry,
    access: WebAccess | None,
    files: NumberedFiles,
    came: Callable[[], None],
) -> None:
    """Write the instances of one series, and make sure that each one that is listed came."""
    where = {"study_instance_uid": study_uid, "series_instance_uid": entry.uid}
    with _service(url, access, _READ_BYTES) as client:
        missing = set(_all_pages(client.search_for_instances, _INSTANCE, **where))
        listed = len(missing)
        for instance in client.iter_series(**where, media_types=(("application/dicom", "*"),)):
            encoded = BytesIO()
            pydicom.dcmwrite(encoded, instance)
            files.write(encoded.getvalue())
            missing.discard(str(instance.get("SOPInstanceUID", "")))
            came()
    if missing or not listed:
        msg = f"{checked_url(url)} sent {listed - len(missing)} of {listed} instances of series {entry.uid}; try again"
        raise NetworkError(msg)


def _whole(path: Path) -> Any:
    try:
        return pydicom.dcmread(path)
    except (InvalidDicomError, OSError) as error:
        msg = f"{shown(path)} is not a readable DICOM file; write it again"
        raise UnreadableFileError(msg) from error


def _refusals(client: Any, instance: Any) -> list[str]:
    """Store one instance; return why the service does not want it, if it does not."""
    http_error = required("requests.exceptions", "dicomweb-client", "dicom").HTTPError
    try:
        answer = client.store_instances([instance])
    except http_error as error:
        if error.response.status_code not in REFUSED_OBJECT:
            raise
        return [f"HTTP {error.response.status_code}"]
    return [_reason(item) for item in answer.get("FailedSOPSequence", [])]


@contextmanager
def _service(url: str, access: WebAccess | None, chunk_bytes: int) -> Iterator[Any]:
    """Give a client of the service, all of whose failures end as one clear line."""
    address = checked_url(url)
    client_of = required("dicomweb_client", "dicomweb-client", "dicom").DICOMwebClient
    with answers(address), session(access or WebAccess(), address) as connected:
        client = client_of(address, session=connected, chunk_size=chunk_bytes, permissive_uid=True)
        client.set_http_retry_params(retry=False)
        yield client


def _all_pages(search: Callable[..., list[dict[str, Any]]], key: str, **query: Any) -> dict[str, dict[str, Any]]:
    """Return all that a search finds, by UID: page after page, until one brings nothing new."""
    found: dict[str, dict[str, Any]] = {}
    while len(found) < _MOST_ENTRIES:
        page = search(**query, offset=len(found) or None)
        new = {uid: item for item in page if is_uid(uid := _value(item, key)) and uid not in found}
        if not new:
            break
        found.update(new)
    return found


def _value(item: dict[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _number(item: dict[str, Any], tag: str) -> int:
    text = _value(item, tag)
    return int(text) if text.isdecimal() else 0


def _reason(item: Any) -> str:
    """Return why an instance was not stored, as the code that PS3.18 lists."""
    return f"0x{int(item.get('FailureReason', 0)):04X}"
