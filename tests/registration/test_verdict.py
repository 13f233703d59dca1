"""A right transform passes, a wrong one does not, and the error is estimated in millimetres."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from odd_head import odd_head

from medfuse.errors import OptionError
from medfuse.geometry import Matrix
from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.phantom import Phantom, PhantomOptions, make_phantom
from medfuse.registration import verdict
from medfuse.registration.evidence import Evidence
from medfuse.registration.presets import load_preset
from medfuse.registration.scans import Scans, prepare
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.verdict import Verdict, judge

SEED = 11


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return make_phantom(PhantomOptions(seed=SEED, profile="small", volumes=("MR_T1", "CT", "PT")))


def scan(patient: Phantom, name: str) -> tuple[torch.Tensor, Matrix]:
    volume = patient.volumes[name]
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)


def off_by(patient: Phantom, degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> Matrix:
    center = patient.head_points_mm("MR_T1").mean(axis=0)
    return about_centers(rotation(np.radians(degrees)), center, center + shift)


def judged(patient: Phantom, moving: str, change: Matrix | None = None) -> tuple[Verdict, float]:
    """Judge the truth, or the truth after a change; return the verdict and the true error in mm."""
    truth = patient.fixed_to_moving_ras("MR_T1", moving)
    matrix = truth if change is None else truth @ change
    error = target_registration_error_mm(matrix, truth, patient.head_points_mm("MR_T1")).mean_mm
    return judge(*scan(patient, "MR_T1"), *scan(patient, moving), matrix), error


@pytest.fixture(scope="module")
def right(patient: Phantom) -> Verdict:
    return judged(patient, "CT")[0]


def test_the_truth_passes(right: Verdict) -> None:
    assert right.grade == "pass", right.reasons
    assert right.estimated_error_mm < 2.5
    assert right.evidence.overlap > 0.95
    assert right.evidence.mirror_share < 0.95


def test_the_truth_of_pet_passes(patient: Phantom) -> None:
    found, _ = judged(patient, "PT")
    assert found.grade == "pass", found.reasons
    assert found.estimated_error_mm < 3.0


@pytest.mark.parametrize(
    ("moving", "degrees", "shift"),
    [
        ("CT", (0.0, 0.0, 0.0), (5.0, -4.0, 3.0)),
        ("PT", (0.0, 30.0, 0.0), (0.0, 20.0, 9.0)),
        ("CT", (0.0, 70.0, 70.0), (30.0, 0.0, 0.0)),  # far from any of the poses around it
        ("PT", (0.0, 0.0, 160.0), (0.0, 0.0, 60.0)),
    ],
)
def test_a_wrong_pose_never_passes_and_its_error_is_told(
    patient: Phantom, moving: str, degrees: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    found, error = judged(patient, moving, off_by(patient, degrees, shift))
    assert error > 5.0
    assert found.grade != "pass"
    assert found.estimated_error_mm == pytest.approx(error, abs=2.0, rel=0.2)


def test_a_scan_left_for_right_fails_and_says_so(patient: Phantom) -> None:
    volume, affine = scan(patient, "CT")
    truth = patient.fixed_to_moving_ras("MR_T1", "CT")
    found = judge(*scan(patient, "MR_T1"), torch.flip(volume, (0,)), affine, truth)
    assert found.grade == "fail"
    assert any("mirrored" in reason for reason in found.reasons)


def test_noise_fails(patient: Phantom) -> None:
    volume, affine = scan(patient, "CT")
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal(volume.shape).astype(np.float32))
    found = judge(*scan(patient, "MR_T1"), noise, affine, patient.fixed_to_moving_ras("MR_T1", "CT"))
    assert found.grade == "fail"
    assert found.estimated_error_mm > 30.0


def test_scans_that_do_not_meet_fail(patient: Phantom) -> None:
    away = np.eye(4)
    away[2, 3] = 1000.0
    found, _ = judged(patient, "CT", away)
    assert found.grade == "fail"
    assert found.evidence.overlap == 0.0
    assert any("covers 0%" in reason for reason in found.reasons)


def test_prepared_scans_are_used_as_they_are(patient: Phantom, right: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, moving = scan(patient, "MR_T1"), scan(patient, "CT")
    ready = prepare(*fixed, *moving, load_preset("head"))
    looked_at = []

    def remember(scans: Scans, *rest: object) -> Evidence:
        looked_at.append(scans)
        return right.evidence

    monkeypatch.setattr(verdict, "gather", remember)
    assert judge(*fixed, *moving, np.eye(4), scans=ready) == right
    assert judge(*fixed, *moving, np.eye(4)) == right
    assert looked_at[0] is ready
    assert looked_at[1] is not ready


def test_the_verdict_is_plain_data(right: Verdict) -> None:
    shown = json.loads(json.dumps(dataclasses.asdict(right)))
    assert set(shown) == {"grade", "estimated_error_mm", "reasons", "evidence"}
    assert all(isinstance(value, float) for value in shown["evidence"].values())
    assert all(reason.endswith(".") for reason in right.reasons)


def test_an_unknown_preset_is_refused(patient: Phantom) -> None:
    with pytest.raises(OptionError, match="'knee'"):
        judge(*scan(patient, "MR_T1"), *scan(patient, "CT"), np.eye(4), preset="knee")


PROGRAM = """
import SimpleITK as sitk, torch
from odd_head import odd_head
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(3)
torch.set_num_threads(3)
print(repr(odd_head()))
"""


def test_the_number_of_threads_changes_no_bit() -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "3")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    before, others = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        assert repr(odd_head()) == ran.stdout.strip()
    finally:
        torch.set_num_threads(before)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(others)
