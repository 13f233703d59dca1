"""The phantom patient: its truth is true, and each volume looks as its scanner would show it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from medfuse.geometry import apply_affine, directions, same_grid, spacing_mm
from medfuse.phantom import LesionOptions, Phantom, PhantomOptions, Tissue, make_phantom
from medfuse.phantom.options import LESION_VALUES, VOLUMES
from medfuse.phantom.tissues import values_of

TINY = PhantomOptions(profile="small", scale=1.8)
# Tissues in pieces large enough that some voxels of the small profile hold nothing else.
SOLID = (
    Tissue.MUSCLE,
    Tissue.WHITE_MATTER,
    Tissue.DEEP_GRAY,
    Tissue.BRAINSTEM,
    Tissue.EYE,
    Tissue.DENSE_BONE,
)


@pytest.fixture(scope="module")
def tiny() -> Phantom:
    return make_phantom(TINY)


def affine_of(phantom: Phantom, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(phantom.volumes[name].affine.numpy(), dtype=np.float64)


def values_in(phantom: Phantom, name: str) -> npt.NDArray[np.float32]:
    return np.asarray(phantom.volumes[name][0].numpy())


def labels_in(phantom: Phantom, name: str) -> npt.NDArray[np.int16]:
    return np.asarray(phantom.labels[name][0].numpy())


def interior(labels: npt.NDArray[np.int16], reach: int = 1) -> npt.NDArray[np.bool_]:
    """Voxels whose neighbors along each axis all have the same label."""
    same = np.ones(labels.shape, dtype=bool)
    for axis in range(3):
        for step in range(1, reach + 1):
            same &= (np.roll(labels, step, axis) == labels) & (np.roll(labels, -step, axis) == labels)
    return same


def agreement(phantom: Phantom, fixed: str, moving: str, transform: npt.NDArray[np.float64]) -> float:
    """Share of the points deep inside a tissue of one volume that meet the same tissue in the other."""
    labels = labels_in(phantom, fixed)
    index = np.argwhere(interior(labels) & np.isin(labels, SOLID))
    points = apply_affine(transform, apply_affine(affine_of(phantom, fixed), index.astype(float)))
    there = np.rint(apply_affine(np.linalg.inv(affine_of(phantom, moving)), points)).astype(int)
    other = labels_in(phantom, moving)
    inside = ((there >= 0) & (there < other.shape)).all(axis=1)
    assert inside.sum() > 500
    return float((labels[tuple(index[inside].T)] == other[tuple(there[inside].T)]).mean())


@pytest.mark.parametrize("moving", ["MR_T2", "CT", "PT", "NM"])
def test_truth_maps_each_tissue_onto_itself(phantom_small: Phantom, moving: str) -> None:
    truth = phantom_small.fixed_to_moving_ras("MR_T1", moving)
    assert agreement(phantom_small, "MR_T1", moving, truth) > 0.97


@pytest.mark.parametrize("moving", ["MR_T2", "CT", "PT", "NM"])
@pytest.mark.parametrize("tissue", [Tissue.WHITE_MATTER, Tissue.DEEP_GRAY])
def test_truth_maps_landmarks_within_a_part_of_a_voxel(phantom_small: Phantom, moving: str, tissue: Tissue) -> None:
    middles = {}
    for name in ("CT", moving):
        index = np.argwhere(labels_in(phantom_small, name) == tissue).astype(float)
        middles[name] = apply_affine(affine_of(phantom_small, name), index).mean(axis=0)
    truth = phantom_small.fixed_to_moving_ras("CT", moving)
    assert np.linalg.norm(apply_affine(truth, middles["CT"]) - middles[moving]) < 1.2


@pytest.mark.parametrize("moving", ["CT", "PT", "NM"])
def test_headers_alone_do_not_align_the_tissues(phantom_small: Phantom, moving: str) -> None:
    assert agreement(phantom_small, "MR_T1", moving, np.eye(4)) < 0.9


def test_truth_of_a_pair_and_its_swap_are_inverse(phantom_small: Phantom) -> None:
    there, back = (phantom_small.fixed_to_moving_ras(*pair) for pair in (("CT", "PT"), ("PT", "CT")))
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)
    through_head = phantom_small.head_to_scanner_ras
    np.testing.assert_allclose(there @ through_head["CT"], through_head["PT"], atol=1e-12)
    np.testing.assert_allclose(phantom_small.fixed_to_moving_ras("NM", "NM"), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("name", VOLUMES)
def test_poses_are_rigid_and_within_what_was_asked(phantom_small: Phantom, name: str) -> None:
    pose = phantom_small.head_to_scanner_ras[name]
    turn = pose[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    angle = np.rad2deg(np.arccos((np.trace(turn) - 1) / 2))
    limit = 1.12 if name == "MR_T2" else 1.0  # between two series the patient moves a little more
    assert 3 < angle < 8 * limit + 1e-9
    assert 3 < np.linalg.norm(pose[:3, 3]) < 13


def test_no_motion_gives_no_transform() -> None:
    still = make_phantom(
        PhantomOptions(profile="small", scale=3, volumes=("MR_T1", "CT"), rotation_deg=0, translation_mm=0)
    )
    np.testing.assert_allclose(still.fixed_to_moving_ras("MR_T1", "CT"), np.eye(4), atol=1e-12)


def test_each_volume_has_a_grid_of_its_own(phantom_small: Phantom) -> None:
    for number, first in enumerate(VOLUMES):
        for second in VOLUMES[number + 1 :]:
            shapes = [tuple(phantom_small.volumes[name].shape[1:]) for name in (first, second)]
            affines = [affine_of(phantom_small, name) for name in (first, second)]
            assert not same_grid(affines[0], shapes[0], affines[1], shapes[1])


def test_grids_are_anisotropic_oblique_and_partly_stored_in_reverse(phantom_small: Phantom) -> None:
    spacing = spacing_mm(affine_of(phantom_small, "CT"))
    assert spacing.max() > 1.2 * spacing.min()
    assert np.abs(directions(affine_of(phantom_small, "CT"))).max(axis=0).min() < 0.99
    assert affine_of(phantom_small, "NM")[0, 0] < 0 < affine_of(phantom_small, "PT")[0, 0]


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_follow_the_convention(phantom_small: Phantom, name: str) -> None:
    volume, labels = phantom_small.volumes[name], phantom_small.labels[name]
    assert volume.dtype == torch.float32
    assert volume.affine.dtype == torch.float64
    assert labels.dtype == torch.int16
    assert volume.shape == labels.shape
    assert volume.shape[0] == 1
    assert torch.equal(volume.affine, labels.affine)
    assert volume.meta["modality"] == name.split("_")[0]
    assert torch.isfinite(volume).all()


@pytest.mark.parametrize(
    ("name", "tissue", "relative"),
    [
        ("CT", Tissue.MUSCLE, 0.2),
        ("CT", Tissue.DIPLOE, 0.1),
        ("CT", Tissue.DENSE_BONE, 0.1),
        ("CT", Tissue.WHITE_MATTER, 0.1),
        ("CT", Tissue.FAT, 0.2),
        ("MR_T1", Tissue.WHITE_MATTER, 0.2),
        ("MR_T1", Tissue.FAT, 0.2),
        ("MR_T2", Tissue.EYE, 0.2),
        ("PT", Tissue.DEEP_GRAY, 0.2),
        ("PT", Tissue.WHITE_MATTER, 0.2),
        ("NM", Tissue.DEEP_GRAY, 0.25),
    ],
)
def test_tissues_have_their_values(phantom_small: Phantom, name: str, tissue: Tissue, relative: float) -> None:
    labels = labels_in(phantom_small, name)
    found = values_in(phantom_small, name)[interior(labels) & (labels == tissue)].mean()
    assert found == pytest.approx(values_of(name)[tissue], rel=relative)


def test_contrasts_are_those_of_a_radiologist(phantom_small: Phantom) -> None:
    def mean(name: str, tissue: Tissue) -> float:
        labels = labels_in(phantom_small, name)
        return float(np.median(values_in(phantom_small, name)[labels == tissue]))

    gray, white, fluid = Tissue.GRAY_MATTER, Tissue.WHITE_MATTER, Tissue.VENTRICLE
    assert mean("MR_T1", fluid) < mean("MR_T1", gray) < mean("MR_T1", white)
    assert mean("MR_T2", white) < mean("MR_T2", gray) < mean("MR_T2", fluid)
    assert mean("PT", gray) > 1.5 * mean("PT", white) > 1.5 * mean("PT", fluid)
    assert mean("NM", gray) > 1.15 * mean("NM", white)
    assert mean("CT", Tissue.DENSE_BONE) > mean("CT", Tissue.DIPLOE) > 300 > mean("CT", gray) > mean("CT", fluid)


def test_brain_has_a_human_size_and_folds(phantom_small: Phantom) -> None:
    labels = labels_in(phantom_small, "PT")
    voxel_ml = abs(np.linalg.det(affine_of(phantom_small, "PT"))) / 1000
    volume = {tissue: (labels == tissue).sum() * voxel_ml for tissue in Tissue}
    assert 400 < volume[Tissue.GRAY_MATTER] < 750
    assert 400 < volume[Tissue.WHITE_MATTER] < 750
    assert 10 < volume[Tissue.VENTRICLE] < 50
    gray = np.isin(labels, (Tissue.GRAY_MATTER, Tissue.WHITE_MATTER))
    faces_mm2 = sum(np.diff(gray, axis=axis).sum() for axis in range(3)) * voxel_ml ** (2 / 3) * 100
    ball_mm2 = np.pi ** (1 / 3) * (6 * gray.sum() * voxel_ml * 1000) ** (2 / 3)
    assert faces_mm2 > 2.5 * ball_mm2  # voxel faces alone make 1.5 of a smooth ball


def test_left_and_right_differ(tiny: Phantom) -> None:
    points = tiny.head_points_mm("PT")
    back = np.linalg.inv(tiny.head_to_scanner_ras["PT"])
    mirror = tiny.head_to_scanner_ras["PT"] @ np.diag([-1.0, 1, 1, 1]) @ back
    to_index = np.linalg.inv(affine_of(tiny, "PT"))
    labels = labels_in(tiny, "PT")
    pair = []
    for transform in (np.eye(4), mirror):
        index = np.rint(apply_affine(to_index @ transform, points)).astype(int)
        pair.append(labels[tuple(np.clip(index, 0, np.array(labels.shape) - 1).T)])
    assert (pair[0] != pair[1]).mean() > 0.15


def test_head_points_lie_in_the_head(phantom_small: Phantom) -> None:
    points = phantom_small.head_points_mm("CT", count=500)
    assert 250 < len(points) <= 500
    index = np.rint(apply_affine(np.linalg.inv(affine_of(phantom_small, "CT")), points)).astype(int)
    assert (labels_in(phantom_small, "CT")[tuple(index.T)] > 0).all()
    assert (np.ptp(points, axis=0) > 140).all()


def test_air_is_rician_in_mr(phantom_small: Phantom) -> None:
    for name in ("MR_T1", "MR_T2"):
        labels = labels_in(phantom_small, name)
        air = values_in(phantom_small, name)[interior(labels, 2) & (labels == Tissue.AIR)]
        assert air.min() > 0
        rayleigh = np.sqrt(np.pi / (4 - np.pi))  # mean over standard deviation where there is no signal
        assert air.mean() / air.std() == pytest.approx(rayleigh, rel=0.05)


def test_air_is_minus_1000_in_ct() -> None:
    ct = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("CT",), couch=False))
    labels = labels_in(ct, "CT")
    air = values_in(ct, "CT")[interior(labels, 2) & (labels == Tissue.AIR)]
    assert air.mean() == pytest.approx(-1000, abs=1)
    assert 3 < air.std() < 10


def test_couch_is_behind_the_head_only(tiny: Phantom) -> None:
    without = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("CT",), couch=False))
    changed = values_in(tiny, "CT") - values_in(without, "CT") > 100
    index = np.argwhere(changed).astype(float)
    assert len(index) > 50
    assert apply_affine(affine_of(tiny, "CT"), index)[:, 1].max() < -15


def test_emission_noise_grows_with_the_signal(tiny: Phantom) -> None:
    clean = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("PT", "NM"), noise=0))
    relative = {}
    for name in ("PT", "NM"):
        noise = values_in(tiny, name) - values_in(clean, name)
        labels = labels_in(tiny, name)
        brain = np.isin(labels, (Tissue.GRAY_MATTER, Tissue.WHITE_MATTER))
        assert noise[brain].std() > 3 * noise[labels == Tissue.AIR].std() > 0
        assert values_in(tiny, name).min() >= 0
        relative[name] = noise[brain].std() / values_in(clean, name)[brain].mean()
    assert relative["NM"] > relative["PT"]


def test_no_noise_leaves_mr_air_dark() -> None:
    clean = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("MR_T1",), noise=0))
    labels = labels_in(clean, "MR_T1")
    air = values_in(clean, "MR_T1")[interior(labels, 2) & (labels == Tissue.AIR)]
    assert np.percentile(air, 99) < 1


@pytest.mark.parametrize("kind", sorted(LESION_VALUES))
def test_lesion_is_seen_only_where_it_should_be(kind: str) -> None:
    base = {"profile": "small", "scale": 2.5}
    healthy = make_phantom(PhantomOptions(lesions=(), **base))  # type: ignore[arg-type]
    ill = make_phantom(PhantomOptions(lesions=(LesionOptions(kind=kind, radius_mm=14),), **base))  # type: ignore[arg-type]
    for name in VOLUMES:
        changed = not np.array_equal(values_in(healthy, name), values_in(ill, name))
        assert changed == (name in LESION_VALUES[kind]), name


@pytest.mark.parametrize("side", ["right", "left"])
def test_lesion_lies_on_its_side(side: str) -> None:
    ill = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("PT",), lesions=(LesionOptions(side=side),)))
    lesion = ill.lesions[0]
    index = np.argwhere(labels_in(ill, "PT") == lesion.label).astype(float)
    to_head = np.linalg.inv(ill.head_to_scanner_ras["PT"]) @ affine_of(ill, "PT")
    found = apply_affine(to_head, index)
    assert (np.sign(found[:, 0]) == (1 if side == "right" else -1)).all()
    np.testing.assert_allclose(found.mean(axis=0), lesion.center_mm, atol=4)


def test_default_lesion_outshines_the_other_side(phantom_small: Phantom) -> None:
    lesion = phantom_small.lesions[0]
    for name in ("PT", "NM"):
        to_index = np.linalg.inv(affine_of(phantom_small, name)) @ phantom_small.head_to_scanner_ras[name]
        at = np.array([lesion.center_mm, np.array(lesion.center_mm) * [-1, 1, 1]])
        here, there = (
            values_in(phantom_small, name)[tuple(i)] for i in np.rint(apply_affine(to_index, at)).astype(int)
        )
        assert here > 1.8 * there


def test_same_seed_same_values_whatever_the_number_of_threads(tiny: Phantom) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        again = make_phantom(TINY)
    finally:
        torch.set_num_threads(threads)
    for name in VOLUMES:
        assert torch.equal(tiny.volumes[name].as_tensor(), again.volumes[name].as_tensor())
        assert torch.equal(tiny.labels[name].as_tensor(), again.labels[name].as_tensor())


def test_another_seed_gives_another_patient(tiny: Phantom) -> None:
    other = make_phantom(PhantomOptions(profile="small", scale=1.8, seed=1, volumes=("PT",)))
    assert not np.array_equal(other.head_to_scanner_ras["PT"], tiny.head_to_scanner_ras["PT"])
    assert not np.array_equal(values_in(other, "PT"), values_in(tiny, "PT"))


def test_a_volume_does_not_depend_on_which_others_are_made(tiny: Phantom) -> None:
    alone = make_phantom(PhantomOptions(profile="small", scale=1.8, volumes=("NM",)))
    assert np.array_equal(values_in(alone, "NM"), values_in(tiny, "NM"))
