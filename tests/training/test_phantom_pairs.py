"""Pairs of phantom slices: a folder that training reads, of made-up heads alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medfuse.errors import OptionError, OutputError
from medfuse.training import PhantomPairsOptions, write_phantom_pairs
from medfuse.training.pair_check import check_pairs
from medfuse.training.paired_data import read_training_pairs

FEW = PhantomPairsOptions(heads=2, slices=2, held_out=0.5, side=64, step_mm=3.0, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "pairs"
    write_phantom_pairs(folder, FEW)
    return folder


def test_training_reads_them(folder: Path) -> None:
    pairs = read_training_pairs(folder, 64)
    assert {pair.collection for pair in pairs.train} == {"CT-MRI", "PET-MRI", "SPECT-MRI"}
    assert {pair.case for pair in pairs.train} == {"head0000"}
    assert {pair.case for pair in pairs.validation} == {"head0001"}
    assert all(pair.image.shape == (2, 64, 64) for pair in pairs.train)
    assert all(pair.image.amax(dim=(1, 2)).min() > 0.5 for pair in pairs.train)


def test_they_are_fit_to_train_on(folder: Path) -> None:
    assert not any(finding.unusable for finding in check_pairs(folder))


def test_the_list_says_how_they_were_made(folder: Path) -> None:
    assert json.loads((folder / "splits.json").read_text())["phantom"]["seed"] == FEW.seed


def test_equal_options_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    write_phantom_pairs(tmp_path / "again", FEW)
    written = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(written) > 10
    for name in written:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_folder_of_pairs_is_replaced_only_if_asked(folder: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        write_phantom_pairs(folder, FEW)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"heads": 1}, "heads is 1; give a whole number of at least 2"),
        ({"slices": 0}, "slices is 0"),
        ({"held_out": 1.0}, "held_out is 1; give a share above 0 and below 1"),
    ],
)
def test_impossible_options_are_refused(values: dict[str, float], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        PhantomPairsOptions(**values)
