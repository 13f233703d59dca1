"""Planted deformations are reduced, nothing folds unnoticed, and equal input gives equal bits."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from made_deformed import DeformedPair, bumps, deformed_head, torso_pair

from medfuse.errors import OptionError, RegistrationError
from medfuse.geometry import Matrix, apply_affine
from medfuse.phantom import PhantomOptions, make_phantom
from medfuse.registration.deformable import Deformation, register_deformable
from medfuse.registration.deformable_presets import load_deformable_preset
from medfuse.registration.jacobian import jacobian_range
from medfuse.registration.warp import move_points

BODY = load_deformable_preset("body")
HASTY = dataclasses.replace(BODY, levels=BODY.levels[:2], samples=20_000)


@pytest.fixture(scope="module")
def torso() -> DeformedPair:
    return torso_pair("MR", "CT", step_mm=6.0)


@pytest.fixture(scope="module")
def hasty(torso: DeformedPair) -> Deformation:
    return register_deformable(*scans(torso), torso.start, HASTY)


def scans(pair: DeformedPair) -> tuple[torch.Tensor, Matrix, torch.Tensor, Matrix]:
    return pair.fixed, pair.fixed_affine, pair.moving, pair.moving_affine


def errors_mm(pair: DeformedPair, found: Deformation | None = None) -> np.ndarray:
    """Return how far the targets are off under the rigid part of the truth, or under what was found."""
    moved = apply_affine(pair.start, pair.points)
    if found is not None:
        moved = move_points(pair.points, found.start_ras, found.displacement)
    return np.linalg.norm(moved - pair.targets, axis=1)


def test_a_breath_between_mr_and_ct_is_reduced(torso: DeformedPair, hasty: Deformation) -> None:
    before, after = errors_mm(torso), errors_mm(torso, hasty)
    assert np.median(after) < 0.85 * np.median(before)
    assert np.percentile(after, 95) < 0.45 * np.percentile(before, 95)
    assert 0.5 < hasty.jacobian_range[0] < 1.0 < hasty.jacobian_range[1] < 1.5


def test_a_breath_between_ct_and_pet_is_reduced() -> None:
    pair = torso_pair("CT", "PT", step_mm=6.0)
    before, after = errors_mm(pair), errors_mm(pair, register_deformable(*scans(pair), pair.start, HASTY))
    assert np.median(after) < 0.85 * np.median(before)
    assert np.percentile(after, 95) < 0.5 * np.percentile(before, 95)


def test_large_errors_of_a_head_are_reduced() -> None:
    head = make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "CT")))
    pair = deformed_head(head, "MR_T1", "CT", bumps(8.0, 30.0, 70.0, 1))
    found = register_deformable(*scans(pair), pair.start, dataclasses.replace(BODY, samples=30_000))
    before, after = errors_mm(pair), errors_mm(pair, found)
    displaced = before > 3.0
    assert displaced.mean() > 0.1
    assert np.median(after[displaced]) < 0.7 * np.median(before[displaced])
    assert np.percentile(after, 95) < 0.75 * np.percentile(before, 95)
    assert np.median(after) < np.median(before) + 0.5  # a CT shows little inside the brain to hold on to


def test_a_scan_is_not_deformed_onto_itself(torso: DeformedPair) -> None:
    same = (torso.fixed, torso.fixed_affine)
    found = register_deformable(*same, *same, np.eye(4), HASTY)
    assert found.largest_mm < 0.6  # a tenth of a voxel
    assert found.jacobian_range == pytest.approx((1.0, 1.0), abs=0.02)


def test_what_is_reported_is_so(torso: DeformedPair, hasty: Deformation) -> None:
    field = hasty.displacement
    assert hasty.jacobian_range == jacobian_range(field.values_mm, field.affine_ras, torso.start)
    assert 0.0 < hasty.jacobian_range[0] < hasty.jacobian_range[1]
    assert hasty.largest_mm == pytest.approx(float(field.values_mm.norm(dim=0).max()))
    assert 5.0 < hasty.largest_mm < 30.0
    assert hasty.similarity_end > hasty.similarity_start
    assert hasty.stiffness_factor == 1.0
    assert hasty.displacement_mm is field.values_mm
    assert hasty.displacement_mm.dtype == torch.float32
    np.testing.assert_array_equal(hasty.start_ras, torso.start)


def test_the_nodes_span_the_fixed_field_of_view(torso: DeformedPair, hasty: Deformation) -> None:
    nodes = np.asarray(hasty.displacement_mm.shape[1:])
    ends = apply_affine(hasty.displacement.affine_ras, np.stack([np.zeros(3), nodes - 1.0]))
    edges = apply_affine(torso.fixed_affine, np.stack([np.full(3, -0.5), np.asarray(torso.fixed.shape) - 0.5]))
    np.testing.assert_allclose(ends, edges, atol=1e-9)
    assert np.linalg.norm(hasty.displacement.affine_ras[:3, :3], axis=0).max() <= BODY.field_mm


def test_a_map_that_shrinks_too_much_is_made_stiffer(torso: DeformedPair, hasty: Deformation) -> None:
    strict = dataclasses.replace(HASTY, smallest_jacobian=hasty.jacobian_range[0] + 0.02)
    found = register_deformable(*scans(torso), torso.start, strict)
    assert found.stiffness_factor >= BODY.stiffening
    assert found.jacobian_range[0] >= strict.smallest_jacobian
    assert np.median(errors_mm(torso, found)) < np.median(errors_mm(torso))


def test_a_map_that_stays_folded_is_refused_in_one_line(torso: DeformedPair) -> None:
    never = dataclasses.replace(HASTY, smallest_jacobian=2.0, attempts=2, samples=2_000)
    with pytest.raises(RegistrationError, match="folds however stiff it is made") as caught:
        register_deformable(*scans(torso), torso.start, never)
    assert "\n" not in str(caught.value)


def test_scans_that_do_not_meet_are_refused(torso: DeformedPair) -> None:
    far = torso.start.copy()
    far[0, 3] += 2000.0
    with pytest.raises(RegistrationError, match="covers 0%"):
        register_deformable(*scans(torso), far, HASTY)


def test_an_unknown_preset_is_refused(torso: DeformedPair) -> None:
    with pytest.raises(OptionError, match="'leg'; choose one of body"):
        register_deformable(*scans(torso), torso.start, preset="leg")


def test_progress_is_told_and_ends_at_the_end(torso: DeformedPair) -> None:
    class Listener:
        told: list[tuple[int, int]] = []  # noqa: RUF012

        def advance(self, done: int, total: int) -> None:
            self.told.append((done, total))

    listener = Listener()
    register_deformable(*scans(torso), torso.start, dataclasses.replace(HASTY, samples=2_000), listener)
    assert listener.told == [(1, 2), (2, 2)]


SCRIPT = """
    import dataclasses, hashlib, sys
    import numpy as np, SimpleITK as sitk, torch
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    from medfuse.registration.affine import register_affine
    from medfuse.registration.deformable import register_deformable
    from medfuse.registration.deformable_presets import load_deformable_preset
    body = load_deformable_preset("body")
    hasty = dataclasses.replace(body, levels=body.levels[:2], samples=5_000)
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    x, y, z = 6.0 * np.indices((40, 36, 32)) - 100.0
    bent = x + 6.0 * np.exp(-(x**2 + y**2 + z**2) / 50.0**2)
    one, two = (np.where(u**2 + y**2 + z**2 < 90.0**2, 500.0 + 200.0 * np.sin(u / 12.0) * np.cos(y / 15.0), 0.0)
                + 10.0 * np.random.default_rng(n).normal(size=x.shape) for n, u in enumerate((x, bent)))
    scans = (torch.from_numpy(one), affine, torch.from_numpy(1000.0 - two), affine)
    matrix = register_affine(*scans, np.eye(4), hasty).fixed_to_moving_ras
    field = register_deformable(*scans, matrix, hasty).displacement_mm
    print(hashlib.sha256(matrix.tobytes() + field.numpy().tobytes()).hexdigest(), float(field.abs().max()) > 1.0)
"""


def test_the_same_bits_in_every_run_and_on_every_number_of_threads() -> None:
    said = set()
    for threads in ("1", "3"):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), threads]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
        said.add(run.stdout.strip())
    assert len(said) == 1
    assert said.pop().endswith("True")
