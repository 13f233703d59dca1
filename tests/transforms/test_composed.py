"""The transforms together: composed, in a DataLoader, and against the main job."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from made_volumes import OBLIQUE, cloud, made
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose

from medfuse.io.volume_files import read_volume, write_volume
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.transforms import (
    ChooseWindowd,
    Colorized,
    FuseSlicesd,
    LoadVolumed,
    NormalizeModalityd,
    RegisterToFixedd,
    SaveVolumed,
    StackModalitiesd,
)

BOTH = ("fixed", "moving")
TRUST = RegistrationOptions(method="none")


def prepare() -> Compose:
    return Compose(
        [
            LoadVolumed(BOTH),
            ChooseWindowd(BOTH),
            RegisterToFixedd(options=TRUST),
            NormalizeModalityd(BOTH, inside_keys=(None, "inside")),
            StackModalitiesd(),
        ]
    )


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, str]]:
    """Two patients: fixed volumes on grids of one shape but not in one place, moving ones that end early."""
    made_cases = []
    for number in range(2):
        there = OBLIQUE.copy()
        there[:3, 3] += 3.0 * number
        volumes = {
            "fixed": made(cloud(number), "MR", there),
            "moving": made(cloud(9 - number, (13, 11, 7)), "PT", there),
        }
        paths = {"fixed": f"{tmp_path}/{number}_t1.nii.gz", "moving": f"{tmp_path}/{number}_pet.nii.gz"}
        for key, path in paths.items():
            write_volume(volumes[key], path)
        made_cases.append({**paths, "pred_path": f"{tmp_path}/{number}_fused.nii.gz"})
    return made_cases


@pytest.mark.parametrize(("fixed", "moving"), [("t1", "ct"), ("ct", "t1"), ("t1", "pet")])
@pytest.mark.parametrize("method", ["max", "laplacian"])
def test_composed_transforms_give_what_the_main_job_gives(patient: Path, method: str, fixed: str, moving: str) -> None:
    paths = {"fixed": patient / f"{fixed}.nii.gz", "moving": patient / f"{moving}.nii.gz"}
    result = fuse_volumes(**paths, options=FusionOptions(method=method, registration=TRUST))
    data = Compose([prepare(), FuseSlicesd(method=method), Colorized()])(paths)
    assert torch.equal(data["pred"].as_tensor(), result.fused.as_tensor())
    assert torch.equal(data["pred"].affine, result.fused.affine)
    assert torch.equal(data["inside"].as_tensor(), result.inside.as_tensor())
    if result.color is not None:
        assert torch.equal(data["color"].as_tensor(), result.color.as_tensor())


def test_a_batch_is_fused_like_its_patients(cases: list[dict[str, str]]) -> None:
    fuse = Compose([FuseSlicesd(method="laplacian"), Colorized()])
    batch = next(iter(DataLoader(Dataset(cases, prepare()), batch_size=2, num_workers=0, collate_fn=list_data_collate)))
    assert batch["image"].shape == (2, 2, 14, 12, 10)
    fused = fuse(batch)
    alone = [fuse(prepare()(case)) for case in cases]
    for key in ("pred", "color"):
        assert isinstance(fused[key], MetaTensor)
        assert torch.equal(fused[key].as_tensor(), torch.stack([one[key].as_tensor() for one in alone]))
        assert torch.equal(fused[key].affine, torch.stack([one[key].affine for one in alone]))
        assert torch.equal(fused[key][1].affine, alone[1][key].affine)


def test_a_batch_comes_apart_into_volumes_that_know_where_they_lie(cases: list[dict[str, str]]) -> None:
    batch = next(iter(DataLoader(Dataset(cases, prepare()), batch_size=2, num_workers=0, collate_fn=list_data_collate)))
    for case, item in zip(cases, decollate_batch(FuseSlicesd(method="max")(batch)), strict=True):
        fixed = read_volume(case["fixed"])
        assert torch.equal(item["pred"].affine, fixed.affine)
        assert item["pred"].meta["filename_or_obj"] == case["fixed"]
        assert tuple(item["image"].meta["channels"]) == ("MR", "PT")
        assert item["moving"].meta["modality"] == "PT"
        assert item["moving"].meta["intensity_window"]["units"] == "stored values"
        SaveVolumed("pred")(item)
        assert torch.equal(read_volume(case["pred_path"]).affine, fixed.affine)
        assert torch.equal(read_volume(case["pred_path"]).as_tensor(), item["pred"].as_tensor())


def test_metadata_is_true_after_each_step(cases: list[dict[str, str]]) -> None:
    data: dict[str, MetaTensor] = dict(cases[0])  # type: ignore[arg-type]
    fixed, moving = (read_volume(cases[0][key]) for key in BOTH)
    for number, transform in enumerate([*prepare().transforms, FuseSlicesd(method="max"), Colorized()]):
        data = transform(data)
        volumes = {key: value for key, value in data.items() if isinstance(value, MetaTensor)}
        for key, volume in volumes.items():
            still_away = key == "moving" and number < 2
            assert torch.equal(volume.affine, (moving if still_away else fixed).affine), (key, transform)
            assert volume.shape[1:] == (moving if still_away else fixed).shape[1:]
        assert data["moving"].meta["modality"] == "PT"
        assert data["fixed"].meta["modality"] == "MR"


def test_the_whole_chain_pickles(cases: list[dict[str, str]]) -> None:
    chain = Compose([prepare(), FuseSlicesd(method="average"), Colorized()])
    again = pickle.loads(pickle.dumps(chain))
    assert torch.equal(again(cases[0])["color"].as_tensor(), chain(cases[0])["color"].as_tensor())
