"""Values go to [0, 1] through one window for the whole volume, and metadata stays true."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from made_volumes import cloud, made

from medfuse.errors import IntensityError, OptionError
from medfuse.transforms import ChooseWindowd, NormalizeModalityd
from medfuse.transforms.normalize import black_outside, normalize_intensity, through_window
from medfuse.transforms.windows import apply_window, choose_window


def test_a_volume_goes_through_the_window_of_its_modality() -> None:
    volume = made(cloud(), "MR", filename_or_obj="t1.nii.gz")
    normalized, window = normalize_intensity(volume)
    assert window == choose_window(volume.numpy(), "MR")
    assert np.array_equal(normalized.numpy(), apply_window(volume.numpy(), window))
    assert torch.equal(normalized.affine, volume.affine)
    kept = {key: normalized.meta[key] for key in ("modality", "modality_source", "filename_or_obj", "units")}
    assert kept == {"modality": "MR", "modality_source": "given", "filename_or_obj": "t1.nii.gz", "units": "normalized"}
    assert normalized.meta["intensity_window"]["upper"] == window.upper


def test_units_of_a_pet_scan_matter() -> None:
    values = cloud(top=4.0)
    assert normalize_intensity(made(values, "PT", units="SUV"))[1].upper == 5.0
    assert normalize_intensity(made(values, "PT"))[1].upper < 4.0


@pytest.mark.parametrize("choice", ["500,600", "-9,-1"])
def test_a_window_that_leaves_no_picture_is_refused(choice: str) -> None:
    with pytest.raises(IntensityError, match=r"leaves no picture of the MR volume, whose values go from 0 to 100"):
        normalize_intensity(made(cloud()), choice)


def test_each_key_has_its_window_and_its_mask() -> None:
    inside = made(cloud() > 40)
    transform = NormalizeModalityd(("fixed", "moving"), window=("0,50", "auto"), inside_keys=(None, "inside"))
    data = {"fixed": made(cloud()), "moving": made(cloud(1), "PT"), "inside": inside}
    done = pickle.loads(pickle.dumps(transform))(data)
    assert np.array_equal(done["fixed"].numpy(), np.clip(data["fixed"].numpy() / 50, 0, 1))
    expected = black_outside(normalize_intensity(data["moving"])[0], inside)
    assert torch.equal(done["moving"].as_tensor(), expected.as_tensor())
    assert done["moving"].meta["modality"] == "PT"
    assert float(done["moving"][inside == 0].max()) == 0.0
    assert data["fixed"].max() > 50


def test_a_window_chosen_before_is_kept_after_values_have_changed() -> None:
    volume = made(cloud(), "MR")
    chosen = ChooseWindowd("moving")({"moving": volume})["moving"]
    assert "intensity_window" not in volume.meta
    window = choose_window(volume.numpy(), "MR")
    changed = chosen * 0.5
    done = NormalizeModalityd("moving")({"moving": changed})["moving"]
    assert torch.equal(done.as_tensor(), through_window(changed, window).as_tensor())


def test_a_normalized_volume_is_not_put_through_its_old_window_again() -> None:
    once = NormalizeModalityd("a")({"a": made(cloud(top=3000.0), "MR")})
    twice = NormalizeModalityd("a", window=("0,1",))(once)
    assert torch.equal(once["a"].as_tensor(), twice["a"].as_tensor())


def test_an_unknown_window_is_refused_where_it_is_chosen() -> None:
    with pytest.raises(OptionError, match="no MR window"):
        ChooseWindowd("a", window=("brain",))({"a": made(cloud(), "MR")})
