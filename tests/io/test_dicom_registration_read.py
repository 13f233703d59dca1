"""Registration objects of any program: which volume is fixed, which way the matrix goes, what is refused."""

from __future__ import annotations

import made_outputs as made
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_registrations import DEFORMABLE, FLIP, one_set, registration

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import apply_affine
from medfuse.io.dicom_registration import write_spatial_registration
from medfuse.io.dicom_registration_read import read_registration
from medfuse.io.dicom_registration_sides import Place, fixed_to_moving_ras, place_of_source

CT, MR, PET, ATLAS = "1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4"
SAME = np.eye(4)


def turn(*angles, shift=(0, 0, 0)):
    """Return a rigid (4, 4) LPS matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = shift
    return matrix


A, B = turn(0.3, -0.2, 0.1, shift=(10, 20, -30)), turn(-0.5, 0.1, 0.4, shift=(-7, 3, 50))


def between(path, fixed=None, moving=None):
    """Return the transform as one of LPS points, as the object has it."""
    found = fixed_to_moving_ras(read_registration(path), fixed or Place(), moving or Place())
    return FLIP @ found @ FLIP


def refused(path, error, *words, fixed=None, moving=None):
    with pytest.raises(error) as caught:
        between(path, fixed, moving)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    for word in words:
        assert word in message


def test_points_of_a_set_go_into_the_frame_of_the_object(tmp_path):
    """The matrix of the moving set takes its points to the fixed volume; resampling needs the way back."""
    path = registration(tmp_path / "r.dcm", [one_set([SAME], CT), one_set([A], MR)], CT)
    moving_point = np.array([12.0, -7.0, 3.0])
    fixed_point = apply_affine(A, moving_point)
    found = fixed_to_moving_ras(read_registration(path), Place(CT), Place(MR))
    np.testing.assert_allclose(apply_affine(found, fixed_point * (-1, -1, 1)), moving_point * (-1, -1, 1), atol=1e-6)


def test_the_volumes_decide_which_of_the_two_is_fixed(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([SAME], CT), one_set([A], MR)], CT)
    np.testing.assert_allclose(between(path, Place(CT), Place(MR)), np.linalg.inv(A), atol=1e-6)
    np.testing.assert_allclose(between(path, Place(MR), Place(CT)), A, atol=1e-6)


@pytest.mark.parametrize(("fixed", "moving"), [(CT, MR), (CT, ""), ("", MR), ("", "")])
def test_a_volume_without_a_frame_is_the_one_that_is_left(tmp_path, fixed, moving):
    path = registration(tmp_path / "r.dcm", [one_set([A], MR), one_set([SAME], CT)], CT)
    np.testing.assert_allclose(between(path, Place(fixed), Place(moving)), np.linalg.inv(A), atol=1e-6)


def test_the_fixed_set_need_not_be_named(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([A], MR)], CT)
    for fixed, moving in ((CT, MR), ("", "")):
        np.testing.assert_allclose(between(path, Place(fixed), Place(moving)), np.linalg.inv(A), atol=1e-6)


def test_of_many_sets_the_two_volumes_choose(tmp_path):
    sets = [one_set([SAME], CT), one_set([A], MR), one_set([B], PET)]
    path = registration(tmp_path / "r.dcm", sets, CT)
    np.testing.assert_allclose(between(path, Place(CT), Place(PET)), np.linalg.inv(B), atol=1e-6)
    np.testing.assert_allclose(between(path, Place(MR), Place(PET)), np.linalg.inv(B) @ A, atol=1e-6)
    refused(path, InputError, "2 sets", fixed=Place(CT))


def test_two_volumes_in_a_third_frame(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([A], MR), one_set([B], PET)], ATLAS)
    np.testing.assert_allclose(between(path, Place(MR), Place(PET)), np.linalg.inv(B) @ A, atol=1e-6)


def test_the_first_of_several_matrices_is_applied_first(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([A, B], MR)], CT)
    np.testing.assert_allclose(between(path, Place(MR), Place(CT)), B @ A, atol=1e-6)
    assert read_registration(path).order_matters
    shifts = [turn(0, 0, 0, shift=(1, 2, 3)), turn(0, 0, 0, shift=(4, 5, 6))]
    either_way = registration(tmp_path / "s.dcm", [one_set(shifts, MR)], CT)
    np.testing.assert_allclose(between(either_way)[:3, 3], (-5, -7, -9), atol=1e-6)
    assert not read_registration(either_way).order_matters


def test_images_are_better_evidence_than_frames(tmp_path):
    """Two series of one frame of reference, of which one was moved."""
    sets = [one_set([SAME], CT, ["1.9.1", "1.9.2"]), one_set([A], CT, ["1.9.3"])]
    path = registration(tmp_path / "r.dcm", sets, CT)
    first, second = Place(CT, frozenset(["1.9.2"])), Place(CT, frozenset(["1.9.3"]))
    np.testing.assert_allclose(between(path, first, second), np.linalg.inv(A), atol=1e-6)
    refused(path, InputError, "2 ways", fixed=Place(CT), moving=second)


@pytest.mark.parametrize("kind", ["RIGID", "RIGID_SCALE", "AFFINE"])
def test_kinds_of_matrices(tmp_path, kind):
    matrix = {
        "RIGID": A,
        "RIGID_SCALE": A @ np.diag([1.1, 0.9, 1, 1]),
        "AFFINE": A @ (np.eye(4) + np.eye(4, k=1) * 0.1),
    }
    matrix["AFFINE"][3] = (0, 0, 0, 1)
    path = registration(tmp_path / "r.dcm", [one_set([matrix[kind]], MR, kind=kind)], CT)
    np.testing.assert_allclose(between(path, Place(MR), Place(CT)), matrix[kind], atol=1e-6)
    for other in set(matrix) - {"RIGID"}:
        wrong = registration(tmp_path / "w.dcm", [one_set([matrix[other]], MR, kind="RIGID")], CT)
        refused(wrong, InputError, "RIGID")


@pytest.mark.parametrize("share_frame", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_what_medfuse_writes_comes_back(tmp_path, share_frame, known):
    fixed = made.classic("MR")
    moving = made.classic("CT", **({} if share_frame else {"frame_of_reference": "other"}))
    write_spatial_registration(made.made_run(fixed, moving, made.TURN), tmp_path / "r.dcm")
    places = [
        place_of_source(source.headers[0].FrameOfReferenceUID, source) if known else Place()
        for source in (fixed, moving)
    ]
    found = read_registration(tmp_path / "r.dcm")
    np.testing.assert_allclose(fixed_to_moving_ras(found, *places), made.TURN, atol=1e-9)
    if known:
        back = np.linalg.inv(fixed_to_moving_ras(found, *places[::-1]))
        np.testing.assert_allclose(back, made.TURN, atol=1e-9)


def test_objects_of_other_volumes_are_refused(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([SAME], CT), one_set([A], MR)], CT)
    refused(path, InputError, "fixed volume", "made for it", fixed=Place(PET), moving=Place(MR))
    refused(path, InputError, "moving volume", "made for it", fixed=Place(CT), moving=Place(PET))
    refused(path, InputError, "does not tell", fixed=Place(CT), moving=Place(CT))
    nobody_stays = registration(tmp_path / "n.dcm", [one_set([A], MR), one_set([B], PET)])
    refused(nobody_stays, InputError, "stays in place")


def test_what_is_no_linear_registration_is_refused(tmp_path):
    nothing = registration(tmp_path / "n.dcm", [], CT)
    refused(nothing, InputError, "registers nothing")
    refused(registration(tmp_path / "e.dcm", [one_set([], MR)], CT), InputError, "with matrices")
    deformable = registration(tmp_path / "d.dcm", [one_set([A], MR)], CT, SOPClassUID=DEFORMABLE)
    refused(deformable, InputError, "deformable")
    image = registration(tmp_path / "i.dcm", [one_set([A], MR)], CT, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    refused(image, UnreadableFileError, "no Spatial Registration object")
    (tmp_path / "t.dcm").write_bytes(b"hello " * 100)
    refused(tmp_path / "t.dcm", UnreadableFileError)
    refused(tmp_path / "none.dcm", UnreadableFileError, "does not exist")
    with (tmp_path / "large.dcm").open("wb") as file:
        file.truncate(2**25)
    refused(tmp_path / "large.dcm", UnreadableFileError, "large")


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), "cannot be inverted"),
        (np.eye(4) + np.eye(4, k=3) * 1e9, "absurdly far"),
        (np.eye(4) + np.eye(4, k=-3), "0 0 0 1"),
        (np.eye(3), "16 finite numbers"),
        (np.full((4, 4), np.nan), "16 finite numbers"),
    ],
    ids=["singular", "far", "projective", "short", "nan"],
)
def test_matrices_that_are_no_transform_are_refused(tmp_path, matrix, word):
    refused(registration(tmp_path / "r.dcm", [one_set([SAME, matrix], MR)], CT), InputError, word)


def told_of(path):
    """Return the matrix, or the one line of a refusal."""
    try:
        return between(path, Place(CT), Place(MR))
    except InputError as error:
        return str(error)


@settings(deadline=None, max_examples=60)
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
@example(places=[(0.134765625, 0)])
def test_changed_bytes_give_one_clear_line_or_some_matrix(tmp_path_factory, places):
    path = registration(tmp_path_factory.mktemp("fuzz") / "r.dcm", [one_set([SAME], CT), one_set([A, B], MR)], CT)
    content = bytearray(path.read_bytes())
    for place, value in places:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    answer = told_of(path)
    assert "\n" not in answer if isinstance(answer, str) else np.isfinite(answer).all()


def test_a_truncated_object_gives_the_right_matrix_or_none(tmp_path):
    path = registration(tmp_path / "r.dcm", [one_set([SAME], CT), one_set([A], MR)], CT)
    content = path.read_bytes()
    for length in range(0, len(content), 29):
        path.write_bytes(content[:length])
        answer = told_of(path)
        if not isinstance(answer, str):
            np.testing.assert_allclose(answer, np.linalg.inv(A), atol=1e-6)
