"""Channels go by modality, not by who is fixed."""

from __future__ import annotations

import itertools
import pickle

import pytest
import torch
from made_volumes import cloud, made

from medfuse.options import MODALITIES
from medfuse.transforms import StackModalitiesd
from medfuse.transforms.stack import stack_modalities


@pytest.mark.parametrize(("fixed", "moving"), list(itertools.product(MODALITIES, repeat=2)))
def test_channels_follow_the_order_that_the_network_knows(fixed: str, moving: str) -> None:
    volumes = {"fixed": made(cloud(), fixed), "moving": made(cloud(1), moving)}
    image = stack_modalities(**volumes)
    assert image.meta["channels"] == tuple(sorted((fixed, moving), key=MODALITIES.index))
    first = "fixed" if image.meta["channels"][0] == fixed else "moving"
    assert torch.equal(image[:1].as_tensor(), volumes[first].as_tensor())
    other = "moving" if first == "fixed" else "fixed"
    assert torch.equal(image[1:].as_tensor(), volumes[other].as_tensor())


def test_two_of_a_kind_stay_in_the_order_given() -> None:
    fixed, moving = made(cloud(), "MR"), made(cloud(1), "MR")
    assert torch.equal(stack_modalities(fixed, moving).as_tensor(), torch.cat([fixed.as_tensor(), moving.as_tensor()]))


def test_the_image_lies_where_the_fixed_volume_lies() -> None:
    fixed, moving = made(cloud(), "CT", filename_or_obj="ct.nii.gz"), made(cloud(1), "MR", filename_or_obj="t1.nii.gz")
    done = pickle.loads(pickle.dumps(StackModalitiesd()))({"fixed": fixed, "moving": moving, "k": 1})
    assert torch.equal(done["image"].affine, fixed.affine)
    assert done["image"].meta["filename_or_obj"] == "ct.nii.gz"
    assert done["image"].meta["units"] == "normalized"
    assert "modality" not in done["image"].meta
    assert done["fixed"] is fixed
    assert done["k"] == 1
