"""Where values lie comes from the reference, what they mean does not."""

from __future__ import annotations

import torch
from made_volumes import cloud, made

from medfuse.transforms.volumes import meanings_of, on_grid_of


def test_the_grid_is_copied_and_the_meanings_are_not() -> None:
    reference = made(cloud(), "MR", units="arbitrary", filename_or_obj="t1.nii.gz", nifti_orientation="{}")
    before = reference.affine.clone()
    volume = on_grid_of(reference, torch.zeros(3, 14, 12, 10), {"units": "RGB"})
    assert torch.equal(volume.affine, before)
    assert volume.affine.dtype == torch.float64
    assert volume.meta["nifti_orientation"] == "{}"
    assert volume.meta["units"] == "RGB"
    assert "modality" not in volume.meta
    volume.affine[0, 3] = 99.0
    assert torch.equal(reference.affine, before)


def test_meanings_travel_to_another_grid() -> None:
    moving = made(cloud(), "PT", units="SUV", filename_or_obj="pet.nii.gz")
    volume = on_grid_of(
        made(cloud(1), "MR", filename_or_obj="t1.nii.gz"), torch.zeros(1, 14, 12, 10), meanings_of(moving)
    )
    assert (volume.meta["modality"], volume.meta["units"]) == ("PT", "SUV")
    assert volume.meta["filename_or_obj"] == "pet.nii.gz"
