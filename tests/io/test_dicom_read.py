"""Volumes out of made-up series: order, geometry, values and units, whatever the files are called."""

from __future__ import annotations

from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
from made_dicom_frames import enhanced, frame_order, reconstructed_spect
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from medfuse.errors import IntensityError, MissingExtraError, UnreadableFileError
from medfuse.geometry import apply_affine, directions
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import choose_series, list_series

RNG = np.random.default_rng(5)
STORED = RNG.integers(0, 900, (7, 6, 5)).astype(np.int16)


def read(place: Path, wanted: str | None = None) -> MetaTensor:
    return read_dicom_series(choose_series(list_series(place, place.parent), wanted, "fixed"))


def of(images: list[Dataset], folder: Path, syntax: str = ExplicitVRLittleEndian, shuffle: int = 1) -> MetaTensor:
    return read(make.save(images, folder / "in", syntax, shuffle))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_values_and_places_are_those_of_the_headers(tmp_path, syntax):
    positions = make.places(5, 2.5, make.CORONAL)
    images = make.series(
        STORED, "MR", positions=positions, orientation=make.CORONAL, pixel_mm=(0.7, 0.9), slope=2.0, intercept=-3.0
    )
    volume = of(images, tmp_path, syntax)
    np.testing.assert_array_equal(volume[0].numpy(), STORED * 2.0 - 3.0)
    affine = volume.affine.numpy()
    for k in range(5):
        for i, j in ((0, 0), (6, 0), (0, 5)):
            lps = positions[k] + 0.7 * i * np.array(make.CORONAL[:3]) + 0.9 * j * np.array(make.CORONAL[3:])
            np.testing.assert_allclose(apply_affine(affine, np.array([i, j, k])), lps * [-1, -1, 1], atol=1e-9)
    assert volume.meta["modality"] == "MR"
    assert volume.meta["units"] == "stored values"
    assert volume.meta["notes"] == []
    assert volume.meta["frame_of_reference_uid"] == images[0].FrameOfReferenceUID


@pytest.mark.parametrize("shuffle", range(3))
def test_the_order_of_files_and_their_numbers_mean_nothing(tmp_path, shuffle):
    def misleading(index: int) -> dict[str, object]:
        return {"InstanceNumber": (index * 3) % 5, "SliceLocation": str(-index), "SliceThickness": "9"}

    volume = of(make.series(STORED, "CT", extra=misleading), tmp_path, shuffle=shuffle)
    np.testing.assert_array_equal(volume[0].numpy(), STORED)
    assert np.linalg.norm(volume.affine.numpy()[:3, 2]) == pytest.approx(2.0)


@pytest.mark.parametrize("orientation", [make.AXIAL, make.CORONAL, make.SAGITTAL, make.turned(make.SAGITTAL, 20)])
@pytest.mark.parametrize("backwards", [False, True])
def test_slices_go_along_the_normal_even_if_stored_against_it(tmp_path, orientation, backwards):
    positions = make.places(5, 2.0, orientation)[:: -1 if backwards else 1]
    volume = of(make.series(STORED, positions=positions, orientation=orientation), tmp_path)
    along = volume.affine.numpy()[:3, 2] * [-1, -1, 1] / 2.0
    np.testing.assert_allclose(along, make.normal(orientation), atol=1e-9)
    np.testing.assert_array_equal(volume[0].numpy(), STORED[:, :, :: -1 if backwards else 1])


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ("FFS", (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
        ("HFP", (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)),
        ("HFDR", (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)),
        ("FFDL", (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)),
    ],
)
def test_feet_first_prone_and_decubitus_follow_the_vectors(tmp_path, position, orientation):
    """A marked voxel lies where its header says, however the patient lay in the scanner."""
    stored = np.zeros((7, 6, 5), dtype=np.int16)
    stored[2, 4, 3] = 100
    positions = make.places(5, 2.0, orientation)
    images = make.series(
        stored, "CT", positions=positions, orientation=orientation, extra={"PatientPosition": position}
    )
    volume = of(images, tmp_path)
    (found,) = np.argwhere(volume[0].numpy() == 100)
    truth = positions[3] + 2 * np.array(orientation[:3]) + 4 * np.array(orientation[3:])
    np.testing.assert_allclose(apply_affine(volume.affine.numpy(), found), truth * [-1, -1, 1], atol=1e-9)


def test_source_names_the_header_of_each_slice(tmp_path):
    images = make.series(STORED, "CT", positions=make.places(5)[::-1])
    source = of(images, tmp_path).meta["dicom"]
    assert source.slice_headers == (0, 1, 2, 3, 4)
    assert source.slice_frames == (0,) * 5
    assert [str(header.SOPInstanceUID) for header in source.headers] == [i.SOPInstanceUID for i in images[::-1]]
    assert all("PixelData" not in header for header in source.headers)
    assert source.headers[0].PatientID == "SECRET-ID-7"


def test_metadata_beside_the_source_is_harmless(tmp_path):
    volume = of(make.series(STORED, "CT", name="Roe Jane SECRET-ID-7 head", number=4), tmp_path)
    assert volume.meta["filename_or_obj"] == "CT series 4"
    rest = str({key: value for key, value in volume.meta.items() if key != "dicom"})
    assert not any(word in rest for word in ("Roe", "Jane", "SECRET", "1970"))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.float32, np.float64])
def test_kinds_of_pixels(tmp_path, dtype):
    low = -100 if np.dtype(dtype).kind in "if" else 0
    stored = RNG.integers(low, 120, (8, 6, 5)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        stored = stored + dtype(0.125)
    np.testing.assert_array_equal(of(make.series(stored), tmp_path)[0].numpy(), stored.astype(np.float32))


def test_each_slice_has_its_own_rescale(tmp_path):
    slopes = [0.5, 0.731, 1.25, 0.0123, 7.0]
    volume = of(make.series(STORED, "MR", slope=slopes, intercept=[0, 1, 2, 3, -4]), tmp_path)
    expected = STORED.astype(np.float64) * slopes + [0, 1, 2, 3, -4]
    np.testing.assert_array_equal(volume[0].numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_compressed_and_deflated(tmp_path, syntax):
    images = make.series(STORED.astype(np.uint16), "MR")
    for image in images:
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        try:
            image.compress(syntax, generate_instance_uid=False)
        except (RuntimeError, NotImplementedError):
            pytest.skip("no encoder for this compression is installed")
    folder = tmp_path / "in"
    folder.mkdir()
    for index, image in enumerate(images):
        image.save_as(folder / str(index), enforce_file_format=True)
    np.testing.assert_array_equal(read(folder)[0].numpy(), STORED)


def test_deflated(tmp_path):
    volume = of(make.series(STORED, "CT"), tmp_path, DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(volume[0].numpy(), STORED)


def test_a_missing_decoder_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("medfuse.io.dicom_pixels.find_spec", lambda _name: None)
    images = make.series(STORED.astype(np.uint16), "MR")
    folder = make.save(images, tmp_path / "in")
    for path in folder.iterdir():  # says that it is HTJ2K, which no decoder here knows
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.99"))
    with pytest.raises(MissingExtraError, match=r"pip install 'medfuse\[dicom\]'"):
        read(folder)


def test_padding_and_what_lies_outside_the_circle_become_air_in_ct(tmp_path):
    stored = STORED.copy()
    stored[:2] = -2000
    stored[2, 0] = -1500
    volume = of(make.series(stored, "CT", extra={"PixelPaddingValue": -2000}), tmp_path)
    expected = np.where(stored < -1024, -1024, stored)
    np.testing.assert_array_equal(volume[0].numpy(), expected)
    notes = " ".join(volume.meta["notes"])
    assert "60 padded voxels are set to -1024" in notes
    assert "5 voxels below -1024 HU" in notes


def test_padding_takes_the_smallest_value_elsewhere_and_is_no_picture_itself(tmp_path):
    stored = STORED + np.int16(50)
    stored[0] = -3000
    stored[1] = -2990
    extra = {"PixelPaddingValue": -3000, "PixelPaddingRangeLimit": -2980}
    volume = of(make.series(stored, "MR", extra=extra), tmp_path)[0].numpy()
    assert (volume[:2] == stored[2:].min()).all()
    np.testing.assert_array_equal(volume[2:], stored[2:])


def test_a_padding_value_of_the_wrong_sign_is_understood(tmp_path):
    stored = STORED.copy()
    stored[0] = -2000
    images = make.series(stored, "MR")
    for image in images:
        image.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    assert of(images, tmp_path)[0].numpy().min() >= 0


def test_all_padding_is_refused(tmp_path):
    with pytest.raises(IntensityError, match="all padding"):
        of(make.series(np.full_like(STORED, 7), "MR", extra={"PixelPaddingValue": 7}), tmp_path)


def test_monochrome1_is_inverted_where_brightness_is_all_and_kept_where_values_are_units(tmp_path):
    white = {"PhotometricInterpretation": "MONOCHROME1"}
    magnetic = of(make.series(STORED, "MR", extra=white), tmp_path / "mr")
    np.testing.assert_array_equal(magnetic[0].numpy(), int(STORED.max()) + int(STORED.min()) - STORED)
    tomography = of(make.series(STORED, "CT", extra=white), tmp_path / "ct")
    np.testing.assert_array_equal(tomography[0].numpy(), STORED)
    assert all("MONOCHROME1" in volume.meta["notes"][0] for volume in (magnetic, tomography))


def test_ct_is_in_hounsfield_units_unless_the_header_denies_it(tmp_path):
    assert of(make.series(STORED, "CT"), tmp_path / "hu").meta["units"] == "HU"
    other = of(make.series(STORED, "CT", extra={"RescaleType": "US"}), tmp_path / "us")
    assert other.meta["units"] == "stored values"
    assert "RescaleType is US" in other.meta["notes"][0]


def test_overlays_in_unused_bits_are_cleared(tmp_path):
    stored = (STORED.astype(np.uint16) & 0x3FF) | (np.uint16(1) << np.uint16(15))
    images = make.series(stored, "MR", extra={"BitsStored": 12, "HighBit": 11})
    for image in images:
        image.add_new(0x60000100, "US", 16)
        image.add_new(0x60000102, "US", 15)
    np.testing.assert_array_equal(of(images, tmp_path)[0].numpy(), STORED & 0x3FF)


def test_a_modality_lookup_table_stands_for_the_rescale(tmp_path):
    stored = RNG.integers(0, 16, (7, 6, 5)).astype(np.uint16)
    table = np.arange(16, dtype=np.uint16) ** 2
    lut = make.item(ModalityLUTType="US")
    lut.add_new("LUTDescriptor", "US", [16, 0, 16])
    lut.add_new("LUTData", "US", table.tolist())
    volume = of(make.series(stored, "MR", extra={"ModalityLUTSequence": [lut]}), tmp_path)
    np.testing.assert_array_equal(volume[0].numpy(), table[stored])


def test_float_pixels_that_are_not_finite_are_refused(tmp_path):
    stored = STORED.astype(np.float32)
    stored[1, 2, 3] = np.nan
    with pytest.raises(IntensityError, match="NaN"):
        of(make.series(stored), tmp_path)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("seed", [0, 3])
def test_enhanced_objects_are_read_like_the_slices_they_are_made_of(tmp_path, modality, seed):
    slopes = [0.5, 0.75, 1.0, 2.0, 3.0]
    orientation = make.turned(make.AXIAL, 10)
    images = make.series(
        STORED, modality, positions=make.places(5, 2.0, orientation), orientation=orientation, slope=slopes
    )
    order = frame_order(5, seed)
    make.save([enhanced(images, order)], tmp_path / "many")
    one, many = of(images, tmp_path), read(tmp_path / "many")
    np.testing.assert_array_equal(one[0].numpy(), many[0].numpy())
    np.testing.assert_array_equal(one.affine.numpy(), many.affine.numpy())
    assert many.meta["units"] == one.meta["units"]
    source = many.meta["dicom"]
    assert len(source.headers) == 1
    assert source.slice_headers == (0,) * 5
    assert [order[number - 1] for number in source.slice_frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("spacing", [3.0, -3.0])
def test_reconstructed_spect(tmp_path, spacing):
    images = make.series(STORED.astype(np.uint16), "NM", positions=make.places(5, 3.0))
    make.save([reconstructed_spect(images, spacing)], tmp_path / "in")
    volume = read(tmp_path / "in")
    np.testing.assert_array_equal(volume[0].numpy(), STORED[:, :, :: 1 if spacing > 0 else -1])
    first = apply_affine(volume.affine.numpy(), np.array([0, 0, 0 if spacing > 0 else 4]))
    np.testing.assert_allclose(first, make.places(1)[0] * [-1, -1, 1], atol=1e-9)
    assert volume.meta["modality"] == "NM"


def test_truncated_pixels_are_refused_by_name(tmp_path):
    folder = make.save(make.series(STORED, "CT"), tmp_path / "in")
    path = folder / "IM00002"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match="IM00002"):
        read(folder)


@pytest.mark.parametrize("degrees", [-18.5, 12.0])
@pytest.mark.parametrize("tagged", [True, False])
def test_gantry_tilt_is_undone_whether_or_not_the_tag_says_so(tmp_path, degrees, tagged):
    """A line straight along the patient is straight on the grid, where the headers place it."""
    orientation = make.turned(make.AXIAL, degrees)
    positions = np.array([-20.0, -30.0, 40.0]) + np.arange(9)[:, None] * np.array(
        [0, 0, 4.0]
    )  # the table moves along z
    stored, truth = np.zeros((16, 60, 9), dtype=np.int16), []
    for k in range(9):
        row = 28.0 + 0.0 * k  # the line crosses all slices at one place of their own, so it runs along z
        stored[5:9, int(row) : int(row) + 2, k] = 1000
        middle = positions[k] + 6.5 * np.array(orientation[:3]) + (row + 0.5) * np.array(orientation[3:])
        truth.append(middle * [-1, -1, 1])
    extra = {"GantryDetectorTilt": str(degrees)} if tagged else {}
    volume = of(make.series(stored, "CT", positions=positions, orientation=orientation, extra=extra), tmp_path)
    axes = directions(volume.affine.numpy())
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    values = np.maximum(volume[0].numpy(), 0.0)
    for k in range(9):
        weights = values[:, :, k]
        middle = [(np.arange(n) * weights.sum(axis=1 - a)).sum() / weights.sum() for a, n in enumerate(weights.shape)]
        np.testing.assert_allclose(apply_affine(volume.affine.numpy(), np.array([*middle, k])), truth[k], atol=1e-4)
        assert weights.sum() == pytest.approx(8000, rel=1e-5)  # nothing is cut off
    assert "gantry tilt" in volume.meta["notes"][0]


@pytest.mark.parametrize("missing", [[4], [4, 5], [3, 20]])
def test_missing_slices_are_filled_in_where_they_were(tmp_path, missing):
    """A ramp along the patient stays straight, which it would not if the slices closed ranks."""
    stored = np.broadcast_to((100 * np.arange(30)).astype(np.int16), (7, 6, 30))
    kept = [k for k in range(30) if k not in missing]
    volume = of([make.series(stored, "CT")[k] for k in kept], tmp_path)
    np.testing.assert_allclose(volume[0].numpy(), stored, atol=1e-3)
    headers = volume.meta["dicom"].slice_headers
    assert [k for k, at in enumerate(headers) if at < 0] == missing
    assert [at for at in headers if at >= 0] == list(range(len(kept)))
    assert f"{len(missing)} of 30 slices are missing" in volume.meta["notes"][0]


def test_spacing_that_changes_is_evened_out(tmp_path):
    """Thin slices at the base of the skull, thick ones above: common, and nothing is missing."""
    at = np.concatenate([np.arange(10) * 2.5, 22.5 + 5.0 * np.arange(1, 9)])
    positions = np.array([0.0, 0.0, 100.0]) + at[:, None] * np.array([0, 0, 1.0])
    stored = np.broadcast_to(np.round(10 * at).astype(np.int16), (7, 6, 18))
    thickness = lambda index: {"SliceThickness": "2.5" if index < 10 else "5.0"}  # noqa: E731
    volume = of(make.series(stored, "CT", positions=positions, extra=thickness), tmp_path)
    np.testing.assert_allclose(volume[0, 0, 0].numpy(), 25.0 * np.arange(26), atol=1e-3)
    assert volume.affine.numpy()[2, 2] == pytest.approx(2.5)
    assert "unevenly spaced" in volume.meta["notes"][0]
