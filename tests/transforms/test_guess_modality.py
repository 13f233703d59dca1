"""What values alone tell about the modality."""

from __future__ import annotations

import numpy as np
import pytest
from made_volumes import OBLIQUE, cloud

from medfuse.phantom import Phantom
from medfuse.transforms.guess_modality import correlation_length_mm, guess_modality


@pytest.mark.parametrize(
    ("name", "guess"), [("MR_T1", "MR"), ("MR_T2", "MR"), ("CT", "CT"), ("PT", "PT"), ("NM", "PT")]
)
def test_the_phantom_is_recognized(phantom_small: Phantom, name: str, guess: str) -> None:
    volume = phantom_small.volumes[name]
    assert guess_modality(volume.numpy()[0], volume.affine.numpy()) == guess


def test_the_guess_does_not_depend_on_brightness(phantom_small: Phantom) -> None:
    volume = phantom_small.volumes["MR_T1"]
    values, affine = volume.numpy()[0], volume.affine.numpy()
    assert correlation_length_mm(7 * values, affine) == pytest.approx(correlation_length_mm(values, affine), rel=1e-4)


def test_lengths_are_in_mm() -> None:
    coarse = OBLIQUE @ np.diag([2.0, 2.0, 2.0, 1.0])
    lengths = [correlation_length_mm(cloud(), affine) for affine in (OBLIQUE, coarse)]
    assert lengths[1] == pytest.approx(2 * lengths[0])


def test_one_bright_voxel_breaks_nothing() -> None:
    values = np.zeros((4, 4, 4), dtype=np.float32)
    values[1, 2, 3] = 5.0
    assert guess_modality(values, np.eye(4)) in ("MR", "PT")
