"""Real scans: a good pair passes, a flip and another patient do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from medfuse.geometry import Matrix, center_mm
from medfuse.registration.starts import about_centers
from medfuse.registration.verdict import judge
from medfuse.transforms.load import load_volume

T1, FLAIR = "brainix/T1.nii.gz", "brainix/FLAIR.nii.gz"
MNI_T1 = "mni/T1.nii"


def read(shared: Path, name: str) -> tuple[torch.Tensor, Matrix]:
    volume = load_volume(shared / "data" / "volumes" / name, "MR")
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)


def test_two_scans_of_one_patient_pass(shared: Path) -> None:
    verdict = judge(*read(shared, T1), *read(shared, FLAIR), np.eye(4))
    assert verdict.grade == "pass", verdict.reasons


def test_a_flip_of_a_patient_with_a_tumor_on_one_side_fails(shared: Path) -> None:
    volume, affine = read(shared, FLAIR)
    axis = int(np.argmax(np.abs(affine[0, :3])))
    verdict = judge(*read(shared, T1), torch.flip(volume, (axis,)), affine, np.eye(4))
    assert verdict.grade == "fail", verdict.reasons


def test_another_patient_does_not_pass(shared: Path) -> None:
    (ours, our_affine), (theirs, their_affine) = read(shared, T1), read(shared, MNI_T1)
    centers = (center_mm(our_affine, tuple(ours.shape)), center_mm(their_affine, tuple(theirs.shape)))
    verdict = judge(ours, our_affine, theirs, their_affine, about_centers(np.eye(3), *centers))
    assert verdict.grade != "pass"
