"""The modality of a volume, as far as its header, its sidecar or its name tells.

Sidecars and names follow BIDS (Gorgolewski et al., Scientific Data 3:160044, 2016): ``sub-01_T1w.nii.gz``
with ``sub-01_T1w.json`` beside it. Modalities are named as in DICOM: MR, CT, PT, NM.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.io.checks import shown
from medfuse.options import MODALITIES

log = logging.getLogger(__name__)

_LARGEST_SIDECAR = 2**20
_EXTENSIONS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
_SYNONYMS = {"PET": "PT", "MRI": "MR", "SPECT": "NM"}
_MR_SUFFIXES = (
    *("t1w", "t2w", "pdw", "flair", "t2star", "t2starw", "t1map", "t2map", "t1rho", "pdt2"),
    *("inplanet1", "inplanet2", "angio", "swi", "unit1", "mp2rage", "mprage", "megre", "mese", "vfa"),
    *("bold", "cbv", "sbref", "dwi", "asl", "m0scan", "epi", "magnitude", "magnitude1", "magnitude2"),
    *("phase", "phase1", "phase2", "phasediff", "t1", "t2", "mr", "mri"),
)
_SUFFIX_MODALITY = {
    **dict.fromkeys(_MR_SUFFIXES, "MR"),
    **{"ct": "CT", "pet": "PT", "spect": "NM"},
}


@dataclass(frozen=True)
class FoundModality:
    """A modality and where it was found.

    Attributes:
        modality: MR, CT, PT or NM.
        source: ``"header"``, ``"sidecar"`` or ``"file name"``.
    """

    modality: str
    source: str


def find_modality(
    path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None
) -> FoundModality | None:
    """Look for the modality in the header, then in a JSON sidecar, then in the file name.

    Args:
        path: the volume's file.
        meta: metadata of the volume; ``modality`` in it is what its header states.

    Returns:
        What was found, or None if nothing tells, or something other than MR, CT, PT or NM.
    """
    path = Path(path)
    stem = _stem(path)
    told = (
        ("header", _as_dicom(None if meta is None else meta.get("modality"))),
        ("sidecar", _as_dicom(_sidecar_modality(path.with_name(f"{stem}.json")))),
        ("file name", _suffix_modality(stem)),
    )
    return next((FoundModality(modality, source) for source, modality in told if modality is not None), None)


def modality_of(path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None) -> str | None:
    """Return what ``find_modality`` finds, without the source."""
    found = find_modality(path, meta)
    return None if found is None else found.modality


def _stem(path: Path) -> str:
    for extension in _EXTENSIONS:
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return path.stem


def _as_dicom(value: object) -> str | None:
    """Accept one of the four names, whatever its case, or a common synonym."""
    if not isinstance(value, str):
        return None
    name = value.strip().upper()
    name = _SYNONYMS.get(name, name)
    return name if name in MODALITIES else None


def _suffix_modality(stem: str) -> str | None:
    """Apply the BIDS rule: what follows the last underscore names the contrast; a bare ``T1`` counts too."""
    last = re.split(r"[_.\s]", stem)[-1]
    return _SUFFIX_MODALITY.get(last.lower())


def _sidecar_modality(path: Path) -> object:
    """Return the sidecar's ``Modality``; a missing one is normal, a broken one is logged and passed over."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            content = file.read(_LARGEST_SIDECAR + 1)
        if len(content) > _LARGEST_SIDECAR:
            log.warning("%s is larger than %d bytes and was not read", shown(path.name), _LARGEST_SIDECAR)
            return None
        fields = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        reason = type(error).__name__
        log.warning("%s is not readable JSON and was passed over (%s)", shown(path.name), reason)
        return None
    return fields.get("Modality") if isinstance(fields, dict) else None
