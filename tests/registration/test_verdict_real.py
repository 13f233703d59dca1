"""Real scans: good pairs pass, planted errors and other patients do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.geometry import Matrix
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.verdict import Verdict, judge
from medfuse.transforms.load import load_volume

T1, FLAIR = "brainix/T1.nii.gz", "brainix/FLAIR.nii.gz"
MNI_T1, MNI_CT = "mni/T1.nii", "mni/scct.nii"
CENTER = np.array([0.0, -20.0, 20.0])
SIX_MM = about_centers(np.eye(3), CENTER, CENTER + np.array([4.0, -4.0, 3.5]))
TURNED = about_centers(rotation(np.radians([8.0, 6.0, -8.0])), CENTER, CENTER + np.array([6.0, 0.0, 8.0]))


def read(shared: Path, name: str) -> tuple[torch.Tensor, Matrix]:
    volume = load_volume(shared / "data" / "volumes" / name, "CT" if "ct" in name else "MR")
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)


def judged(shared: Path, fixed: str, moving: str, matrix: Matrix) -> Verdict:
    return judge(*read(shared, fixed), *read(shared, moving), matrix)


@pytest.mark.parametrize(("fixed", "moving"), [(T1, FLAIR), (FLAIR, T1), (MNI_T1, "mni/T2.nii"), (MNI_T1, MNI_CT)])
def test_pairs_in_one_space_pass(shared: Path, fixed: str, moving: str) -> None:
    verdict = judged(shared, fixed, moving, np.eye(4))
    assert verdict.grade == "pass", verdict.reasons


@pytest.mark.parametrize(("fixed", "moving"), [(T1, FLAIR), (MNI_T1, MNI_CT)])
@pytest.mark.parametrize(("change", "error_mm"), [(SIX_MM, 6.6), (TURNED, 16.0)])
def test_planted_errors_do_not(shared: Path, fixed: str, moving: str, change: Matrix, error_mm: float) -> None:
    verdict = judged(shared, fixed, moving, change)
    assert verdict.grade != "pass"
    assert verdict.estimated_error_mm == pytest.approx(error_mm, rel=0.25)


def test_a_flip_of_a_patient_with_a_tumor_on_one_side_fails(shared: Path) -> None:
    volume, affine = read(shared, FLAIR)
    axis = int(np.argmax(np.abs(affine[0, :3])))
    verdict = judge(*read(shared, T1), torch.flip(volume, (axis,)), affine, np.eye(4))
    assert verdict.grade == "fail", verdict.reasons


@pytest.mark.parametrize(("fixed", "moving"), [(MNI_T1, T1), (T1, MNI_T1), ("mni/single_subj_T1.nii", FLAIR)])
def test_another_patient_does_not_pass(shared: Path, fixed: str, moving: str) -> None:
    (ours, our_affine), (theirs, their_affine) = read(shared, fixed), read(shared, moving)
    centers = [
        affine[:3, :3] @ ((np.array(v.shape) - 1) / 2) + affine[:3, 3]
        for v, affine in ((ours, our_affine), (theirs, their_affine))
    ]
    verdict = judge(ours, our_affine, theirs, their_affine, about_centers(np.eye(3), *centers))
    assert verdict.grade != "pass"
