"""Bad input: one clear line, a failing exit code, and nothing written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_runs import QUICK, everything, refusal
from made_volumes import OBLIQUE, cloud, made

from medfuse.io.volume_files import write_volume


def save(values: np.ndarray, path: Path, affine: np.ndarray | None = OBLIQUE) -> None:
    nib.save(nib.Nifti1Image(values, affine), path)


def with_sform(rows: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = nib.Nifti1Image(cloud(), np.eye(4))
        image.header["qform_code"], image.header["sform_code"] = 0, 1
        for name, row in zip(("srow_x", "srow_y", "srow_z"), rows, strict=True):
            image.header[name] = row
        content = image.header.binaryblock + bytes(4) + cloud().tobytes(order="F")
        path.write_bytes(gzip.compress(content))

    return write


def with_value(value: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        values = cloud()
        values[3, 4, 5] = value
        save(values, path)

    return write


def truncated(path: Path) -> None:
    save(cloud(), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damaged(path: Path) -> None:
    save(cloud(), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def colored(path: Path) -> None:
    save(np.zeros((9, 9, 9), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), path)


def absurdly_large(path: Path) -> None:
    save(cloud(), path, np.diag([900.0, 900.0, 900.0, 1.0]))


def written_in_meters(path: Path) -> None:
    save(cloud(), path, np.diag([0.002, 0.002, 0.002, 1.0]))


BAD = {
    "absent": (lambda _path: None, "does not exist; check the path"),
    "empty": (lambda path: path.touch(), "is empty (0 bytes)"),
    "folder": (lambda path: path.mkdir(), "holds no DICOM image; give the folder of a series"),
    "text": (lambda path: path.write_bytes(gzip.compress(b"no header " * 100)), "is not NIfTI"),
    "truncated": (truncated, "is truncated"),
    "damaged": (damaged, "damaged"),
    "gzip name on a non-gzip": (lambda path: path.write_bytes(bytes(2000)), "is not gzip, as its name says"),
    "four dimensions": (
        lambda path: save(np.stack([cloud()] * 3, axis=-1), path),
        "has 4 dimensions (14 x 12 x 10 x 3)",
    ),
    "RGB": (colored, "holds RGB colors"),
    "single slice": (lambda path: save(cloud()[..., :1], path), "a volume needs at least 4 slices along each axis"),
    "NaN": (with_value(np.nan), "1 of 1680 values are NaN or infinite"),
    "Inf": (with_value(-np.inf), "1 of 1680 values are NaN or infinite"),
    "constant": (lambda path: save(np.full((9, 9, 9), 7.0, dtype=np.float32), path), "is constant (every value is 7)"),
    "singular": (with_sform(np.float64([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])), "the affine is singular"),
    "zero axis": (with_sform(np.float64([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])), "spacing"),
    "NaN in the affine": (with_sform(np.float64([[np.nan, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])), "affine"),
    "absurdly large": (absurdly_large, "mm large, which no scan is"),
    "in meters": (written_in_meters, "mm large, which no scan is"),
    "far away": (
        with_sform(np.float64([[1, 0, 0, 1e9], [0, 1, 0, 0], [0, 0, 1, 0]])),
        "origin lies more than 100 m away",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_a_bad_volume_is_refused(tmp_path: Path, name: str, role: str) -> None:
    write, reason = BAD[name]
    paths = {key: tmp_path / f"{key}_t1.nii.gz" for key in ("fixed", "moving")}
    for key, path in paths.items():
        if key == role:
            write(path)
        else:
            write_volume(made(cloud()), path)
    before = everything(tmp_path)
    line = refusal("fuse", paths["fixed"], paths["moving"], "-o", tmp_path / "new" / "out", *QUICK)
    assert reason in line
    assert paths[role].name in line
    assert everything(tmp_path) == before


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a_t1.nii.gz", tmp_path / "b_ct.nii.gz"
    for seed, path in enumerate(paths):
        write_volume(made(cloud(seed)), path)
    return paths


@pytest.mark.parametrize("name", ["a.dcm", "a.nii.bz2", "a", "a.png"])
def test_an_unknown_format_is_refused(pair: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    other = pair[0].rename(tmp_path / name)
    assert "extension is not one of" in refusal("fuse", other, pair[1], "-o", tmp_path / "out", *QUICK)


@pytest.mark.parametrize("extension", ["mha", "nrrd"])
def test_a_truncated_file_of_another_format_is_refused(pair: tuple[Path, Path], tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"c_ct.{extension}"
    square = np.diag([1.0, 1.2, 2.5, 1.0])
    write_volume(made(cloud(), affine=square), path)
    path.write_bytes(path.read_bytes()[:-500])
    before = everything(tmp_path)
    assert path.name in refusal("fuse", pair[0], path, "-o", tmp_path / "out", *QUICK)
    assert everything(tmp_path) == before


def test_scans_that_do_not_meet_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    far = OBLIQUE.copy()
    far[1, 3] += 400.0
    write_volume(made(cloud(1), affine=far), pair[1])
    before = everything(tmp_path)
    line = refusal("fuse", *pair, "-o", tmp_path / "out", *QUICK)
    assert "share 0.0% of the smaller one's space" in line
    assert everything(tmp_path) == before


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize("kind", ["file", "link", "other folder"])
def test_what_is_there_is_left_alone(
    pair: tuple[Path, Path], tmp_path: Path, kind: str, overwrite: tuple[str, ...]
) -> None:
    output = tmp_path / "out"
    if kind == "file":
        output.write_text("mine")
    elif kind == "link":
        output.symlink_to(tmp_path / "elsewhere")
    else:
        output.mkdir()
        (output / "mine.txt").write_text("mine")
    before = everything(tmp_path)
    line = refusal("fuse", *pair, "-o", output, *QUICK, *overwrite)
    assert "out" in line
    assert "choose another" in line
    assert everything(tmp_path) == before


def test_an_output_that_cannot_be_written_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    before = everything(tmp_path)
    line = refusal("fuse", *pair, "-o", tmp_path / "file" / "out", *QUICK)
    assert line.endswith("file is not a folder; choose another output")
    assert everything(tmp_path) == before


def test_the_same_file_twice_is_no_trouble(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = everything(tmp_path)
    line = refusal("fuse", pair[0], pair[0], "-o", pair[0], *QUICK)
    assert "exists and is not a folder" in line
    assert everything(tmp_path) == before
