"""Known transforms are found again, the same way every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.errors import OptionError, OverlapError, RegistrationError
from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.options import RegistrationOptions
from medfuse.phantom import Phantom, PhantomOptions, make_phantom
from medfuse.registration import rigid, search
from medfuse.registration.peak import climb_to_peak
from medfuse.registration.presets import load_preset
from medfuse.registration.rigid import register_rigid
from medfuse.registration.starts import HEADER, about_centers, rotation

RIGID = RegistrationOptions()
NONE = RegistrationOptions(method="none")


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "MR_T2", "CT", "PT")))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search fewer poses with fewer samples: enough for laws that do not depend on precision."""
    preset = load_preset("head")
    levels = tuple(dataclasses.replace(level, samples=5_000) for level in preset.levels[:2])
    monkeypatch.setattr(rigid, "load_preset", lambda _: dataclasses.replace(preset, levels=levels, kept=(4, 2)))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    yield
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def scan(patient: Phantom, name: str) -> tuple[torch.Tensor, np.ndarray]:
    volume = patient.volumes[name]
    return volume[0].as_tensor(), np.asarray(volume.affine, dtype=np.float64)


def moved(degrees: tuple[float, float, float], shift: tuple[float, float, float], center: np.ndarray) -> np.ndarray:
    return about_centers(rotation(np.radians(degrees)), center, center + shift)


@pytest.mark.parametrize(
    ("moving", "degrees", "shift", "most_mm"),
    [
        ("MR_T2", (10.0, -5.0, 20.0), (15.0, -10.0, 5.0), 0.4),
        ("CT", (-25.0, 30.0, 20.0), (20.0, -15.0, 40.0), 0.6),
        ("PT", (15.0, 20.0, -30.0), (-30.0, 30.0, 10.0), 1.0),
    ],
)
def test_a_planted_offset_is_found(
    patient: Phantom,
    moving: str,
    degrees: tuple[float, float, float],
    shift: tuple[float, float, float],
    most_mm: float,
) -> None:
    points = patient.head_points_mm("MR_T1")
    true = patient.fixed_to_moving_ras("MR_T1", moving)
    planted = moved(degrees, shift, points.mean(axis=0))
    volume, affine = scan(patient, moving)
    result = register_rigid(*scan(patient, "MR_T1"), volume, planted @ affine, RIGID)
    error = target_registration_error_mm(result.fixed_to_moving_ras, planted @ true, points)
    assert error.mean_mm < most_mm
    assert result.similarity_end > result.similarity_start
    assert result.overlap_fraction > 0.95
    assert result.agreement_mm is not None
    assert result.agreement_mm < 1.0


def test_a_pose_that_met_the_best_one_is_not_climbed_again(patient: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = load_preset("head")
    climbs = []
    monkeypatch.setattr(search, "climb_to_peak", lambda *given: climbs.append(given[3]) or climb_to_peak(*given))
    for settled_mm in (preset.settled_mm, 0.0):
        climbs.clear()
        own = dataclasses.replace(preset, settled_mm=settled_mm)
        monkeypatch.setattr(rigid, "load_preset", lambda _, own=own: own)
        result = register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), RIGID)
        finest = sum(level == preset.levels[-1] for level in climbs)
        assert finest == (1 if settled_mm else 2)
        assert result.agreement_mm is not None
        assert 0.0 < result.agreement_mm < preset.settled_mm


def test_the_transform_is_rigid(patient: Phantom, hasty: None) -> None:
    found = register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), RIGID).fixed_to_moving_ras
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_array_equal(found[3], [0, 0, 0, 1])


def test_the_same_input_gives_the_same_bits(patient: Phantom, hasty: None) -> None:
    first, second = (register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), RIGID) for _ in range(2))
    assert first.fixed_to_moving_ras.tobytes() == second.fixed_to_moving_ras.tobytes()
    assert first.similarity_end == second.similarity_end


def test_the_number_of_threads_changes_no_bit(
    patient: Phantom, hasty: None, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 3):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        monkeypatch.setattr(search.torch, "get_num_threads", lambda threads=threads: threads)
        result = register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), RIGID)
        found.append(result.fixed_to_moving_ras.tobytes())
    assert found[0] == found[1]


def test_a_volume_stays_on_itself(patient: Phantom) -> None:
    fixed, affine = scan(patient, "MR_T1")
    result = register_rigid(fixed, affine, fixed, affine, RIGID)
    assert result.moved_mm == 0.0
    assert result.best_start == HEADER


def test_none_trusts_the_headers(patient: Phantom) -> None:
    result = register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), NONE)
    np.testing.assert_array_equal(result.fixed_to_moving_ras, np.eye(4))
    assert result.similarity_start == result.similarity_end > 0.0
    assert result.starts_tried == 1
    assert result.agreement_mm is None
    assert result.moved_mm == 0.0


def test_none_refuses_volumes_that_do_not_meet(patient: Phantom) -> None:
    volume, affine = scan(patient, "CT")
    affine = affine.copy()
    affine[2, 3] += 1000.0
    with pytest.raises(OverlapError, match="register"):
        register_rigid(*scan(patient, "MR_T1"), volume, affine, NONE)


def test_volumes_far_apart_are_brought_together(patient: Phantom, hasty: None) -> None:
    volume, affine = scan(patient, "CT")
    affine = affine.copy()
    affine[2, 3] += 1000.0
    result = register_rigid(*scan(patient, "MR_T1"), volume, affine, RIGID)
    assert result.similarity_start == 0.0
    assert result.overlap_fraction > 0.95


def test_a_volume_without_a_picture_is_refused(patient: Phantom, hasty: None) -> None:
    _, affine = scan(patient, "CT")
    with pytest.raises(RegistrationError, match="check that both volumes"):
        register_rigid(*scan(patient, "MR_T1"), torch.zeros(20, 20, 20), affine, RIGID)


def test_an_unknown_preset_is_refused(patient: Phantom) -> None:
    options = RegistrationOptions(preset="knee")
    with pytest.raises(OptionError, match="'knee'; choose one of head"):
        register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), options)


def test_progress_runs_to_its_end(patient: Phantom, hasty: None) -> None:
    class Listener:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int]] = []

        def start(self, step: str) -> None: ...

        def advance(self, done: int, total: int) -> None:
            self.seen.append((done, total))

        def finish(self) -> None: ...

    listener = Listener()
    register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), RIGID, listener)
    assert [done for done, _ in listener.seen] == list(range(1, 7))
    assert {total for _, total in listener.seen} == {6}


def test_a_scan_of_half_the_head_is_found(patient: Phantom) -> None:
    """The upper half alone: its center is no hint, so every shift has to be searched."""
    points = patient.head_points_mm("MR_T1")
    planted = moved((20.0, -15.0, 25.0), (-20.0, 10.0, 25.0), points.mean(axis=0))
    volume, affine = scan(patient, "CT")
    cut = volume.shape[2] // 2
    shifted = np.eye(4)
    shifted[2, 3] = cut
    result = register_rigid(*scan(patient, "MR_T1"), volume[:, :, cut:].contiguous(), planted @ affine @ shifted, RIGID)
    truth = planted @ patient.fixed_to_moving_ras("MR_T1", "CT")
    assert target_registration_error_mm(result.fixed_to_moving_ras, truth, points).mean_mm < 3.0
    assert result.starts_tried > 100


def test_volumes_of_one_frame_stay_where_they_are(patient: Phantom) -> None:
    true = patient.fixed_to_moving_ras("MR_T1", "PT")
    volume, affine = scan(patient, "PT")
    in_place = np.linalg.inv(true) @ affine
    result = register_rigid(*scan(patient, "MR_T1"), volume, in_place, RIGID, same_frame=True)
    assert np.array_equal(result.fixed_to_moving_ras, np.eye(4))
    assert result.agreement_mm is not None


def test_volumes_of_one_frame_move_if_the_patient_did(patient: Phantom) -> None:
    points = patient.head_points_mm("MR_T1")
    true = patient.fixed_to_moving_ras("MR_T1", "CT")
    volume, affine = scan(patient, "CT")
    shifted = moved((4.0, 0.0, 6.0), (8.0, -5.0, 3.0), points.mean(axis=0))
    result = register_rigid(
        *scan(patient, "MR_T1"), volume, shifted @ np.linalg.inv(true) @ affine, RIGID, same_frame=True
    )
    assert target_registration_error_mm(result.fixed_to_moving_ras, shifted, points).mean_mm < 1.0


@pytest.mark.parametrize("method", ["verify", "none"])
def test_a_given_transform_is_kept_as_it_is(patient: Phantom, method: str) -> None:
    given = moved((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), np.zeros(3))
    options = RegistrationOptions(method=method)
    result = register_rigid(*scan(patient, "MR_T1"), *scan(patient, "CT"), options, start_ras=given)
    assert np.array_equal(result.fixed_to_moving_ras, given)
    assert result.best_start == "given"
