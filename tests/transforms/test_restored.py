"""Restored volumes keep their grid, units and metadata; only noise goes, and what changed is told."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from made_volumes import OBLIQUE, made, same_meta
from scipy.ndimage import gaussian_filter
from torch import nn

from medfuse.errors import OptionError, WeightsError
from medfuse.networks import Restormer, RestormerConfig, save_weights
from medfuse.training.degradations import degrade_at
from medfuse.training.judges import peak_signal_to_noise
from medfuse.transforms import Restored
from medfuse.transforms.restoration_scale import CT_WINDOW_HU
from medfuse.transforms.restored import Restorers, restore_volume

CPU = torch.device("cpu")
LEVELS = {"MR": 6.0, "CT": 20.0, "PT": 30.0, "NM": 30.0}


class Smaller(nn.Module):
    """A restorer that takes a part of what it sees."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 0.9 * image


class Stubs(Restorers):
    """Restorers without weights."""

    def network(self, modality: str) -> nn.Module:
        return Smaller()


def ball(shape: tuple[int, int, int] = (48, 44, 5)) -> np.ndarray:
    """Return smooth structures within a ball, 0 to 1, black around."""
    chance = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    blobs = gaussian_filter(chance.normal(size=shape), (3.0, 3.0, 1.0))
    return ((0.5 + 0.35 * blobs / np.abs(blobs).max()) * (x * x + y * y < 0.7)[:, :, None]).astype(np.float32)


def noisy(modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a clean and a degraded volume in [0, 1]."""
    clean, random = ball(), np.random.default_rng(1)
    slices = [degrade_at(clean[:, :, k], modality, LEVELS[modality], random) for k in range(clean.shape[2])]
    return clean, np.stack(slices, axis=2)


def in_units(values: np.ndarray, modality: str) -> np.ndarray:
    if modality == "CT":
        return CT_WINDOW_HU[0] + values * (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])
    return 700.0 * values


@pytest.mark.parametrize("modality", list(LEVELS))
def test_noise_goes_in_the_units_of_the_volume(modality: str) -> None:
    clean, degraded = noisy(modality)
    volume = made(in_units(degraded, modality), modality, units="HU" if modality == "CT" else "counts")
    restored = Restored("image")({"image": volume})["image"]
    truth, inside = in_units(clean, modality), clean > 0.0
    before, after = (float(np.abs(v.numpy()[0] - truth)[inside].mean()) for v in (volume, restored))
    assert after < 0.7 * before
    assert np.abs(restored.numpy()[0][inside].mean() - truth[inside].mean()) < 0.03 * np.ptp(truth)
    if modality != "CT":
        assert restored.min() >= 0.0


def test_values_outside_soft_tissue_stay_bit_for_bit() -> None:
    values = in_units(ball(), "CT")
    values[:12] = -1000.0
    values[40:] = 1500.0
    restored = restore_volume(made(values, "CT"), Stubs(CPU)).volume.numpy()[0]
    assert np.array_equal(restored[:11], values[:11])
    assert np.array_equal(restored[41:], values[41:])
    assert not np.array_equal(restored[20:30], values[20:30])


def test_grid_metadata_and_traces_are_kept() -> None:
    volume = made(in_units(ball(), "PT"), "PT", units="SUV", filename_or_obj="pet.nii.gz", description="decayed")
    volume.applied_operations = [{"class": "Noted"}]
    restored = restore_volume(volume, Stubs(CPU)).volume
    assert same_meta(volume, restored)
    kept = {key: restored.meta[key] for key in ("modality", "units", "filename_or_obj")}
    assert kept == {"modality": "PT", "units": "SUV", "filename_or_obj": "pet.nii.gz"}
    assert restored.meta["description"] == "decayed; restored by restormer"
    assert restored.applied_operations == [{"class": "Noted"}]
    assert restored.dtype == torch.float32
    assert volume.meta["description"] == "decayed"


def test_what_changed_is_told_with_its_place() -> None:
    values = np.zeros((20, 16, 9), np.float32)
    values[5:15, 4:12, 2:7] = 50.0
    values[8, 7, 4] = 80.0
    change = restore_volume(made(values, "PT", units="SUV"), Stubs(CPU)).change
    assert change.largest == pytest.approx(-8.0, rel=1e-4)
    assert change.place_mm == pytest.approx(tuple(OBLIQUE @ [8, 7, 4, 1])[:3], abs=1e-3)
    assert change.rms == pytest.approx(float(np.sqrt(((0.1 * values) ** 2).mean())), rel=1e-4)
    assert change.changed_fraction == pytest.approx(float((values > 0).mean()))
    assert change.weights == "restormer-counts.safetensors"
    assert change.in_words.startswith("RMS change ")
    assert "SUV, at most -8 at (" in change.in_words


def test_slices_are_those_of_the_plane_and_batches_change_nothing() -> None:
    volume = made(in_units(noisy("MR")[1], "MR"), "MR")
    restorers = Restorers(CPU)
    one, four = (restore_volume(volume, restorers, slices_per_batch=n).volume.numpy() for n in (1, 4))
    assert np.allclose(one, four, atol=1e-3)
    across = restore_volume(volume, restorers, plane="sagittal").volume.numpy()
    assert not np.allclose(one, across, atol=1e-2)


def test_each_kind_of_noise_has_its_network(tmp_path: Path) -> None:
    shipped = Restorers(CPU)
    assert [shipped.path(modality).stem for modality in LEVELS] == [
        "restormer",
        "restormer-ct",
        *["restormer-counts"] * 2,
    ]
    assert shipped.network("PT") is shipped.network("NM")
    own = tmp_path / "own.safetensors"
    save_weights(Restormer(RestormerConfig(1, 1, 4, (0, 1, 1, 1), 0, (1, 1, 1, 1))), own, {})
    given = Restorers(CPU, own)
    assert given.path("PT") == given.path("CT") == own
    assert given.network("PT").config.channels == 4  # type: ignore[union-attr]


def test_the_transform_is_one_for_many_keys_and_survives_pickling() -> None:
    mr, pet = made(in_units(noisy("MR")[1], "MR"), "MR"), made(in_units(noisy("PT")[1], "PT"), "PT")
    transform = Restored(("fixed", "moving"))
    done = pickle.loads(pickle.dumps(transform))({"fixed": mr, "moving": pet, "other": 3})
    assert done["other"] == 3
    assert torch.equal(done["moving"].as_tensor(), transform({"fixed": mr, "moving": pet})["moving"].as_tensor())
    assert not torch.equal(done["fixed"].as_tensor(), mr.as_tensor())
    with pytest.raises(KeyError):
        transform({"fixed": mr})
    assert "moving" not in Restored(("fixed", "moving"), allow_missing_keys=True)({"fixed": mr})


def test_what_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r'meta\["modality"\] of the volume is \'US\'; set one of MR, CT'):
        restore_volume(made(ball(), "US"), Stubs(CPU))
    with pytest.raises(WeightsError, match="there is no such weights file"):
        Restored("image", weights=tmp_path / "none.safetensors")({"image": made(ball())})


def test_a_clean_volume_stays_nearly_as_it_is() -> None:
    clean = in_units(ball(), "MR")
    restored = Restored("image")({"image": made(clean, "MR")})["image"].numpy()[0]
    assert peak_signal_to_noise(torch.from_numpy(clean / 700.0), torch.from_numpy(restored / 700.0)) > 30.0


@pytest.mark.parametrize("modality", list(LEVELS))
def test_a_smooth_scan_gets_no_grid(modality: str) -> None:
    """What half the pixels of a network draw must not show where there is nothing to restore."""
    smooth = in_units(gaussian_filter(ball((64, 56, 5)), (4.0, 4.0, 0.0)), modality)
    restored = Restored("image")({"image": made(smooth, modality)})["image"].numpy()[0]
    change = (restored - smooth)[8:56, 8:48] / np.ptp(smooth)
    steps = np.diff(change, axis=0)
    assert np.abs(change).max() < 0.15
    assert float(np.sqrt((steps**2).mean())) < 0.02
