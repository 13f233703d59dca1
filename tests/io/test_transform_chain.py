"""Transforms from files of all kinds, one after the other."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from made_registrations import one_set, registration

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import world_transform_to_lps
from medfuse.io.dicom_registration_sides import Place
from medfuse.io.transform_chain import read_transforms
from medfuse.io.transform_files import write_transform_file

FIXED, MID, MOVING = "1.2.3.1", "1.2.3.2", "1.2.3.3"


def made(axis, shift):
    """Return a quarter turn about an axis and a shift."""
    matrix = np.eye(4)
    first, second = [other for other in range(3) if other != axis]
    matrix[[first, second], [first, second]] = 0
    matrix[first, second], matrix[second, first] = -1, 1
    matrix[:3, 3] = shift
    return matrix


A, B = made(0, (1, 2, 3)), made(2, (-40, 0, 7))


def dicom(path, matrix_ras, fixed, moving):
    """Write an object that registers ``moving`` into ``fixed``."""
    to_fixed = world_transform_to_lps(np.linalg.inv(matrix_ras))
    return registration(path, [one_set([np.eye(4)], fixed), one_set([to_fixed], moving)], fixed)


@pytest.fixture
def files(tmp_path):
    for name, matrix in (("a", A), ("b", B)):
        for ending in (".tfm", ".txt"):
            write_transform_file(matrix, tmp_path / (name + ending))
    dicom(tmp_path / "a.dcm", A, FIXED, MID)
    dicom(tmp_path / "b.dcm", B, MID, MOVING)
    return tmp_path


@pytest.mark.parametrize("first", [".tfm", ".txt", ".dcm"])
@pytest.mark.parametrize("second", [".tfm", ".txt", ".dcm"])
def test_the_first_transform_is_applied_first(files, first, second):
    given = read_transforms([files / f"a{first}", files / f"b{second}"], Place(FIXED), Place(MOVING))
    np.testing.assert_allclose(given.fixed_to_moving_ras, B @ A, atol=1e-6)
    assert np.abs(A @ B - B @ A).max() > 1
    assert given.notes == ()


def test_an_object_is_used_the_way_that_leads_on(files):
    """The object at the start registers the fixed volume into the middle one, the one at the end the other way."""
    dicom(files / "a.dcm", np.linalg.inv(A), MID, FIXED)
    dicom(files / "b.dcm", np.linalg.inv(B), MOVING, MID)
    given = read_transforms([files / "a.dcm", files / "b.dcm"], Place(FIXED), Place(MOVING))
    np.testing.assert_allclose(given.fixed_to_moving_ras, B @ A, atol=1e-6)


def test_dicom_is_known_by_its_content(files):
    shutil.copy(files / "a.dcm", files / "REG0001")
    given = read_transforms([files / "REG0001"], Place(FIXED), Place(MID))
    np.testing.assert_allclose(given.fixed_to_moving_ras, A, atol=1e-6)


def test_no_files_are_no_motion():
    np.testing.assert_array_equal(read_transforms([]).fixed_to_moving_ras, np.eye(4))


def test_several_matrices_in_an_order_that_matters_are_noted(files):
    steps = [world_transform_to_lps(matrix) for matrix in (B, A)]
    registration(files / "c.dcm", [one_set(steps, MOVING)], FIXED)
    (note,) = read_transforms([files / "c.dcm"]).notes
    assert note.startswith("c.dcm has several matrices")


def test_one_bad_file_is_named(files):
    (files / "bad.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"bad\.txt"):
        read_transforms([files / "a.tfm", files / "bad.txt"])
    with pytest.raises(UnreadableFileError, match=r"none\.tfm does not exist"):
        read_transforms([files / "a.tfm", files / "none.tfm"])
    (files / "t.mat").write_text("x")
    with pytest.raises(UnreadableFileError, match=r"\.tfm or \.txt, or is a DICOM registration object"):
        read_transforms([files / "t.mat"])
    with pytest.raises(InputError, match="made for it"):
        read_transforms([files / "a.dcm", files / "b.dcm"], Place(MOVING), Place(FIXED))


def test_a_chain_that_goes_too_far_is_refused(files):
    write_transform_file(np.diag([1e5, 1e5, 1e5, 1.0]), files / "large.txt")
    with pytest.raises(InputError, match="together"):
        read_transforms([files / "large.txt", files / "large.txt"])
