"""What lies on the fixed grid comes back onto the moving one, alone, by Invertd and out of worker processes."""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_volumes import OBLIQUE, cloud, made
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, CropForegroundd, Invertd, MapTransform, ScaleIntensityd, SpatialPadd
from scipy.spatial.transform import Rotation

from medfuse.errors import GeometryError
from medfuse.geometry import apply_affine, same_view
from medfuse.io.transform_files import write_transform_file
from medfuse.options import RegistrationOptions
from medfuse.registration.resample import resample_to
from medfuse.registration.warp import Displacement
from medfuse.transforms import ChooseWindowd, FuseSlicesd, NormalizeModalityd, RegisterToFixedd, StackModalitiesd
from medfuse.transforms.bring_back import WayBack, bring_back
from medfuse.transforms.volumes import on_grid_of

BOTH = ("fixed", "moving")
COARSE = OBLIQUE @ np.diag([1.5, 1.1, 1.2, 1.0])
MOVING_SHAPE = (9, 11, 8)


@pytest.fixture
def turned(tmp_path: Path) -> RegistrationOptions:
    """Return options that keep a known motion."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zx", (12, -5), degrees=True).as_matrix()
    matrix[:3, 3] = (1.0, -2.0, 1.5)
    write_transform_file(matrix, tmp_path / "known.txt")
    return RegistrationOptions(method="none", transforms=(tmp_path / "known.txt",))


def pair(seed: int = 0) -> dict[str, MetaTensor]:
    fixed = made(cloud(seed), "MR", nifti_orientation="fixed", filename_or_obj="t1.nii")
    return {"fixed": fixed, "moving": moving(seed + 1)}


def moving(seed: int = 1) -> MetaTensor:
    return made(cloud(seed, MOVING_SHAPE), "CT", COARSE, nifti_orientation="moving", filename_or_obj="ct.nii")


class Segmentd(MapTransform):
    """Stand in for a network: labels of the image under a key of their own."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.keys[0]]
        return {**data, "pred": MetaTensor((image.as_tensor()[:1] * 7).round(), meta=image.meta)}


def world_of(volume: MetaTensor) -> np.ndarray:
    """Return a volume whose values are its own world x coordinates; (X, Y, Z)."""
    grid = np.stack(np.meshgrid(*[np.arange(count) for count in volume.shape[1:]], indexing="ij"), axis=-1)
    return apply_affine(volume.affine.numpy(), grid.astype(np.float64))[..., 0]


def test_values_go_where_the_transform_says(turned: RegistrationOptions) -> None:
    """A ramp along the fixed world's x axis, seen from the moving grid through the inverse of the transform."""
    transform = RegisterToFixedd(options=turned)
    data = pair()
    done = transform(data)
    ramp = MetaTensor(torch.from_numpy(world_of(data["fixed"]))[None].float(), meta=done["moving"].meta)
    ramp.applied_operations = done["moving"].applied_operations
    back = transform.inverse({"moving": ramp})["moving"]
    assert back.shape == (1, *MOVING_SHAPE)
    inverse = np.linalg.inv(done["fixed_to_moving_ras"].numpy())
    grid = np.stack(np.meshgrid(*[np.arange(count) for count in MOVING_SHAPE], indexing="ij"), axis=-1)
    expected = apply_affine(inverse @ COARSE, grid.astype(np.float64))
    index = apply_affine(np.linalg.inv(OBLIQUE), expected)
    within = ((index > 1) & (index < np.array([12, 10, 8]))).all(axis=-1)
    assert within.sum() > 50
    np.testing.assert_allclose(back.numpy()[0][within], expected[..., 0][within], atol=1e-3)


def test_labels_go_where_the_transform_says(turned: RegistrationOptions) -> None:
    """Every voxel its own label: each moving voxel takes that of the fixed voxel whose center is the nearest."""
    data = pair()
    done = RegisterToFixedd(options=turned)(data)
    matrix = done["fixed_to_moving_ras"].numpy()
    numbers = np.arange(1, data["fixed"].numel() + 1).reshape(data["fixed"].shape[1:])
    way = WayBack.between(data["fixed"], data["moving"], matrix)
    found = bring_back(MetaTensor(torch.from_numpy(numbers)[None], meta=data["fixed"].meta), way, "nearest")[0].numpy()
    grid = np.stack(np.meshgrid(*[np.arange(count) for count in MOVING_SHAPE], indexing="ij"), axis=-1)
    index = apply_affine(np.linalg.inv(OBLIQUE) @ np.linalg.inv(matrix) @ COARSE, grid.astype(np.float64))
    clear = (np.abs(index - np.round(index)) < 0.4).all(axis=-1)
    place = np.round(index).astype(int)
    within = clear & ((place >= 0) & (place < numbers.shape)).all(axis=-1)
    assert within.sum() > 100
    assert np.array_equal(found[within], numbers[tuple(place[within].T)])


def test_the_moving_volume_comes_back_to_its_own_grid_and_metadata(turned: RegistrationOptions) -> None:
    transform = pickle.loads(pickle.dumps(RegisterToFixedd(options=turned)))
    data = pair()
    done = transform(data)
    before = done["moving"].as_tensor().clone()
    back = transform.inverse(done)
    for key in ("moving", "inside"):
        assert back[key].shape == (1, *MOVING_SHAPE)
        assert torch.equal(back[key].affine, data["moving"].affine)
        assert back[key].applied_operations == []
        assert len(done[key].applied_operations) == 1
    assert back["inside"].dtype == torch.bool
    meta = back["moving"].meta
    assert [meta[key] for key in ("modality", "nifti_orientation", "filename_or_obj")] == ["CT", "moving", "ct.nii"]
    assert torch.equal(done["moving"].as_tensor(), before)
    assert back["fixed"] is data["fixed"]


def test_equal_grids_give_every_value_back() -> None:
    transform = RegisterToFixedd(options=RegistrationOptions(method="none"))
    data = {"fixed": made(cloud()), "moving": made(cloud(1), "CT")}
    back = transform.inverse(transform(data))["moving"]
    assert torch.equal(back.as_tensor(), data["moving"].as_tensor())


@pytest.mark.parametrize("nearest", [True, False])
def test_invertd_brings_a_prediction_back(turned: RegistrationOptions, nearest: bool) -> None:
    """With transforms of MONAI's around the registration, which have to be undone before and after it."""
    prepare = Compose(
        [
            SpatialPadd("moving", (12, 12, 12)),
            RegisterToFixedd(options=turned),
            CropForegroundd(BOTH, source_key="fixed", select_fn=lambda values: values > 30, allow_smaller=True),
            ScaleIntensityd(BOTH),
        ]
    )
    back = Compose([Segmentd("moving"), Invertd("pred", prepare, orig_keys="moving", nearest_interp=nearest)])
    data = pair()
    done = back(prepare(data))
    pred = done["pred"]
    assert pred.shape == (1, *MOVING_SHAPE)
    torch.testing.assert_close(pred.affine, data["moving"].affine, rtol=0, atol=1e-9)
    whole = set(pred.unique().tolist()) <= set(range(8))
    assert whole is nearest
    assert pred.max() > 2


def test_invertd_after_the_whole_preparation(turned: RegistrationOptions) -> None:
    prepare = Compose(
        [
            ChooseWindowd(BOTH),
            RegisterToFixedd(options=turned),
            NormalizeModalityd(BOTH, inside_keys=(None, "inside")),
            StackModalitiesd(),
            FuseSlicesd(method="max"),
        ]
    )
    data = pair()
    done = Invertd("pred", prepare, orig_keys="inside", nearest_interp=False)(prepare(data))
    assert done["pred"].shape == (1, *MOVING_SHAPE)
    assert torch.equal(done["pred"].affine, data["moving"].affine)
    assert done["pred"].as_tensor().unique().numel() > 100


def test_labels_keep_their_type_and_every_channel(turned: RegistrationOptions) -> None:
    fixed, labels = made(cloud()), (cloud(5) > 50).astype(np.uint8)
    way = WayBack.between(fixed, moving(), np.eye(4))
    both = MetaTensor(torch.from_numpy(np.stack([labels, 2 * labels])), affine=fixed.affine)
    back = bring_back(both, way, "nearest")
    assert back.dtype == torch.uint8
    assert back.shape == (2, *MOVING_SHAPE)
    assert torch.equal(back.as_tensor()[1], 2 * back.as_tensor()[0])
    assert set(back.unique().tolist()) == {0, 1, 2}


def test_outside_the_fixed_grid_labels_are_background_and_values_are_low() -> None:
    far = COARSE.copy()
    far[:3, 3] += (8.0, 0.0, 0.0)
    fixed = made(cloud() - 1000)
    way = WayBack.between(fixed, made(cloud(1, MOVING_SHAPE), "CT", far), np.eye(4))
    linear = bring_back(made(cloud() - 1000), way)
    nearest = bring_back(made(np.ones_like(cloud())), way, "nearest")
    outside = nearest.as_tensor() == 0
    assert 0 < int(outside.sum()) < outside.numel()
    assert float(linear.as_tensor().min()) == pytest.approx(float(fixed.min()))
    assert float(linear.as_tensor()[outside].max()) < -850


def test_a_volume_of_another_size_is_refused(turned: RegistrationOptions) -> None:
    transform = RegisterToFixedd(options=turned)
    done = transform(pair())
    done["moving"] = done["moving"][..., :4]
    with pytest.raises(
        GeometryError, match="14 x 12 x 4 voxels does not lie on the fixed grid, which has 14 x 12 x 10"
    ):
        transform.inverse(done)


def test_workers_give_the_same_bits_and_share_a_cache(turned: RegistrationOptions, tmp_path: Path) -> None:
    transform = RegisterToFixedd(options=turned, cache_dir=tmp_path / "cache")
    cases = [pair(seed) for seed in range(4)]
    alone = [RegisterToFixedd(options=turned)(case) for case in cases]
    dataset = Dataset([*cases, *cases], transform)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list_data_collate)
    items = [item for batch in loader for item in decollate_batch(batch)]
    for item, expected in zip(items, [*alone, *alone], strict=True):
        for key in ("moving", "inside", "fixed_to_moving_ras"):
            assert np.array_equal(item[key].numpy(), expected[key].numpy())
        back = transform.inverse(item)["moving"]
        wanted = transform.inverse({"moving": _traced_by(transform, expected["moving"])})["moving"]
        assert torch.equal(back.as_tensor(), wanted.as_tensor())
        assert torch.equal(back.affine, wanted.affine)
    assert len(list((tmp_path / "cache").iterdir())) == 4


def _traced_by(transform: RegisterToFixedd, volume: MetaTensor) -> MetaTensor:
    """Return a volume as if another instance of the transform had made it."""
    copy = volume.clone()
    copy.applied_operations[-1]["id"] = id(transform)
    return copy


def test_a_deformation_is_undone_too() -> None:
    shape = (30, 28, 16)
    fixed, there = made(cloud(0, shape)), made(cloud(1, shape), "CT")
    there[0] = torch.from_numpy(world_of(there))
    lattice, _ = same_view(fixed.affine.numpy(), shape, 8.0)
    bend = torch.zeros(3, 4, 4, 5)
    bend[0] = torch.tensor([-1.2, -0.6, 0.4, 1.8])[None, :, None]  # along x, by how far along y
    shift = np.eye(4)
    shift[:3, 3] = (1.0, -0.5, 1.5)
    added = Displacement(bend, lattice)
    grid = (fixed.affine.numpy(), shift)
    brought = on_grid_of(fixed, resample_to(there[0].as_tensor(), there.affine.numpy(), shape, *grid, added)[0][None])
    noted, mode = WayBack.from_noted(WayBack.between(fixed, there, shift, added).noted("bilinear"))
    inner = (0, slice(6, -6), slice(6, -6), slice(4, -4))
    errors = [
        float((bring_back(brought, way, mode)[inner] - there[inner]).abs().max())
        for way in (noted, WayBack.between(fixed, there, shift))
    ]
    assert errors[0] < 0.25
    assert errors[1] > 1.0
    labels = bring_back(on_grid_of(fixed, (brought.as_tensor() / 4.0).round().to(torch.int16)), noted, "nearest")
    assert labels.dtype == torch.int16
    assert float((labels[inner] - (there[inner] / 4.0)).abs().max()) < 1.0
