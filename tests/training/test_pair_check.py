"""The look before the training: each thing that spoils pairs is found, and good pairs pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medfuse.training import check_pairs
from medfuse.training.pair_check import best_shift

PNG = {"first": "CT-MRI/a/0.png", "second": "CT-MRI/b/0.png"}


def texts(data: Path, unusable: bool) -> str:
    return "\n".join(finding.text for finding in check_pairs(data) if finding.unusable == unusable)


def head(side: int = 96) -> np.ndarray:
    """Return a disk with blocks of gray, black around, in [0, 1]."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    blocks = np.random.default_rng(0).uniform(0.2, 1.0, (side // 8, side // 8))
    return np.kron(blocks, np.ones((8, 8))) * (x * x + y * y < 0.7)


def test_good_pairs_are_counted(slices: Path) -> None:
    assert texts(slices, unusable=True) == ""
    assert "CT-MRI: 3 pairs of 64 x 64" in texts(slices, unusable=False)
    assert "4 cases to train on and 2 to judge by: as listed" in texts(slices, unusable=False)


def test_blank_slices_are_found(slices: Path) -> None:
    Image.new("L", (64, 64)).save(slices / PNG["first"])
    assert "CT-MRI, case case0: 1 of 1 pairs are blank in a source; leave them out" in texts(slices, unusable=True)


def test_identical_sources_are_found(slices: Path) -> None:
    (slices / PNG["second"]).write_bytes((slices / PNG["first"]).read_bytes())
    assert "case0: in 1 of 1 pairs both sources are one picture" in texts(slices, unusable=True)


def test_pairs_of_both_parts_are_found(slices: Path) -> None:
    for key in ("a", "b"):  # 0 is trained on, 4 judged by
        (slices / f"CT-MRI/{key}/4.png").write_bytes((slices / f"CT-MRI/{key}/0.png").read_bytes())
    assert "1 pairs to judge by are also among those to train on; split by patient" in texts(slices, unusable=True)


def test_unequal_sizes_and_damaged_files_are_found_together(slices: Path) -> None:
    Image.new("L", (64, 60)).save(slices / PNG["second"])
    (slices / "PET-MRI/a/1.png").write_bytes(b"nothing")
    problems = texts(slices, unusable=True)
    assert "64 x 60" in problems
    assert "is not a readable PNG" in problems


def test_misaligned_pairs_are_found_but_can_be_used(slices: Path) -> None:
    for key, shift in (("a", 0), ("b", 6)):
        picture = (255 * np.roll(head(), shift, axis=1)).astype(np.uint8)
        Image.fromarray(picture).save(slices / f"CT-MRI/{key}/0.png")
    assert "case0: shifting the second source by 0 rows and -6 columns raises" in texts(slices, unusable=False)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -6), (-3, 3)])
def test_the_best_shift_undoes_a_shift(shift: tuple[int, int]) -> None:
    first = torch.from_numpy(head()).float()
    second = torch.roll(1.0 - first, (-shift[0], -shift[1]), dims=(0, 1))  # another contrast
    gain, found = best_shift([torch.stack([first, second])])
    assert found == shift
    assert (gain > 0.1) == (shift != (0, 0))


def test_real_pairs_pass(shared: Path) -> None:
    findings = check_pairs(shared / "data" / "slices")
    assert [finding.text for finding in findings if finding.unusable] == []
    assert len(findings) == 4  # three collections and the split
