"""``medfuse fuse-slices``: names kept, values as they are, color under the fused brightness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import everything, refusal, run
from made_slices import picture, save, write_folders
from PIL import Image

from medfuse.io.png_slices import LUMINANCE, read_slice

MAX = ("--method", "max", "--device", "cpu")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return write_folders(tmp_path)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_slices_of_equal_names_are_fused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    save(picture(0, 2), folders[0] / "alone.png")
    result = run("fuse-slices", *folders, "-o", tmp_path / "out", *MAX)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Fused 3 pairs by max in ")
    assert result.stderr == "note: alone.png: only one of the two folders has this name; skipped\n"
    pictures = {f"{kind}/{number}.png" for kind in ("gray", "color") for number in range(3)}
    assert everything(tmp_path / "out") == {"gray", "color", "run.json", *pictures}
    first, second = (read_slice(folder / "1.png").gray.double().numpy() for folder in folders)
    np.testing.assert_allclose(pixels(tmp_path / "out" / "gray" / "1.png"), 255 * np.maximum(first, second), atol=0.51)


def test_color_has_the_fused_brightness_and_the_hue_of_the_source(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run("fuse-slices", *folders, "-o", tmp_path / "out", *MAX)
    gray, color = (pixels(tmp_path / "out" / kind / "0.png").astype(float) for kind in ("gray", "color"))
    np.testing.assert_allclose(color @ np.array(LUMINANCE), gray, atol=1.01)
    tinted = pixels(folders[1] / "0.png").astype(int)
    strong = (tinted[..., 0] > 60) & (gray > 30) & (gray < 150)
    assert strong.any()
    assert (color[strong, 0] > color[strong, 1]).all()
    assert (color[strong, 1] >= color[strong, 2]).all()


def test_the_record_says_what_was_fused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run("fuse-slices", *folders, "-o", tmp_path / "out", *MAX)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["method"] == {"name": "max"}
    assert set(record["inputs"]) == {"0.png", "1.png", "2.png"}
    assert "gray/0.png" in record["outputs"]
    assert str(tmp_path) not in json.dumps(record)


def test_nothing_is_stretched_unless_asked(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for folder in folders:
        for path in folder.iterdir():
            save(pixels(path) // 3, path)
    run("fuse-slices", *folders, "-o", tmp_path / "plain", *MAX)
    run("fuse-slices", *folders, "-o", tmp_path / "published", *MAX, "--published-protocol")
    plain, published = (pixels(tmp_path / name / "gray" / "0.png") for name in ("plain", "published"))
    assert plain.max() <= 85
    assert (published.min(), published.max()) == (0, 255)
    np.testing.assert_allclose(published, plain * (255.0 / plain.max()), atol=3.1)


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    deep = picture(0, 2).astype(np.uint16) * 200 + 37
    first, second = save(deep, tmp_path / "a" / "x.png").parent, save(picture(1, 8), tmp_path / "b" / "x.png").parent
    run("fuse-slices", first, second, "-o", tmp_path / "out", *MAX)
    expected = np.maximum(deep, picture(1, 8).astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "gray" / "x.png"), expected)
    assert everything(tmp_path / "out") == {"gray", "gray/x.png", "run.json"}
    run("fuse-slices", first, second, "-o", tmp_path / "published", *MAX, "--published-protocol")
    assert pixels(tmp_path / "published" / "gray" / "x.png").dtype == np.uint8


def test_folders_that_cannot_be_fused_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    before = everything(tmp_path)
    assert "is not a folder" in refusal("fuse-slices", first, tmp_path / "none", "-o", tmp_path / "out", *MAX)
    assert "choose one of" in refusal("fuse-slices", *folders, "-o", tmp_path / "out", "--method", "magic")
    assert "no .png of equal names" in refusal("fuse-slices", first, tmp_path, "-o", tmp_path / "out", *MAX)
    assert everything(tmp_path) == before
    save(picture(0, 2)[:40], second / "2.png")
    line = refusal("fuse-slices", *folders, "-o", tmp_path / "out", *MAX)
    assert "2.png has 48 x 48 pixels" in line
    assert "48 x 40" in line
    (second / "2.png").write_bytes(b"no picture")
    assert "is not a readable PNG" in refusal("fuse-slices", *folders, "-o", tmp_path / "out", *MAX)
    assert everything(tmp_path) == before


def test_the_input_is_never_replaced(folders: tuple[Path, Path]) -> None:
    before = everything(folders[0])
    assert "choose another" in refusal("fuse-slices", *folders, "-o", folders[0], *MAX, "--overwrite")
    assert everything(folders[0]) == before


def test_real_pairs_in_color(shared: Path, tmp_path: Path) -> None:
    slices = shared / "data" / "slices" / "SPECT-MRI"
    for name in ("MRI", "SPECT"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "3014.png").symlink_to(slices / name / "3014.png")
    result = run("fuse-slices", tmp_path / "MRI", tmp_path / "SPECT", "-o", tmp_path / "out", *MAX)
    assert result.exit_code == 0, result.stderr
    gray, color = (pixels(tmp_path / "out" / kind / "3014.png").astype(float) for kind in ("gray", "color"))
    np.testing.assert_allclose(color @ np.array(LUMINANCE), gray, atol=1.01)
    assert np.ptp(color, axis=-1).max() > 100
