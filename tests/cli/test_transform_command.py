"""``medfuse transform``: convert, chain, invert."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import everything, refusal, run
from made_registrations import FLIP, one_set, registration

from medfuse.io.transform_files import read_transform, write_transform_file

A, B = np.eye(4), np.eye(4)
A[:3, :3] = [[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
A[:3, 3] = (1 / 3, -20.0, 7.0)
B[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_transform_file(A, tmp_path / "a.tfm")
    write_transform_file(B, tmp_path / "b.txt")
    to_fixed = FLIP @ np.linalg.inv(A) @ FLIP
    registration(tmp_path / "a.dcm", [one_set([np.eye(4)], "1.2"), one_set([to_fixed], "1.3")], "1.2")
    return tmp_path


def test_it_converts(files: Path) -> None:
    result = run("transform", files / "a.tfm", "-o", files / "out.txt")
    assert (result.exit_code, result.stdout) == (0, f"Wrote {files / 'out.txt'}.\n")
    np.testing.assert_array_equal(read_transform(files / "out.txt"), A)
    assert run("transform", files / "a.dcm", "-o", files / "out.tfm").exit_code == 0
    np.testing.assert_allclose(read_transform(files / "out.tfm"), A, atol=1e-6)


def test_it_chains_in_the_order_given_and_inverts(files: Path) -> None:
    assert run("transform", files / "a.tfm", files / "b.txt", "-o", files / "c.tfm").exit_code == 0
    np.testing.assert_allclose(read_transform(files / "c.tfm"), B @ A, atol=1e-12)
    assert run("transform", files / "c.tfm", "--invert", "-o", files / "d.txt").exit_code == 0
    np.testing.assert_allclose(read_transform(files / "d.txt"), np.linalg.inv(B @ A), atol=1e-12)


def test_a_note_is_said(files: Path) -> None:
    registration(files / "c.dcm", [one_set([A, B], "1.3")], "1.2")
    result = run("transform", files / "c.dcm", "-o", files / "c.txt")
    assert result.exit_code == 0
    assert result.stdout.startswith("note: c.dcm has several matrices; the first item's was applied first")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("none.tfm", "-o", "out.txt"), "none.tfm does not exist"),
        (("a.tfm", "-o", "out.mat"), "out.mat: a transform is written as .tfm or .txt"),
        (("a.tfm", "-o", "b.txt"), "b.txt exists"),
        (("a.dcm", "a.dcm", "bad.txt", "-o", "out.txt"), "bad.txt is not a text file of 4 rows of 4 numbers"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(files: Path, arguments: tuple[str, ...], reason: str) -> None:
    (files / "bad.txt").write_text("hello")
    before = everything(files)
    assert reason in refusal("transform", *[word if word == "-o" else files / word for word in arguments])
    assert everything(files) == before
    np.testing.assert_array_equal(read_transform(files / "b.txt"), B)


def test_an_existing_file_is_replaced_on_request(files: Path) -> None:
    assert run("transform", files / "a.tfm", "-o", files / "b.txt", "--overwrite").exit_code == 0
    np.testing.assert_array_equal(read_transform(files / "b.txt"), A)
