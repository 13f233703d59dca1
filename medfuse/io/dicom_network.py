"""Steps 1 and 7 of 8, read and write: series from and to an archive over DIMSE (C-ECHO, C-FIND, C-GET, C-STORE)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from medfuse.errors import MedfuseError, NetworkError
from medfuse.extras import required
from medfuse.io.dicom_archive import NumberedFiles, SeriesEntry, checked_uid, wanted_series
from medfuse.io.dicom_contexts import ACCEPTED_SYNTAXES, PLAIN_SYNTAXES, RETRIEVED_CLASSES
from medfuse.io.dicom_node import Node
from medfuse.io.dicom_peek import is_uid, peek
from medfuse.io.dicom_tls import client_context
from medfuse.progress import Progress, Silent, showing

_log = logging.getLogger(__name__)

_ECHO = "1.2.840.10008.1.1"
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # study root
_GET = "1.2.840.10008.5.1.4.1.2.2.3"
_PENDING = (0xFF00, 0xFF01)
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, and with a warning
_CANNOT_WRITE = 0xA700
_MOST_CONTEXTS = 128  # of one association, by PS3.8

Proposal = tuple[str, tuple[str, ...]]  # an abstract syntax and the transfer syntaxes for it


def echo(node: Node) -> None:
    """Make sure that an archive answers (C-ECHO).

    Raises:
        NetworkError: if it is out of reach, or refuses.
    """
    with _association(node, [(_ECHO, PLAIN_SYNTAXES)]) as association:
        _checked(node, association.send_c_echo(), "C-ECHO")


def find_series(node: Node, study_uid: str) -> list[SeriesEntry]:
    """List the series of a study (C-FIND).

    Args:
        node: the archive.
        study_uid: StudyInstanceUID.

    Raises:
        OptionError: if the UID is none.
        NetworkError: if the archive is out of reach, refuses, or has no such study.
    """
    query = _identifier("SERIES", checked_uid(study_uid, "study"), "")
    query.Modality = query.SeriesDescription = ""
    query.NumberOfSeriesRelatedInstances = None
    entries = []
    with _association(node, [(_FIND, PLAIN_SYNTAXES)]) as association:
        for status, found in association.send_c_find(query, _FIND):
            if _code(node, status, "C-FIND") in _PENDING and found is not None:
                entries.append(_entry(found))
            else:
                _checked(node, status, "C-FIND")
    entries = [entry for entry in entries if is_uid(entry.uid)]
    if not entries:
        msg = f"{node} has no study {study_uid}; check the study UID"
        raise NetworkError(msg)
    return sorted(entries, key=lambda entry: entry.uid)


def retrieve_study(
    node: Node,
    study_uid: str,
    folder: Path,
    series_uids: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch series of a study (C-GET), one instance in memory at a time.

    Args:
        node: the archive.
        study_uid: StudyInstanceUID.
        folder: where to put ``000001.dcm`` and so on; made if it does not exist.
        series_uids: the series to fetch; all that are CT, MR, PT or NM if there are none.
        progress: hears how many instances have come.

    Returns:
        The files, in the order in which they came.

    Raises:
        OptionError: if a UID is none.
        NetworkError: if the archive is out of reach, refuses, or sends only a part of a series.
        OutputError: if the folder cannot be written.
    """
    chosen = wanted_series(find_series(node, study_uid), series_uids, study_uid, str(node))
    total = sum(entry.instances for entry in chosen)
    files = NumberedFiles(folder)
    failures: list[MedfuseError] = []
    with showing(progress or Silent(), "fetch") as bar:

        def keep(event: Any) -> int:
            try:
                files.write(event.encoded_dataset())
            except MedfuseError as error:
                failures.append(error)
                return _CANNOT_WRITE
            bar.advance(len(files.paths), total)
            return 0

        with _association(node, _retrieval(), keep) as association:
            for entry in chosen:
                _retrieve_series(node, association, study_uid, entry, files, failures)
    if not files.paths:
        msg = (
            f"{node} sent nothing of study {study_uid}; ask its keeper whether it allows C-GET from {node.own_ae_title}"
        )
        raise NetworkError(msg)
    return files.paths


def store_files(node: Node, files: Sequence[Path], progress: Progress | None = None) -> None:
    """Store DICOM files in an archive (C-STORE), one in memory at a time.

    Args:
        node: the archive.
        files: the files.
        progress: hears how many are stored.

    Raises:
        UnreadableFileError: if a file is not DICOM.
        NetworkError: if the archive is out of reach, or refuses any of the files; the others are stored.
    """
    kinds = sorted({(facts.sop_class, facts.transfer_syntax) for facts in map(peek, files)})
    proposals = [(sop_class, _offered(syntax)) for sop_class, syntax in kinds]
    if not files:
        return
    refusals: list[str] = []
    with showing(progress or Silent(), "store") as bar, _association(node, proposals[:_MOST_CONTEXTS]) as association:
        for number, path in enumerate(files, 1):
            refusals += _refusals(node, association, path)
            bar.advance(number, len(files))
    if refusals:
        count = f"{len(refusals)} of {len(files)} objects"
        msg = f"{node} did not store {count} (first reason: {refusals[0]}); look into its log"
        raise NetworkError(msg)


def _retrieve_series(
    node: Node,
    association: Any,
    study_uid: str,
    entry: SeriesEntry,
    files: NumberedFiles,
    failures: list[MedfuseError],
) -> None:
    """Ask for one series; refuse one of which only a part comes, and note one of which nothing does."""
    before = len(files.paths)
    failed = 0
    for status, _ in association.send_c_get(_identifier("SERIES", study_uid, entry.uid), _GET):
        code = _code(node, status, "C-GET")
        failed = int(status.get("NumberOfFailedSuboperations", 0) or 0)
        if code not in (*_PENDING, *_STORED) and not failed:
            _checked(node, status, "C-GET")
    if failures:
        raise failures[0]
    came = len(files.paths) - before
    expected = max(entry.instances, came + failed)
    if came == 0:
        _log.warning("series %s was not sent: %s has nothing in it that medfuse can ask for", entry.uid, node)
    elif came < expected:
        msg = f"{node} sent {came} of {expected} instances of series {entry.uid}; try again, or look into its log"
        raise NetworkError(msg)


@contextmanager
def _association(
    node: Node, proposals: Sequence[Proposal], on_store: Callable[[Any], int] | None = None
) -> Iterator[Any]:
    """Hold a connection to an archive for the time of a ``with`` block."""
    pynetdicom = required("pynetdicom", "pynetdicom", "dicom")
    entity = pynetdicom.AE(ae_title=node.own_ae_title)
    entity.connection_timeout = entity.acse_timeout = node.seconds
    entity.dimse_timeout = entity.network_timeout = node.seconds * 4  # an archive may fetch from a tape first
    for abstract_syntax, transfer_syntaxes in proposals:
        entity.add_requested_context(abstract_syntax, list(transfer_syntaxes))
    options: dict[str, Any] = {}
    if on_store is not None:
        options["evt_handlers"] = [(pynetdicom.evt.EVT_C_STORE, on_store)]
        options["ext_neg"] = [pynetdicom.build_role(uid, scp_role=True) for uid in RETRIEVED_CLASSES]
    if node.tls is not None:
        options["tls_args"] = (client_context(node.tls), node.host)
    association = entity.associate(node.host, node.port, ae_title=node.ae_title, **options)
    if not association.is_established:
        raise _no_association(node, association)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _no_association(node: Node, association: Any) -> NetworkError:
    if association.is_rejected:
        return NetworkError(f"{node} refuses us; ask its keeper to allow {node.own_ae_title} from this computer")
    encrypted = "and speaks TLS with a certificate that the CA file covers" if node.tls else "and speaks plain DICOM"
    return NetworkError(f"{node} cannot be reached or breaks off; check host and port, and that it runs {encrypted}")


def _retrieval() -> list[Proposal]:
    """Propose each kind of picture plainly and once in each compressed form, so that nothing has to be converted."""
    compressed = [syntax for syntax in ACCEPTED_SYNTAXES if syntax not in PLAIN_SYNTAXES]
    proposals: list[Proposal] = [(_GET, PLAIN_SYNTAXES)]
    for sop_class in RETRIEVED_CLASSES:
        proposals += [(sop_class, PLAIN_SYNTAXES), *((sop_class, (syntax,)) for syntax in compressed)]
    return proposals[:_MOST_CONTEXTS]


def _offered(syntax: str) -> tuple[str, ...]:
    """Return the transfer syntaxes in which a file can be sent: a plain one can be turned into another."""
    return tuple(dict.fromkeys((syntax, *PLAIN_SYNTAXES))) if syntax in PLAIN_SYNTAXES else (syntax,)


def _refusals(node: Node, association: Any, path: Path) -> list[str]:
    """Store one file; return why the archive does not want it, if it does not."""
    try:
        status = association.send_c_store(path)
    except (AttributeError, ValueError):
        return ["it takes no objects of this kind or compression"]
    except RuntimeError:
        status = Dataset()
    code = _code(node, status, "C-STORE")
    if code in _STORED[1:]:
        _log.warning("%s stored an object with the warning 0x%04X", node, code)
    return [] if code in _STORED else [f"0x{code:04X}"]


def _code(node: Node, status: Any, request: str) -> int:
    """Return the status of an answer, or raise if there is no answer."""
    if "Status" not in status:
        msg = f"{node} broke off or did not answer a {request} in time; try again, or look into its log"
        raise NetworkError(msg)
    return int(status.Status)


def _checked(node: Node, status: Any, request: str) -> None:
    """Refuse an answer that is not success."""
    code = _code(node, status, request)
    if code != 0:
        msg = f"{node} refuses a {request} with status 0x{code:04X}; look into its log"
        raise NetworkError(msg)


def _identifier(level: str, study_uid: str, series_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    query.StudyInstanceUID = study_uid
    query.SeriesInstanceUID = series_uid
    return query


def _entry(found: Any) -> SeriesEntry:
    count = str(found.get("NumberOfSeriesRelatedInstances", "") or "")
    return SeriesEntry(
        uid=str(found.get("SeriesInstanceUID", "")),
        modality=str(found.get("Modality", "") or ""),
        description=str(found.get("SeriesDescription", "") or ""),
        instances=int(count) if count.isdecimal() else 0,
    )
