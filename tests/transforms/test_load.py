"""A volume that is read, or given in memory, knows its modality and who said so."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from made_volumes import OBLIQUE, cloud, made
from monai.data import MetaTensor

from medfuse.errors import GeometryError, InputError, IntensityError, OptionError
from medfuse.io.volume_files import write_volume
from medfuse.transforms import LoadVolumed
from medfuse.transforms.load import GUESSED, load_volume


def in_memory(values: np.ndarray, **meta: str) -> MetaTensor:
    return MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(OBLIQUE), meta=meta)


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    write_volume(in_memory(cloud()), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def test_what_is_given_wins(nameless: Path) -> None:
    volume = load_volume(nameless, "NM")
    assert (volume.meta["modality"], volume.meta["modality_source"]) == ("NM", "given")
    assert volume.shape == (1, 14, 12, 10)
    assert volume.dtype == torch.float32


def test_the_name_is_used_before_the_values(nameless: Path) -> None:
    renamed = nameless.rename(nameless.with_name("sub-01_pet.nii.gz"))
    volume = load_volume(renamed)
    assert (volume.meta["modality"], volume.meta["modality_source"]) == ("PT", "file name")


def test_a_guess_is_called_one(nameless: Path) -> None:
    assert load_volume(nameless).meta["modality_source"] == GUESSED
    assert load_volume(str(nameless)).meta["modality"] == "MR"


def test_a_volume_in_memory_is_copied_and_keeps_its_modality() -> None:
    source = made(cloud(), "CT")
    before = source.clone()
    volume = load_volume(source)
    volume += 1.0
    volume.meta["modality"] = "MR"
    assert torch.equal(source.as_tensor(), before.as_tensor())
    assert source.meta["modality"] == "CT"
    assert source.meta["modality_source"] == "given"
    assert load_volume(source).meta["modality_source"] == "header"


def test_a_volume_in_memory_becomes_float32_without_a_gradient() -> None:
    source = made(cloud()).double().requires_grad_()
    volume = load_volume(source)
    assert volume.dtype == torch.float32
    assert not volume.requires_grad
    assert torch.equal(volume.affine, source.affine)


def holed(value: float) -> np.ndarray:
    values = cloud()
    values[3, 4, 5] = value
    return values


@pytest.mark.parametrize(
    ("volume", "error", "message"),
    [
        (in_memory(cloud())[0], InputError, r"shape \(14, 12, 10\); give a MetaTensor \(1, X, Y, Z\)"),
        (in_memory(cloud()).repeat(2, 1, 1, 1), InputError, r"shape \(2, 14, 12, 10\)"),
        (in_memory(cloud()[..., :1]), InputError, "at least 4 slices"),
        (in_memory(holed(np.nan)), IntensityError, "1 of 1680 values are NaN or infinite"),
        (in_memory(holed(np.inf)), IntensityError, "1 of 1680 values are NaN or infinite"),
        (in_memory(np.ones((5, 5, 5), dtype=np.float32)), IntensityError, "constant"),
        (made(cloud(), affine=np.diag([1.0, 1.0, 0.0, 1.0])), GeometryError, "spacing"),
        (made(cloud(), affine=np.diag([1.0, 900.0, 1.0, 1.0])), GeometryError, "no scan"),
        (in_memory(cloud(), space="LPS"), InputError, "affine in LPS; give one in RAS mm"),
    ],
    ids=["3-D", "two channels", "single slice", "NaN", "Inf", "constant", "singular", "absurd", "LPS"],
)
def test_a_volume_in_memory_is_judged_like_a_file(volume: MetaTensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        load_volume(volume, "MR")
    assert "\n" not in str(raised.value)


def test_an_unknown_modality_is_refused(nameless: Path) -> None:
    with pytest.raises(OptionError, match="modality is 'US'; choose one of MR, CT, PT, NM"):
        load_volume(nameless, "US")


def test_the_transform_reads_each_key_with_its_modality(nameless: Path) -> None:
    transform = pickle.loads(pickle.dumps(LoadVolumed(("fixed", "moving"), modality=("MR", None))))
    data = {"fixed": nameless, "moving": made(cloud(1), "CT"), "other": 3}
    loaded = transform(data)
    assert [loaded[key].meta["modality"] for key in ("fixed", "moving")] == ["MR", "CT"]
    assert loaded["other"] == 3
    assert data["fixed"] == nameless


def test_a_missing_key_is_an_error_unless_it_is_allowed(nameless: Path) -> None:
    with pytest.raises(KeyError, match="moving"):
        LoadVolumed(("fixed", "moving"))({"fixed": nameless})
    loaded = LoadVolumed(("fixed", "moving"), allow_missing_keys=True)({"fixed": nameless})
    assert set(loaded) == {"fixed"}
