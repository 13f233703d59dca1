"""A right transform passes, a wrong one does not, and the error is estimated in millimetres."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from medfuse.errors import OptionError
from medfuse.geometry import Matrix
from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.phantom import Phantom, PhantomOptions, make_phantom
from medfuse.registration.presets import load_preset
from medfuse.registration.scans import prepare
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
    verdict, _ = judged(patient, "PT")
    assert verdict.grade == "pass", verdict.reasons
    assert verdict.estimated_error_mm < 3.0


@pytest.mark.parametrize(
    ("moving", "degrees", "shift"),
    [
        ("CT", (0.0, 0.0, 0.0), (5.0, -4.0, 3.0)),
        ("PT", (8.0, -6.0, 4.0), (4.0, 0.0, 0.0)),
        ("CT", (0, 30, 0), (0, 20, 9)),
    ],
)
def test_a_wrong_pose_never_passes_and_its_error_is_told(
    patient: Phantom, moving: str, degrees: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    verdict, error = judged(patient, moving, off_by(patient, degrees, shift))
    assert error > 5.0
    assert verdict.grade != "pass"
    assert verdict.estimated_error_mm == pytest.approx(error, abs=2.0, rel=0.2)


def test_a_scan_left_for_right_fails_and_says_so(patient: Phantom) -> None:
    volume, affine = scan(patient, "CT")
    truth = patient.fixed_to_moving_ras("MR_T1", "CT")
    verdict = judge(*scan(patient, "MR_T1"), torch.flip(volume, (0,)), affine, truth)
    assert verdict.grade == "fail"
    assert any("mirrored" in reason for reason in verdict.reasons)


def test_noise_fails(patient: Phantom) -> None:
    volume, affine = scan(patient, "CT")
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal(volume.shape).astype(np.float32))
    verdict = judge(*scan(patient, "MR_T1"), noise, affine, patient.fixed_to_moving_ras("MR_T1", "CT"))
    assert verdict.grade == "fail"
    assert verdict.estimated_error_mm > 30.0


def test_scans_that_do_not_meet_fail(patient: Phantom) -> None:
    away = np.eye(4)
    away[2, 3] = 1000.0
    verdict, _ = judged(patient, "CT", away)
    assert verdict.grade == "fail"
    assert verdict.evidence.overlap == 0.0
    assert any("covers 0%" in reason for reason in verdict.reasons)


def test_prepared_scans_change_nothing(patient: Phantom, right: Verdict) -> None:
    fixed, moving = scan(patient, "MR_T1"), scan(patient, "CT")
    ready = prepare(*fixed, *moving, load_preset("head"))
    assert judge(*fixed, *moving, patient.fixed_to_moving_ras("MR_T1", "CT"), scans=ready) == right


def test_the_verdict_is_plain_data(right: Verdict) -> None:
    shown = json.loads(json.dumps(dataclasses.asdict(right)))
    assert set(shown) == {"grade", "estimated_error_mm", "reasons", "evidence"}
    assert all(isinstance(value, float) for value in shown["evidence"].values())
    assert all(reason.endswith(".") for reason in right.reasons)


def test_an_unknown_preset_is_refused(patient: Phantom) -> None:
    with pytest.raises(OptionError, match="'knee'"):
        judge(*scan(patient, "MR_T1"), *scan(patient, "CT"), np.eye(4), preset="knee")


PROGRAM = """
import numpy as np, torch, SimpleITK as sitk
from medfuse.registration.verdict import judge
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
torch.set_num_threads(THREADS)
x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in (36, 40, 32)], indexing="ij")
head = np.exp(-4 * (x**2 + 1.3 * y**2 + z**2)) + 0.3 * np.sin(9 * x + 5 * y) * (x**2 + y**2 + z**2 < 0.6)
affine = np.diag([4.0, 4.0, 4.0, 1.0])
fixed, moving = torch.from_numpy(head.astype(np.float32)), torch.from_numpy((1 - head**2).astype(np.float32))
matrix = np.eye(4)
matrix[0, 3] = 3.0
print(repr(judge(fixed, affine, moving, affine, matrix)))
"""


def test_the_number_of_threads_changes_no_bit() -> None:
    shown = []
    for threads in ("1", "3"):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        program = PROGRAM.replace("THREADS", threads)
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        shown.append(ran.stdout)
    assert "estimated_error_mm" in shown[0]
    assert shown[0] == shown[1]
