"""A planted scale and shear are found; what no patient can show is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medfuse.errors import OptionError, RegistrationError
from medfuse.geometry import Matrix, apply_affine
from medfuse.phantom import Phantom, PhantomOptions, make_phantom
from medfuse.registration.affine import AffineRegistration, register_affine
from medfuse.registration.deformable_presets import DeformablePreset, load_deformable_preset

BODY = load_deformable_preset("body")


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "CT")))


def scan(patient: Phantom, name: str) -> tuple[torch.Tensor, Matrix]:
    volume = patient.volumes[name]
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)


def planted(patient: Phantom, linear: list[list[float]]) -> Matrix:
    """Return a map about the middle of the head in the CT."""
    change = np.eye(4)
    change[:3, :3] = linear
    truth = patient.fixed_to_moving_ras("MR_T1", "CT")
    center = apply_affine(truth, patient.head_points_mm("MR_T1").mean(axis=0))
    change[:3, 3] = center - change[:3, :3] @ center
    return change


def found(patient: Phantom, change: Matrix, preset: DeformablePreset = BODY) -> AffineRegistration:
    """Register a CT that was stretched by ``change``, from the rigid truth."""
    values, affine = scan(patient, "CT")
    truth = patient.fixed_to_moving_ras("MR_T1", "CT")
    return register_affine(*scan(patient, "MR_T1"), values, change @ affine, truth, preset)


def errors_mm(patient: Phantom, matrix: Matrix, change: Matrix) -> np.ndarray:
    points = patient.head_points_mm("MR_T1")
    truth = change @ patient.fixed_to_moving_ras("MR_T1", "CT")
    return np.linalg.norm(apply_affine(matrix, points) - apply_affine(truth, points), axis=1)


def test_a_planted_scale_and_shear_are_found(patient: Phantom) -> None:
    change = planted(patient, [[1.06, 0.03, 0.0], [0.0, 0.95, 0.02], [0.0, 0.0, 1.04]])
    result = found(patient, change)
    before = errors_mm(patient, patient.fixed_to_moving_ras("MR_T1", "CT"), change)
    after = errors_mm(patient, result.fixed_to_moving_ras, change)
    assert np.median(after) < min(1.2, 0.3 * np.median(before))
    assert np.percentile(after, 95) < 0.4 * np.percentile(before, 95)
    assert result.similarity_end > result.similarity_start + 0.1
    assert result.held_back == 1.0
    expected = np.linalg.svd(change[:3, :3], compute_uv=False)
    np.testing.assert_allclose(result.singular_values, expected, atol=0.02)
    np.testing.assert_array_equal(result.fixed_to_moving_ras[3], (0.0, 0.0, 0.0, 1.0))


def test_a_patient_of_one_size_keeps_it(patient: Phantom) -> None:
    result = found(patient, np.eye(4))
    assert np.median(errors_mm(patient, result.fixed_to_moving_ras, np.eye(4))) < 1.2  # a third of a voxel
    np.testing.assert_allclose(result.singular_values, 1.0, atol=0.02)


def test_a_scan_stays_on_itself(patient: Phantom) -> None:
    mr = scan(patient, "MR_T1")
    result = register_affine(*mr, *mr, np.eye(4))
    moved = apply_affine(result.fixed_to_moving_ras, patient.head_points_mm("MR_T1"))
    assert np.abs(moved - patient.head_points_mm("MR_T1")).max() < 0.2


def test_it_does_not_matter_where_the_world_has_its_origin(patient: Phantom) -> None:
    change = planted(patient, [[1.06, 0.03, 0.0], [0.0, 0.95, 0.02], [0.0, 0.0, 1.04]])
    values, affine = scan(patient, "CT")
    fixed, fixed_affine = scan(patient, "MR_T1")
    truth = patient.fixed_to_moving_ras("MR_T1", "CT")
    aside = np.eye(4)
    aside[:3, 3] = (300.0, -200.0, 150.0)
    hasty = dataclasses.replace(BODY, samples=20_000)
    here = register_affine(fixed, fixed_affine, values, change @ affine, truth, hasty).fixed_to_moving_ras
    start = truth @ np.linalg.inv(aside)
    there = register_affine(fixed, aside @ fixed_affine, values, change @ affine, start, hasty).fixed_to_moving_ras
    points = patient.head_points_mm("MR_T1")
    np.testing.assert_allclose(apply_affine(there @ aside, points), apply_affine(here, points), atol=0.3)


def test_implausible_scale_is_refused_in_one_line(patient: Phantom) -> None:
    change = planted(patient, [[1.06, 0.0, 0.0], [0.0, 1.06, 0.0], [0.0, 0.0, 1.06]])
    narrow = dataclasses.replace(BODY, largest_scale=1.02, attempts=2, stiffening=1.1, samples=20_000)
    with pytest.raises(RegistrationError, match=r"stretches the patient by 1\.\d\d and 1\.\d\d") as caught:
        found(patient, change, narrow)
    assert "\n" not in str(caught.value)
    assert "register rigidly" in str(caught.value)


def test_implausible_scale_is_held_back_first(patient: Phantom) -> None:
    change = planted(patient, [[1.06, 0.0, 0.0], [0.0, 1.06, 0.0], [0.0, 0.0, 1.06]])
    narrow = dataclasses.replace(BODY, largest_scale=1.03, attempts=4, stiffening=30.0, samples=20_000)
    result = found(patient, change, narrow)
    assert result.held_back >= 30.0
    assert max(result.singular_values) <= 1.03


def test_an_unknown_preset_is_refused(patient: Phantom) -> None:
    mr = scan(patient, "MR_T1")
    with pytest.raises(OptionError, match="'leg'; choose one of body"):
        register_affine(*mr, *mr, np.eye(4), preset="leg")
