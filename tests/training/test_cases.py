"""Pairs in the layouts that users have: patients' folders, a CSV list, two folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from medfuse.errors import GeometryError, InputError, UnreadableFileError
from medfuse.io.volume_files import write_volume
from medfuse.training.cases import find_sources
from medfuse.training.paired_data import TrainingPairs, read_training_pairs
from medfuse.training.volume_slices import MOST_SLICES, slices_of_volumes

SPACING_MM = (1.0, 1.0, 5.0)


def volume(path: Path, seed: int, depth: int = 6, offset_mm: float = 0.0) -> Path:
    """Write a (48, 44, depth) volume of noise, black at its border and in its first slice; coarse along z."""
    values = np.zeros((48, 44, depth), dtype=np.float32)
    values[8:40, 8:36, 1:] = np.random.default_rng(seed).uniform(100, 1000, (32, 28, depth - 1))
    affine = torch.diag(torch.tensor([*SPACING_MM, 1.0], dtype=torch.float64))
    affine[0, 3] = offset_mm
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(MetaTensor(torch.from_numpy(values)[None], affine=affine), path)
    return path


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    for number in range(5):
        for offset, name in enumerate(("mr.nii.gz", "ct.nii.gz")):
            volume(tmp_path / "data" / f"patient{number}" / name, 2 * number + offset)
    return tmp_path / "data"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for folder in ("CT", "MRI"):
        (tmp_path / "png" / folder).mkdir(parents=True)
        for case in ("anna", "bert", "carl"):
            for index in range(2):
                picture = Image.fromarray(chance.integers(0, 256, (44, 44), dtype=np.uint8))
                picture.save(tmp_path / "png" / folder / f"{case}_{index:02d}.png")
    return tmp_path / "png"


def cases_of(pairs: TrainingPairs) -> list[set[str]]:
    return [{pair.case for pair in part} for part in (pairs.train, pairs.validation)]


def test_patients_are_split_and_sliced_across_the_coarsest_spacing(patients: Path) -> None:
    pairs = read_training_pairs(patients, 41)
    train, held_out = cases_of(pairs)
    assert (len(train), len(held_out)) == (4, 1)
    assert train | held_out == {f"patient{number}" for number in range(5)}
    assert len(pairs.train) == 4 * 5  # the blank slice of each is left out
    for pair in pairs.train:
        assert pair.collection == "CT-MR"
        assert pair.image.shape == (2, 48, 44)
        assert pair.image.min() == 0.0
        assert 0.5 < pair.image.max() <= 1.0
    assert pairs.split == {
        "rule": "a fifth of the cases, by name",
        "train": {"pairs": 20, "cases": 4},
        "validation": {"pairs": 5, "cases": 1},
    }


def test_mr_comes_first_whatever_the_order(patients: Path) -> None:
    mr, ct = patients / "patient0" / "mr.nii.gz", patients / "patient0" / "ct.nii.gz"
    forth, back = (slices_of_volumes(*files, "0", 41) for files in ((mr, ct), (ct, mr)))
    assert all(torch.equal(a.image, b.image) for a, b in zip(forth, back, strict=True))


def test_the_same_patients_are_held_out_of_each_run(patients: Path, tmp_path: Path) -> None:
    held_out = cases_of(read_training_pairs(patients, 41))[1]
    listed = tmp_path / "reversed.csv"  # other order, same names
    rows = [
        f"patient{number},data/patient{number}/mr.nii.gz,data/patient{number}/ct.nii.gz" for number in (4, 3, 2, 1, 0)
    ]
    listed.write_text("\n".join(["case,first,second", *rows]))
    assert cases_of(read_training_pairs(listed, 41))[1] == held_out


def test_of_many_slices_some_are_taken(tmp_path: Path) -> None:
    first, second = volume(tmp_path / "mr.nii.gz", 0, 70), volume(tmp_path / "ct.nii.gz", 1, 70)
    pairs = slices_of_volumes(first, second, "0", 41)
    assert len(pairs) == MOST_SLICES
    assert not torch.equal(pairs[0].image, pairs[1].image)


def test_other_grids_are_refused_with_what_to_do(patients: Path) -> None:
    volume(patients / "patient2" / "ct.nii.gz", 5, offset_mm=3.0)
    with pytest.raises(GeometryError, match=r"ct\.nii\.gz and .*mr\.nii\.gz lie on other grids; register them"):
        read_training_pairs(patients, 41)


def test_a_pair_without_a_common_picture_is_refused(tmp_path: Path) -> None:
    first = volume(tmp_path / "mr.nii.gz", 0, 6)
    values = np.zeros((48, 44, 6), dtype=np.float32)
    values[8:40, 8:36, 0] = np.random.default_rng(0).uniform(1, 9, (32, 28))
    affine = torch.diag(torch.tensor([*SPACING_MM, 1.0], dtype=torch.float64))
    write_volume(MetaTensor(torch.from_numpy(values)[None], affine=affine), tmp_path / "pet.nii.gz")
    with pytest.raises(InputError, match="no slice that shows something in both"):
        slices_of_volumes(first, tmp_path / "pet.nii.gz", "0", 41)


def test_small_slices_are_refused(patients: Path) -> None:
    with pytest.raises(InputError, match="slices of 48 x 44 pixels; give slices of at least 64 a side"):
        read_training_pairs(patients, 64)


def test_a_third_volume_is_refused(patients: Path) -> None:
    volume(patients / "patient3" / "pet.nii.gz", 9)
    with pytest.raises(InputError, match="patient3 holds 3 volumes; leave the two"):
        find_sources(patients)


def test_a_list_names_files_beside_it_and_may_give_parts(patients: Path) -> None:
    rows = [f"p{number},patient{number}/mr.nii.gz,patient{number}/ct.nii.gz,train" for number in range(2)]
    rows.append("p2,patient2/mr.nii.gz,patient2/ct.nii.gz,validation")
    listed = patients / "pairs.csv"
    listed.write_text("\n".join(["case,first,second,part", *rows]))
    pairs = read_training_pairs(listed, 41)
    assert cases_of(pairs) == [{"p0", "p1"}, {"p2"}]
    assert pairs.split["rule"] == "as listed"


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("case,first\n1,a.nii", UnreadableFileError, "each row needs case, first, second"),
        ("case,first,second\n", UnreadableFileError, "each row needs case, first, second"),
        ("case,first,second,part\n1,a.nii,b.nii,test", InputError, "part is 'test'; write train or validation"),
        ("case,first,second,part\n1,a.nii,b.nii,train\n2,a.nii,b.nii,", InputError, "1 of 2 pairs have no part"),
        ("case,first,second\n1,a.nii,b.nii", InputError, "1 pairs of 1 cases leave nothing"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, error: type[Exception], problem: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(error, match=problem):
        read_training_pairs(tmp_path / "pairs.csv", 41)


def test_two_folders_of_pictures_are_split_by_what_their_names_begin_with(pictures: Path) -> None:
    pairs = read_training_pairs(pictures, 41)
    train, held_out = cases_of(pairs)
    assert (len(train), len(held_out)) == (2, 1)
    assert train | held_out == {"anna", "bert", "carl"}
    assert {pair.collection for pair in pairs.train} == {"CT-MRI"}
    assert {source.files[0].parent.name for source in find_sources(pictures)} == {"MRI"}


def test_pictures_whose_names_tell_no_case_are_split_in_order(pictures: Path) -> None:
    for folder in ("CT", "MRI"):
        for number, path in enumerate(sorted((pictures / folder).iterdir())):
            path.rename(path.with_name(f"{number:03d}.png"))
    pairs = read_training_pairs(pictures, 41)
    assert (len(pairs.train), len(pairs.validation)) == (5, 1)
    assert pairs.split["rule"] == "the last fifth of the slices, as their names tell no cases"
    last = read_training_pairs(pictures, 41).validation[0]
    assert torch.equal(last.image, find_sources(pictures)[-1].read(41)[0].image)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no pairs: give a folder with splits\.json"):
        find_sources(tmp_path)
