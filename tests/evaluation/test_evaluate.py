"""Fused images scored: a row each, means over cases, whole volumes beside their slices."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_slices import picture, save
from made_volumes import cloud, made

from medfuse.evaluation import FusedCase, evaluate_cases
from medfuse.evaluation.case_images import read_images
from medfuse.evaluation.evaluate import score_case
from medfuse.evaluation.protocol import score
from medfuse.io.volume_files import write_volume

THICK = np.diag([1.0, 1.0, 4.0, 1.0])


def pictures(folder: Path, name: str, seed: int) -> FusedCase:
    sources = picture(seed, 2), picture(seed + 1, 8)
    paths = [save(one, folder / name / f"{role}.png") for role, one in zip("ab", sources, strict=True)]
    return FusedCase(name, paths[0], paths[1], save(np.maximum(*sources), folder / name / "max.png"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_picture_has_a_row_and_the_means_are_of_them(tmp_path: Path) -> None:
    cases = [pictures(tmp_path, str(number), 2 * number) for number in range(3)]
    result = evaluate_cases(cases, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"metrics.csv", "metrics.json", "metrics.png", "run.json"}
    rows = rows_of(tmp_path / "out" / "metrics.csv")
    assert [(row["case"], row["name"]) for row in rows] == [(str(number), "max") for number in range(3)]
    images = read_images(cases[0])
    expected = score(images.first, images.second, images.fused)
    for name, value in expected.items():
        assert float(rows[0][name] or "nan") == pytest.approx(float(value), nan_ok=True)
    mean = np.mean([float(row["sound.VIF_worst"]) for row in rows])
    assert result["means"]["sound.VIF_worst"]["mean"] == pytest.approx(mean)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["cases"]["1"]["sound.VIF_worst"] == pytest.approx(float(rows[1]["sound.VIF_worst"]))
    assert written["notes"] == []
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["inputs"]["0"]["fused"]["file"] == "max.png"
    assert str(tmp_path) not in json.dumps(record)


def stack(folder: Path, slices: int) -> FusedCase:
    """Write three volumes whose last slice is blank."""
    paths = [folder / f"{name}.nii.gz" for name in ("p_T1w", "p_ct", "p_fused")]
    for seed, path in enumerate(paths):
        values = cloud(seed, (44, 43, slices), 1.0)
        values[..., -1] = 0.0
        write_volume(made(values, "MR", THICK), path)
    return FusedCase("p", *paths)


def test_a_volume_has_rows_for_its_slices_and_one_for_the_whole(tmp_path: Path) -> None:
    case = stack(tmp_path, 8)
    images = read_images(case, (0.0, 1.0))
    slices, whole = score_case(case, images)
    assert [row.name for row in slices] == [f"slice {index}" for index in range(7)]
    assert whole.name == "volume"
    of_volume = score(images.first, images.second, images.fused, ("sound",))
    assert whole.scores["sound.lost_worst"] == pytest.approx(float(of_volume["sound.lost_worst"]), nan_ok=True)
    assert whole.scores["sound.SSIM_worst"] == pytest.approx(float(of_volume["sound.SSIM_worst"]))
    published = np.mean([row.scores["published.SSIM_range255"] for row in slices])
    assert whole.scores["published.SSIM_range255"] == pytest.approx(published)
    evaluate_cases([case], tmp_path / "out", (0.0, 1.0))
    names = [row["name"] for row in rows_of(tmp_path / "out" / "metrics.csv")]
    assert names == [*(f"slice {index}" for index in range(7)), "volume"]


def test_a_thin_volume_is_the_mean_of_its_slices(tmp_path: Path) -> None:
    case = stack(tmp_path, 5)
    slices, whole = score_case(case, read_images(case, (0.0, 1.0)))
    assert len(slices) == 4
    mean = np.mean([row.scores["sound.SSIM_worst"] for row in slices])
    assert whole.scores["sound.SSIM_worst"] == pytest.approx(mean)


def test_a_mask_chooses_what_counts(tmp_path: Path) -> None:
    plain = pictures(tmp_path, "1", 0)
    mask = np.zeros((48, 48), dtype=np.uint8)
    mask[12:36, 12:36] = 255
    masked = FusedCase("1", plain.first, plain.second, plain.fused, save(mask, tmp_path / "mask.png"))
    (_, without), (_, inside) = (score_case(one, read_images(one)) for one in (plain, masked))
    fused = np.maximum(picture(0, 2), picture(1, 8))
    assert inside.scores["sound.SD"] == pytest.approx(fused[mask > 0].std(), rel=1e-5)
    assert inside.scores["sound.SD"] != pytest.approx(without.scores["sound.SD"], rel=1e-3)
    assert inside.scores["published.SD"] == without.scores["published.SD"]
