"""Real pairs, judged where their headers put them, and where an error is planted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from verdict_motions import wrong_by

from medfuse.geometry import Matrix
from medfuse.options import RegistrationOptions
from medfuse.registration.presets import load_preset
from medfuse.registration.rigid import register_rigid
from medfuse.registration.scans import prepare
from medfuse.registration.verdict import judge
from medfuse.transforms.load import load_volume

PLANTED_MM = 6.5
SEED = 5
MODALITIES = {"PET": "PT", "SPECT": "NM", "scct": "CT"}


@dataclass(frozen=True)
class RealPair:
    """Two files below ``data/volumes``.

    Attributes:
        name: what is shown.
        fixed: file of the fixed scan.
        moving: file of the moving scan.
        one_space: the headers put both in one place; otherwise it is two persons, and they are registered first.
    """

    name: str
    fixed: str
    moving: str
    one_space: bool = True


PAIRS = (
    RealPair("BRAINIX T1 and FLAIR (one patient)", "brainix/T1.nii.gz", "brainix/FLAIR.nii.gz"),
    RealPair("BRAINIX FLAIR and T1 (one patient)", "brainix/FLAIR.nii.gz", "brainix/T1.nii.gz"),
    RealPair("MNI T1 and T2 (templates)", "mni/T1.nii", "mni/T2.nii"),
    RealPair("MNI T1 and CT (templates)", "mni/T1.nii", "mni/scct.nii"),
    RealPair("MNI T1 and PET (templates)", "mni/T1.nii", "mni/PET.nii"),
    RealPair("MNI T1 and SPECT (templates)", "mni/T1.nii", "mni/SPECT.nii"),
    RealPair("single subject T1 and CT template", "mni/single_subj_T1.nii", "mni/scct.nii"),
    RealPair("single subject T1 and PET template", "mni/single_subj_T1.nii", "mni/PET.nii"),
    RealPair("single subject T1 and MNI T1 template", "mni/single_subj_T1.nii", "mni/T1.nii"),
    RealPair(
        "single subject T1 and BRAINIX FLAIR (two persons)", "mni/single_subj_T1.nii", "brainix/FLAIR.nii.gz", False
    ),
    RealPair("BRAINIX T1 and MNI T1 (two persons)", "brainix/T1.nii.gz", "mni/T1.nii", False),
)


def real_table(volumes: Path) -> str:
    """Judge every pair as it is, and those in one space with 6.5 mm planted; return a table."""
    lines = ["| pair | planted, mm | verdict | estimated, mm | gravest reason |", "|---|--:|---|--:|---|"]
    for pair in PAIRS:
        fixed, moving = _read(volumes, pair.fixed), _read(volumes, pair.moving)
        scans = prepare(*fixed, *moving, load_preset("head"))
        matrix = np.eye(4)
        if not pair.one_space:
            matrix = register_rigid(*fixed, *moving, RegistrationOptions()).fixed_to_moving_ras
        for error_mm in (0.0, PLANTED_MM) if pair.one_space else (0.0,):
            change = wrong_by(np.random.default_rng(SEED), scans.head_points_mm, error_mm) if error_mm else np.eye(4)
            verdict = judge(*fixed, *moving, matrix @ change, scans=scans)
            shown = f"{verdict.grade} | {verdict.estimated_error_mm:.1f} | {verdict.reasons[0]}"
            lines.append(f"| {pair.name} | {error_mm:.1f} | {shown} |")
    return "\n".join(lines)


def _read(volumes: Path, name: str) -> tuple[torch.Tensor, Matrix]:
    modality = MODALITIES.get(Path(name).name.split(".")[0], "MR")
    volume = load_volume(volumes / name, modality)
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)
