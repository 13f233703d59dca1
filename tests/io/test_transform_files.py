from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.errors import InputError, OutputError, UnreadableFileError
from medfuse.geometry import world_transform_to_lps
from medfuse.io.transform_files import (
    check_transform,
    invert_transform,
    read_transform,
    write_transform,
    write_transform_file,
)

TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
MATRIX = np.eye(4)
MATRIX[:3, :3] = TURN
MATRIX[:3, 3] = (1 / 3, -20.000000000000004, 1e-7)


def refused(path, error, *words):
    with pytest.raises(error) as caught:
        read_transform(path)
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
def test_round_trip_is_exact(tmp_path_factory, angles, shift, scale):
    rotation = sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix()
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(rotation).reshape(3, 3) * scale
    matrix[:3, 3] = shift
    for path in write_transform(matrix, tmp_path_factory.mktemp("t") / "fixed.to.moving"):
        np.testing.assert_array_equal(read_transform(path), matrix)


def test_files_and_their_names(tmp_path):
    paths = write_transform(MATRIX, tmp_path / "new" / "transform.v1")
    assert [path.name for path in paths] == ["transform.v1.tfm", "transform.v1.txt"]
    text = paths[1].read_text()
    assert text.startswith("# 4 x 4 matrix, RAS mm")
    assert text.count("\n") == 5
    before = [path.read_bytes() for path in paths]
    write_transform(MATRIX, tmp_path / "new" / "transform.v1")
    assert [path.read_bytes() for path in paths] == before


def test_itk_maps_points_of_the_fixed_volume_to_the_moving_one(tmp_path):
    tfm, _ = write_transform(MATRIX, tmp_path / "t")
    transform = sitk.ReadTransform(str(tfm))
    flip = np.array([-1, -1, 1])
    point = np.array([10.0, -20.0, 30.0])
    moved = np.array(transform.TransformPoint((point * flip).tolist())) * flip
    np.testing.assert_allclose(moved, (MATRIX @ (*point, 1))[:3], atol=1e-9)


@pytest.mark.parametrize(
    "transform",
    [
        sitk.Euler3DTransform((10, 20, 30), 0.1, 0.2, 0.3, (1, 2, 3)),
        sitk.VersorRigid3DTransform((0, 0, 1), 0.4, (5, 6, 7), (9, 8, 7)),
        sitk.TranslationTransform(3, (1, 2, 3)),
        sitk.AffineTransform([1, 0.1, 0, 0, 1, 0, 0, 0, 2], [1, 2, 3], [4, 5, 6]),
    ],
    ids=lambda transform: transform.GetName(),
)
def test_linear_transforms_of_other_programs(tmp_path, transform):
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    lps = world_transform_to_lps(read_transform(tmp_path / "t.tfm"))
    for point in ((0.0, 0.0, 0.0), (10.0, -20.0, 30.0)):
        np.testing.assert_allclose((lps @ (*point, 1))[:3], transform.TransformPoint(point), atol=1e-9)


def test_other_transforms_are_refused(tmp_path):
    bspline = sitk.BSplineTransformInitializer(sitk.Image(8, 8, 8, sitk.sitkFloat32), [2, 2, 2])
    sitk.WriteTransform(bspline, str(tmp_path / "bspline.tfm"))
    refused(tmp_path / "bspline.tfm", InputError, "linear")
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    refused(tmp_path / "flat.tfm", InputError, "three dimensions")


BAD_MATRICES = {
    "shape": np.eye(3),
    "nan": np.full((4, 4), np.nan),
    "singular": np.diag([1.0, 0, 1, 1]),
    "projective": np.eye(4) + np.eye(4, k=-3),
    "far": np.eye(4) + np.eye(4, k=3) * 1e9,
}


@pytest.mark.parametrize("matrix", BAD_MATRICES.values(), ids=BAD_MATRICES.keys())
def test_matrices_that_are_no_transform(tmp_path, matrix):
    with pytest.raises(InputError):
        write_transform(matrix, tmp_path / "t")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "t.txt").write_text("\n".join(" ".join(map(str, row)) for row in matrix))
    refused(tmp_path / "t.txt", InputError)


@pytest.mark.parametrize("content", [b"hello", b"1 2\n3\n", b"\xff\xfe\x00", b"\0" * 100])
def test_garbage(tmp_path, content, capfd):
    for name in ("t.txt", "t.tfm"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, InputError)
    mark = b"#Insight Transform File V1.0\n"
    (tmp_path / "t.tfm").write_bytes(mark + content)
    refused(tmp_path / "t.tfm", UnreadableFileError, "damaged")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["AffineTransform_double_3_3", "Foo_double_3_3"])
@pytest.mark.parametrize("count", [0, 3, 11, 13, 15])
def test_tfm_with_the_wrong_number_of_parameters(tmp_path, kind, count, capfd):
    numbers = " ".join("1" if place in (0, 4, 8) else "0" for place in range(count))
    head = f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}\n"
    (tmp_path / "t.tfm").write_text(f"{head}Parameters: {numbers}\nFixedParameters: 0 0 0\n")
    refused(tmp_path / "t.tfm", UnreadableFileError, "damaged")
    assert capfd.readouterr().err == ""


def test_a_truncated_tfm_is_not_taken_for_the_identity(tmp_path):
    tfm, _ = write_transform(MATRIX, tmp_path / "t")
    content = tfm.read_bytes().rstrip()
    for length in range(len(content)):
        tfm.write_bytes(content[:length])
        refused(tfm, UnreadableFileError)


def test_singular_tfm(tmp_path):
    parameters = "Parameters: 1 0 0 0 0 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
    head = "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    (tmp_path / "t.tfm").write_text(head + parameters)
    refused(tmp_path / "t.tfm", InputError)


def test_missing_large_and_unknown_files(tmp_path):
    refused(tmp_path / "t.tfm", UnreadableFileError, "does not exist")
    (tmp_path / "t.txt").write_text("1 " * 2**16)
    refused(tmp_path / "t.txt", UnreadableFileError, "large")
    (tmp_path / "t.mat").write_text("x")
    refused(tmp_path / "t.mat", UnreadableFileError, ".tfm or .txt")


@pytest.mark.parametrize("ending", [".tfm", ".txt"])
def test_one_file_in_the_form_that_its_name_says(tmp_path, ending):
    path = tmp_path / f"one{ending}"
    write_transform_file(MATRIX, path)
    np.testing.assert_array_equal(read_transform(path), MATRIX)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="exists"):
        write_transform_file(np.eye(4), path)
    np.testing.assert_array_equal(read_transform(path), MATRIX)
    write_transform_file(np.eye(4), path, overwrite=True)
    np.testing.assert_array_equal(read_transform(path), np.eye(4))


def test_other_forms_are_not_written(tmp_path):
    with pytest.raises(OutputError, match=r"written as .tfm or .txt"):
        write_transform_file(MATRIX, tmp_path / "t.mat")
    assert list(tmp_path.iterdir()) == []


def test_the_last_row_is_exact_after_checks_and_inversion():
    nearly = MATRIX.copy()
    nearly[3] = (1e-12, -1e-12, 0, 1 + 1e-12)
    for matrix in (check_transform(nearly, "t"), invert_transform(nearly)):
        assert matrix[3].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(invert_transform(MATRIX) @ MATRIX, np.eye(4), atol=1e-12)
    nearly[3, 0] = 1e-6
    with pytest.raises(InputError, match="0 0 0 1"):
        check_transform(nearly, "t")
