"""The phantom patient as a folder of files that any other program can read, with the truth beside them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from medfuse.io.dicom_original import OriginalSeries, write_original_series
from medfuse.io.output_folder import whole_folder
from medfuse.io.volume_files import write_volume
from medfuse.phantom.patient import Phantom
from medfuse.phantom.tissues import Tissue

SCHEMA_VERSION = 1
DICOM_FOLDER = "dicom"


def write_phantom(phantom: Phantom, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write the volumes, their labels and sidecars, and ``truth.json``; all of it or nothing.

    For each volume there are ``NAME.nii.gz``, ``NAME_labels.nii.gz`` and, as BIDS has it, ``NAME.json`` with
    the modality; and ``dicom/NAME``, the volume as a DICOM series. All series are of one study. Equal options give
    equal bytes.

    Args:
        phantom: what to write.
        folder: where; it is created.
        overwrite: replace an earlier phantom.

    Raises:
        OutputError: if the folder exists and is not to be replaced, or cannot be written.
    """
    with whole_folder(folder, overwrite) as inside:
        for name, volume in phantom.volumes.items():
            write_volume(volume, inside / f"{name}.nii.gz")
            write_volume(phantom.labels[name], inside / f"{name}_labels.nii.gz")
            sidecar = {"Modality": volume.meta["modality"], "Units": volume.meta["units"]}
            (inside / f"{name}.json").write_text(_as_json(sidecar), encoding="utf-8")
            _write_series(phantom, name, inside / DICOM_FOLDER / name)
        (inside / "truth.json").write_text(_as_json(truth_of(phantom)), encoding="utf-8")


def truth_of(phantom: Phantom) -> dict[str, object]:
    """Return everything that is known about a phantom, ready for JSON.

    Returns:
        ``head_to_scanner_ras`` maps the head's own space to each volume's world (RAS mm); the transform from
        the fixed to the moving world is therefore ``moving @ inverse(fixed)``.
    """
    labels = {tissue.name.lower(): int(tissue) for tissue in Tissue if tissue is not Tissue.LESION}
    labels |= {f"lesion_{number}": lesion.label for number, lesion in enumerate(phantom.lesions, start=1)}
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": phantom.options.seed,
        "options": asdict(phantom.options),
        "head_to_scanner_ras": {name: pose.tolist() for name, pose in phantom.head_to_scanner_ras.items()},
        "modality": {name: volume.meta["modality"] for name, volume in phantom.volumes.items()},
        "units": {name: volume.meta["units"] for name, volume in phantom.volumes.items()},
        "labels": labels,
        "lesions": [asdict(lesion) for lesion in phantom.lesions],
    }


def _write_series(phantom: Phantom, name: str, folder: Path) -> None:
    """Write a volume as a DICOM series; volumes of one scanner share its frame of reference."""
    folder.mkdir(parents=True)
    study = f"phantom {json.dumps(asdict(phantom.options), sort_keys=True)}"
    number = list(phantom.volumes).index(name) + 1
    series = OriginalSeries(study=study, frame=name.split("_")[0], description=name, number=number)
    write_original_series(phantom.volumes[name], folder, series)


def _as_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"
