from __future__ import annotations

import made_dicom
import made_outputs as made
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import apply_affine
from medfuse.io.dicom_registration import matrix_kind, read_spatial_registration, write_spatial_registration

FIXED, MOVING = made.classic("MR"), made.classic("CT", frame_of_reference="other", study="other")
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def written(folder, transform=made.TURN, fixed=FIXED, moving=MOVING, told=None):
    path = folder / "registration.dcm"
    write_spatial_registration(made.made_run(fixed, moving, transform, told), path)
    return path


def refused(path, error, *words):
    with pytest.raises(error) as caught:
        read_spatial_registration(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    for word in words:
        assert word in message


@settings(deadline=None, max_examples=15)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-200, 200)] * 3),
    scale=st.floats(0.5, 2),
)
def test_the_transform_comes_back(tmp_path_factory, angles, shift, scale):
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix()).reshape(3, 3) * scale
    matrix[:3, 3] = shift
    found = read_spatial_registration(written(tmp_path_factory.mktemp("r"), matrix))
    np.testing.assert_allclose(found.fixed_to_moving_ras, matrix, rtol=0, atol=1e-9)
    assert found.kind == ("RIGID" if abs(scale - 1) < 1e-7 else found.kind)


def test_the_matrix_takes_moving_points_into_the_fixed_frame(tmp_path):
    dataset = pydicom.dcmread(written(tmp_path))
    fixed, moving = dataset.RegistrationSequence
    matrix = moving.MatrixRegistrationSequence[0].MatrixSequence[0]
    lps = np.array(matrix.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    point = np.array([12.0, -7.0, 3.0])
    there = apply_affine(made.TURN, point)
    back = apply_affine(FLIP, apply_affine(lps, apply_affine(FLIP, there)))
    np.testing.assert_allclose(back, point, atol=1e-9)
    assert matrix.FrameOfReferenceTransformationMatrixType == "RIGID"
    identity = fixed.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    assert np.array_equal(np.array(identity, dtype=float).reshape(4, 4), np.eye(4))


def test_frames_and_images_of_both_series_are_named(tmp_path):
    path = written(tmp_path)
    dataset = pydicom.dcmread(path)
    fixed, moving = dataset.RegistrationSequence
    assert dataset.FrameOfReferenceUID == fixed.FrameOfReferenceUID == FIXED.headers[0].FrameOfReferenceUID
    assert moving.FrameOfReferenceUID == MOVING.headers[0].FrameOfReferenceUID != fixed.FrameOfReferenceUID
    for item, source in ((fixed, FIXED), (moving, MOVING)):
        named = [reference.ReferencedSOPInstanceUID for reference in item.ReferencedImageSequence]
        assert named == [header.SOPInstanceUID for header in source.headers]
    assert dataset.Modality == "REG"
    assert dataset.StudyInstanceUID == FIXED.study_uid
    found = read_spatial_registration(path)
    assert found.moving_frame_uid == MOVING.headers[0].FrameOfReferenceUID
    assert list(found.moving_instance_uids) == [header.SOPInstanceUID for header in MOVING.headers]


def test_series_of_one_frame_are_told_apart_by_their_images(tmp_path):
    moving = made.classic("CT")
    assert moving.headers[0].FrameOfReferenceUID == FIXED.headers[0].FrameOfReferenceUID
    path = written(tmp_path, moving=moving)
    dataset = pydicom.dcmread(path)
    assert dataset.FrameOfReferenceUID == FIXED.headers[0].FrameOfReferenceUID
    assert all("FrameOfReferenceUID" not in item for item in dataset.RegistrationSequence)
    found = read_spatial_registration(path)
    np.testing.assert_allclose(found.fixed_to_moving_ras, made.TURN, atol=1e-9)
    assert found.moving_instance_uids[0] == moving.headers[0].SOPInstanceUID


@pytest.mark.parametrize(
    ("registration", "transform", "meanings"),
    [
        ("rigid", made.TURN, ["Image Content-based Alignment"]),
        ("none", made.TURN, []),  # a transform from a file does not tell how it was found
        ("none", np.eye(4), ["Frame of Reference Identity"]),
        ("verify", np.eye(4), ["Frame of Reference Identity"]),
    ],
)
def test_how_the_transform_was_found(tmp_path, registration, transform, meanings):
    told = made.DicomDescription("max", "1", registration, "MR", "CT")
    moving = pydicom.dcmread(written(tmp_path, transform, told=told)).RegistrationSequence[1]
    ways = moving.MatrixRegistrationSequence[0].RegistrationTypeCodeSequence
    assert [way.CodeMeaning for way in ways] == meanings


def test_kinds_of_matrices():
    assert matrix_kind(made.TURN) == "RIGID"
    assert matrix_kind(np.diag([2.0, 3.0, 1.0, 1.0])) == "RIGID_SCALE"
    assert matrix_kind(np.eye(4) + np.eye(4, k=1) * 0.1) == "AFFINE"
    assert matrix_kind(np.diag([-1.0, 1.0, 1.0, 1.0])) == "AFFINE"


def test_without_a_moving_series_nothing_can_be_said(tmp_path):
    with pytest.raises(InputError, match="not from DICOM"):
        written(tmp_path, moving=None)


@pytest.mark.parametrize("matrix", [np.diag([1.0, 0.0, 1.0, 1.0]), np.full((4, 4), np.nan), np.eye(4) * 1e9])
def test_matrices_that_are_no_transform_are_not_written(tmp_path, matrix):
    with pytest.raises(InputError):
        written(tmp_path, matrix)


def changed(path, change):
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def set_matrix(numbers):
    def change(dataset):
        step = dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]
        step.FrameOfReferenceTransformationMatrix = numbers

    return change


def test_objects_that_say_something_else_are_refused(tmp_path):
    path = written(tmp_path)
    good = path.read_bytes()
    refusals = [
        (set_matrix([1.0] * 15), "16 numbers"),
        (set_matrix([0.0] * 16), "0 0 0 1"),
        (set_matrix([0.0] * 15 + [1.0]), "cannot be inverted"),
        (set_matrix([1e8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), "absurdly far"),
        (lambda dataset: dataset.RegistrationSequence.pop(), "registers 1 sets"),
        (lambda dataset: dataset.RegistrationSequence.append(made_dicom.item()), "registers 3 sets"),
        (lambda dataset: dataset.__delattr__("RegistrationSequence"), "registers 0 sets"),
    ]
    for change, word in refusals:
        path.write_bytes(good)
        refused(changed(path, change), InputError, word)
    path.write_bytes(good)
    refused(changed(path, lambda dataset: dataset.__setattr__("SOPClassUID", "1.2.3")), UnreadableFileError)


def test_two_series_that_both_move_are_refused(tmp_path):
    def both_move(dataset):
        dataset.FrameOfReferenceUID = "1.2.3"
        set_matrix([1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])(dataset)
        first, second = (item.MatrixRegistrationSequence for item in dataset.RegistrationSequence)
        first[0].MatrixSequence = second[0].MatrixSequence

    refused(changed(written(tmp_path), both_move), InputError, "stays in place")


def told_of(path):
    """Return the matrix, or the one line of a refusal."""
    try:
        return read_spatial_registration(path).fixed_to_moving_ras
    except InputError as error:
        return str(error)


def test_truncated_files_give_one_clear_line_or_the_right_matrix(tmp_path):
    path = written(tmp_path)
    content = path.read_bytes()
    answers = []
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        answers.append(told_of(path))
    lines = [answer for answer in answers if isinstance(answer, str)]
    assert len(lines) > 0.8 * len(answers)
    assert not any("\n" in line for line in lines)
    for answer in answers:
        if not isinstance(answer, str):
            np.testing.assert_allclose(answer, made.TURN, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_give_one_clear_line_or_some_matrix(tmp_path_factory, places):
    path = written(tmp_path_factory.mktemp("fuzz"))
    content = bytearray(path.read_bytes())
    for place, value in places:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    answer = told_of(path)
    assert "\n" not in answer if isinstance(answer, str) else np.isfinite(answer).all()


def test_missing_large_and_foreign_files(tmp_path):
    refused(tmp_path / "none.dcm", UnreadableFileError, "does not exist")
    (tmp_path / "text.dcm").write_bytes(b"hello " * 100)
    refused(tmp_path / "text.dcm", UnreadableFileError)
    with (tmp_path / "large.dcm").open("wb") as file:
        file.truncate(2**25)
    refused(tmp_path / "large.dcm", UnreadableFileError, "large")
