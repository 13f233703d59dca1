"""The comparison as a whole: rows, means, files, and the same figures by every way."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_slices import write_folders
from made_volumes import made

from medfuse.errors import InputError, OptionError, OutputError, UnreadableFileError
from medfuse.evaluation import BenchmarkOptions, benchmark_fusion
from medfuse.evaluation.pairs import read_image_pairs
from medfuse.evaluation.protocol import score
from medfuse.io.volume_files import write_volume
from medfuse.networks.rules import RULES

QUICK = BenchmarkOptions(methods=(), device="cpu")
METHODS = ["max", "average", "laplacian", "copy_first", "copy_second", "clipped_sum"]


def test_every_pair_has_a_row_for_each_method(split: Path, tmp_path: Path) -> None:
    result = benchmark_fusion(split, tmp_path / "out", QUICK)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"benchmark.csv", "benchmark.json", "benchmark.md", "benchmark.png", "run.json"}
    with (tmp_path / "out" / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 * len(METHODS)
    assert list(dict.fromkeys(row["method"] for row in rows)) == METHODS
    average = [row for row in rows if row["method"] == "average" and row["collection"] == "CT-MRI"]
    mean = np.mean([float(row["sound.Qabf_worst"]) for row in average])
    assert result["means"]["CT-MRI"]["average"]["sound.Qabf_worst"]["mean"] == pytest.approx(mean)
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert written["means"]["PET-MRI"]["max"] == result["means"]["PET-MRI"]["max"]
    assert written["cases"] == {"CT-MRI": 3, "PET-MRI": 1}
    assert [note.partition(" ")[0] for note in written["notes"]] == ["PET-MRI"]


def test_scores_are_those_of_the_fused_images(split: Path, tmp_path: Path) -> None:
    result = benchmark_fusion(split, tmp_path / "out", replace(QUICK, suites=("sound",)))
    pairs = [pair.image for pair in read_image_pairs(split) if pair.collection == "CT-MRI"]
    image = torch.stack(pairs)
    expected = score(image[:, :1], image[:, 1:], RULES["laplacian"](image), ("sound",))
    for name, mean in result["means"]["CT-MRI"]["laplacian"].items():
        assert mean["mean"] == pytest.approx(float(expected[name].nanmean()), rel=1e-9)


def test_a_copy_keeps_its_source_and_loses_the_other(split: Path, tmp_path: Path) -> None:
    means = benchmark_fusion(split, tmp_path / "out", QUICK)["means"]["CT-MRI"]["copy_first"]
    assert means["sound.VIF_first"]["mean"] == pytest.approx(1.0)
    assert means["sound.lost_first"]["mean"] == 0.0
    assert means["sound.invented"]["mean"] == 0.0
    assert means["sound.VIF_worst"]["mean"] < 0.5


def test_the_oracle_stands_beside_the_methods_on_its_own_pairs(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medfuse.evaluation.benchmark.per_image_optimum", RULES["average"])
    result = benchmark_fusion(split, tmp_path / "out", replace(QUICK, oracle=1, suites=("sound",)))
    assert "oracle" not in result["means"]["CT-MRI"]
    beside = result["oracle"]["CT-MRI"]
    assert {mean["slices"] for mean in beside["means"]["max"].values()} <= {0, 1}
    assert {mean["slices"] for mean in beside["means"]["oracle"].values()} <= {0, 1}
    assert list(beside["shares"]["average"].values()) == pytest.approx([1.0] * len(beside["shares"]["average"]))
    assert beside["shares"]["max"]["sound.VIF_worst"] != 1.0
    assert "Share of the per-image optimum" in (tmp_path / "out" / "benchmark.md").read_text()


def test_processes_give_the_same_figures(split: Path, tmp_path: Path) -> None:
    few = replace(QUICK, number=2, suites=("published",))
    alone = benchmark_fusion(split, tmp_path / "1", few)["means"]["CT-MRI"]
    spread_out = benchmark_fusion(split, tmp_path / "2", replace(few, jobs=2))["means"]["CT-MRI"]
    assert list(spread_out) == METHODS
    for method, means in alone.items():
        assert {name: mean["mean"] for name, mean in spread_out[method].items()} == pytest.approx(
            {name: mean["mean"] for name, mean in means.items()}, nan_ok=True
        )


def test_part_and_number_choose_the_pairs(split: Path) -> None:
    assert len(read_image_pairs(split)) == 8
    assert len(read_image_pairs(split, part="train")) == 1
    assert [pair.case for pair in read_image_pairs(split, number=4)] == ["1", "3", "9", "9"]
    with pytest.raises(UnreadableFileError, match="lists no 'holdout' pairs"):
        read_image_pairs(split, part="holdout")


def test_two_folders_of_pictures_are_one_case(tmp_path: Path) -> None:
    pairs = read_image_pairs(*write_folders(tmp_path))
    assert [(pair.collection, pair.case, pair.name) for pair in pairs] == [("pet", "pet", str(n)) for n in range(3)]
    assert pairs[0].image.shape == (2, 48, 48)


def write_volumes(folder: Path, number: int) -> tuple[Path, Path]:
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    for index in range(number):
        chance = np.random.default_rng(index)
        for name, modality in (("mr", "MR"), ("pet", "PT")):
            values = chance.gamma(2.0, 10.0, (50, 52, 6)).astype(np.float32)
            values[..., 0] = 0.0
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"{index}.json").write_text(json.dumps({"Modality": modality}))
            write_volume(made(values, modality, affine), folder / name / f"{index}.nii.gz")
    return folder / "mr", folder / "pet"


def test_two_folders_of_volumes_are_cut_into_slices(tmp_path: Path) -> None:
    first, second = write_volumes(tmp_path, 2)
    pairs = read_image_pairs(first, second)
    assert len(pairs) == 10
    assert {pair.case for pair in pairs} == {"0.nii.gz", "1.nii.gz"}
    assert [pair.name for pair in pairs[:2]] == ["slice 1", "slice 2"]
    for pair in pairs:
        assert pair.image.shape == (2, 50, 52)
        assert pair.image.min() >= 0.0
        assert pair.image.max() <= 1.0


def test_pairs_that_cannot_be_used_are_refused(tmp_path: Path, split: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_image_pairs(tmp_path / "none", split)
    with pytest.raises(UnreadableFileError, match=r"splits\.json does not exist"):
        read_image_pairs(tmp_path / "none")
    volumes = write_volumes(tmp_path, 1)
    write_volume(made(np.random.default_rng(0).random((20, 52, 6), dtype=np.float32), "MR"), volumes[0] / "0.nii.gz")
    with pytest.raises(InputError, match="at least 41 a side"):
        read_image_pairs(*volumes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": -1}, "number is -1"),
        ({"oracle": -2}, "oracle is -2"),
        ({"jobs": 0}, "jobs is 0; give a whole number of at least 1"),
        ({"methods": ("magic",)}, "method is 'magic'"),
        ({"suites": ("best",)}, "suite is 'best'"),
    ],
)
def test_odd_options_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        replace(QUICK, **changes)  # type: ignore[arg-type]


def test_an_earlier_result_is_replaced_only_if_asked(split: Path, tmp_path: Path) -> None:
    few = replace(QUICK, number=2, suites=("published",))
    benchmark_fusion(split, tmp_path / "out", few)
    with pytest.raises(OutputError, match="exists"):
        benchmark_fusion(split, tmp_path / "out", few)
    benchmark_fusion(split, tmp_path / "out", replace(few, overwrite=True))
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(record["outputs"]) == {"benchmark.csv", "benchmark.json", "benchmark.md", "benchmark.png"}
    assert set(record["seconds"]) == set(METHODS)
