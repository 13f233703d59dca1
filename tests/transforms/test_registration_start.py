"""Where files say that a registration sets out from."""

from __future__ import annotations

from pathlib import Path

import made_outputs
import numpy as np
import pytest
from made_registrations import one_set, registration
from made_volumes import OBLIQUE, cloud, made
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from medfuse.errors import InputError, OptionError, OverlapError
from medfuse.geometry import apply_affine, world_transform_to_lps
from medfuse.io.dicom_registration import write_spatial_registration
from medfuse.io.transform_files import write_transform_file
from medfuse.options import RegistrationOptions
from medfuse.transforms import register
from medfuse.transforms.register import register_to_fixed
from medfuse.transforms.registration_start import given_start, share_frame

FIXED_FRAME, MOVING_FRAME = "1.2.3.1", "1.2.3.2"

GIVEN = np.eye(4)
GIVEN[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
GIVEN[:3, 3] = (3.0, -2.0, 1.0)


@pytest.fixture
def fixed() -> MetaTensor:
    return made(cloud(), "MR", frame_of_reference_uid=FIXED_FRAME)


@pytest.fixture
def moving() -> MetaTensor:
    return made(cloud(1), "CT", frame_of_reference_uid=MOVING_FRAME)


def transform_file(folder: Path, matrix: np.ndarray) -> Path:
    write_transform_file(matrix, folder / "given.tfm")
    return folder / "given.tfm"


def landmark_file(folder: Path, fixed_mm: np.ndarray, moving_mm: np.ndarray) -> Path:
    rows = [
        f"p{place}," + ",".join(map(repr, row)) for place, row in enumerate(np.hstack([fixed_mm, moving_mm]).tolist())
    ]
    header = "name,fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z"
    (folder / "points.csv").write_text("\n".join([header, *rows]))
    return folder / "points.csv"


def corners(volume: MetaTensor) -> np.ndarray:
    ends = np.array([[0, 0, 0], [13, 0, 0], [0, 11, 0], [0, 0, 9], [13, 11, 9]], dtype=np.float64)
    return apply_affine(volume.affine.numpy(), ends)


def test_without_files_there_is_no_start(fixed: MetaTensor, moving: MetaTensor) -> None:
    start = given_start(fixed, moving, RegistrationOptions())
    assert start.fixed_to_moving_ras is None
    assert start.notes == ()


@pytest.mark.parametrize("method", ["none", "verify"])
def test_what_is_not_moved_stays_where_the_file_puts_it(
    fixed: MetaTensor, moving: MetaTensor, tmp_path: Path, method: str
) -> None:
    options = RegistrationOptions(method=method, transforms=(transform_file(tmp_path, GIVEN),))
    registered = register_to_fixed(fixed, moving, options)
    np.testing.assert_allclose(registered.registration.fixed_to_moving_ras, GIVEN, atol=1e-12)
    trusted = register_to_fixed(fixed, moving, RegistrationOptions(method="none"))
    assert not np.array_equal(registered.moving.numpy(), trusted.moving.numpy())


def test_a_file_that_puts_the_volumes_apart_is_refused(fixed: MetaTensor, moving: MetaTensor, tmp_path: Path) -> None:
    far = GIVEN.copy()
    far[0, 3] = 500.0
    options = RegistrationOptions(method="none", transforms=(transform_file(tmp_path, far),))
    with pytest.raises(OverlapError):
        register_to_fixed(fixed, moving, options)


def test_files_are_chained_in_their_order(fixed: MetaTensor, moving: MetaTensor, tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", 40, degrees=True).as_matrix()
    write_transform_file(turn, tmp_path / "first.txt")
    options = RegistrationOptions(transforms=(tmp_path / "first.txt", transform_file(tmp_path, GIVEN)))
    np.testing.assert_allclose(given_start(fixed, moving, options).fixed_to_moving_ras, GIVEN @ turn, atol=1e-9)


@pytest.mark.parametrize("share", [False, True])
def test_the_object_of_a_dicom_pair_is_found_by_its_images(tmp_path: Path, share: bool) -> None:
    sources = [made_outputs.classic("MR"), made_outputs.classic("CT", **({} if share else {"frame_of_reference": "b"}))]
    write_spatial_registration(made_outputs.made_run(*sources, GIVEN), tmp_path / "r.dcm")
    volumes = [
        made(cloud(), frame_of_reference_uid=str(source.headers[0].FrameOfReferenceUID), dicom=source)
        for source in sources
    ]
    options = RegistrationOptions(transforms=(tmp_path / "r.dcm",))
    np.testing.assert_allclose(given_start(*volumes, options).fixed_to_moving_ras, GIVEN, atol=1e-9)
    swapped = given_start(*volumes[::-1], options).fixed_to_moving_ras
    np.testing.assert_allclose(swapped, np.linalg.inv(GIVEN), atol=1e-9)


def test_an_object_of_other_volumes_is_refused(fixed: MetaTensor, moving: MetaTensor, tmp_path: Path) -> None:
    matrix = world_transform_to_lps(np.linalg.inv(GIVEN))
    registration(tmp_path / "r.dcm", [one_set([np.eye(4)], FIXED_FRAME), one_set([matrix], "1.2.3.9")], FIXED_FRAME)
    options = RegistrationOptions(transforms=(tmp_path / "r.dcm",))
    with pytest.raises(InputError, match="made for it"):
        given_start(fixed, moving, options)
    unnamed = made(cloud(1), "CT")
    np.testing.assert_allclose(given_start(fixed, unnamed, options).fixed_to_moving_ras, GIVEN, atol=1e-6)


def test_a_stretching_file_is_said_and_refined_from_the_nearest_rigid_one(
    fixed: MetaTensor, moving: MetaTensor, tmp_path: Path
) -> None:
    path = transform_file(tmp_path, GIVEN @ np.diag([1.2, 1.0, 1.0, 1.0]))
    kept = given_start(fixed, moving, RegistrationOptions(method="verify", transforms=(path,)))
    np.testing.assert_allclose(kept.fixed_to_moving_ras, GIVEN @ np.diag([1.2, 1.0, 1.0, 1.0]), atol=1e-9)
    (note,) = kept.notes
    assert note.startswith("the given transform is not rigid: it stretches or shears by up to ")
    refined = given_start(fixed, moving, RegistrationOptions(transforms=(path,)))
    assert refined.notes == (note + "; the nearest rigid one is refined",)
    assert refined.fixed_to_moving_ras is not None
    turn = refined.fixed_to_moving_ras[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    apart = apply_affine(refined.fixed_to_moving_ras, corners(fixed)) - apply_affine(
        GIVEN @ np.diag([1.2, 1.0, 1.0, 1.0]), corners(fixed)
    )
    assert np.linalg.norm(apart, axis=1).max() < 3.0


def test_a_mirroring_file_is_refused(fixed: MetaTensor, moving: MetaTensor, tmp_path: Path) -> None:
    path = transform_file(tmp_path, np.diag([-1.0, 1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="mirrors the patient"):
        given_start(fixed, moving, RegistrationOptions(transforms=(path,)))


def test_landmarks_give_the_start_and_say_how_well_they_agree(
    fixed: MetaTensor, moving: MetaTensor, tmp_path: Path
) -> None:
    there = made(cloud(1), "CT", GIVEN @ OBLIQUE)
    path = landmark_file(tmp_path, corners(fixed), apply_affine(GIVEN, corners(fixed)))
    start = given_start(fixed, there, RegistrationOptions(landmarks=path))
    np.testing.assert_allclose(start.fixed_to_moving_ras, GIVEN, atol=1e-9)
    (note,) = start.notes
    assert note.startswith("5 landmarks agree to 0.00 mm (root mean square), the one on line ")
    assert "much" not in note


def test_doubtful_landmarks_are_said(fixed: MetaTensor, moving: MetaTensor, tmp_path: Path) -> None:
    points = corners(fixed)
    moved = points.copy()
    moved[3] += (40.0, 0.0, 0.0)
    notes = given_start(fixed, moving, RegistrationOptions(landmarks=landmark_file(tmp_path, points, moved))).notes
    assert "the one on line 5" in notes[0]
    assert notes[0].endswith("; this is much, check them")
    assert notes[1] == "1 of the moving landmarks lie outside the moving volume; check that they are RAS mm"
    wrong_sign = landmark_file(tmp_path, points * (-1, -1, 1) + 100, points)
    notes = given_start(fixed, moving, RegistrationOptions(landmarks=wrong_sign)).notes
    assert "5 of the fixed landmarks lie outside" in notes[1]


def test_the_search_is_told_where_to_start(
    fixed: MetaTensor, moving: MetaTensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    real = register.register

    def spy(*args: object, **named: object) -> object:
        told.update(named)
        return real(*args[:4], RegistrationOptions(method="none"))

    monkeypatch.setattr(register, "register", spy)
    register_to_fixed(fixed, moving, RegistrationOptions(transforms=(transform_file(tmp_path, GIVEN),)))
    assert told["same_frame"] is False
    np.testing.assert_allclose(told["start_ras"], GIVEN, atol=1e-12)
    register_to_fixed(fixed, made(cloud(1), frame_of_reference_uid=FIXED_FRAME), RegistrationOptions())
    assert told == {"start_ras": None, "same_frame": True}


@pytest.mark.parametrize(
    ("frames", "shared"), [(("1.2", "1.2"), True), (("1.2", "1.3"), False), (("", ""), False), (("1.2", ""), False)]
)
def test_frames_of_reference_are_compared(frames: tuple[str, str], shared: bool) -> None:
    first, second = (made(cloud(), frame_of_reference_uid=frame) for frame in frames)
    assert share_frame(first, second) is shared
    assert not share_frame(made(cloud()), made(cloud()))


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(OptionError, match="give one of the two"):
        RegistrationOptions(transforms=("a.tfm",), landmarks="b.csv")


def test_options_know_one_file_from_several_and_hide_folders() -> None:
    options = RegistrationOptions(transforms="patients/jane/a.tfm")
    assert options.transforms == ("patients/jane/a.tfm",)
    assert options.without_folders() == RegistrationOptions(transforms=["a.tfm"])
    landmarks = RegistrationOptions(landmarks=Path("patients/jane/b.csv"), method="verify")
    assert landmarks.without_folders() == RegistrationOptions(landmarks="b.csv", method="verify")
