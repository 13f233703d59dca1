"""Real files, against readers that share no code with ours where those are right, and against the headers where not."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from monai.data import MetaTensor
from skipping import skip_or_fail

from medfuse.errors import InputError
from medfuse.geometry import Matrix, apply_affine, lps_to_ras
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import choose_series, list_series

PLAIN = [
    *("dicom/brainix/FLAIR", "dicom/brainix/EPI", "dicom/dcm_ct_philips_phantom", "dicom/dcm_ct_slicer_head"),
    *("hard/dicom/d2n_compressed", "hard/dicom/d2n_compressed_j2k", "hard/dicom/d2n_compressed_rle"),
]
TILTED = "hard/dicom/tilt_philips_phantom"
MISSING = "hard/dicom/d2n_missing_slice_5_10"
ENHANCED = "hard/dicom/d2n_enhanced_philips"


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "data"


def read(folder: Path) -> MetaTensor:
    with tempfile.TemporaryDirectory() as workspace:
        return read_dicom_series(choose_series(list_series(folder, Path(workspace)), None, "fixed"))


def by_simpleitk(folder: Path) -> tuple[np.ndarray, Matrix]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, lps_to_ras(affine)


def by_dcm2niix(folder: Path, tmp_path: Path) -> tuple[np.ndarray, Matrix]:
    if shutil.which("dcm2niix") is None:
        skip_or_fail("dcm2niix is not installed")
    command = ["dcm2niix", "-b", "n", "-z", "n", "-p", "n", "-f", "out", "-o", str(tmp_path), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(tmp_path / "out.nii")
    return np.asarray(image.dataobj), image.affine


def same_where_it_lies(ours: MetaTensor, values: np.ndarray, affine: Matrix, atol_mm: float, rtol: float = 0.0) -> None:
    """Compare voxels by where they lie, for readers order rows and slices differently."""
    to_theirs = np.linalg.inv(affine) @ ours.affine.numpy()
    indices = np.indices(ours.shape[1:]).reshape(3, -1).T.astype(float)
    mapped = apply_affine(to_theirs, indices)
    apart_mm = np.abs(mapped - np.round(mapped)) * np.linalg.norm(affine[:3, :3], axis=0)
    assert apart_mm.max() <= atol_mm
    there = tuple(np.round(mapped).astype(int).T)
    assert sorted(values.shape) == sorted(ours.shape[1:])
    np.testing.assert_allclose(values[there], ours[0].numpy().reshape(-1), rtol=rtol, atol=rtol * 100)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_series_are_as_simpleitk_reads_them(data, name):
    ours = read(data / name)
    values, affine = by_simpleitk(data / name)
    np.testing.assert_array_equal(ours[0].numpy(), values.astype(np.float32))
    np.testing.assert_allclose(ours.affine.numpy(), affine, atol=2e-5)
    assert ours.meta["notes"] == ([] if "slicer" not in name else ["RescaleType is US: the values are not HU"])


@pytest.mark.parametrize("name", [*PLAIN, ENHANCED])
def test_plain_and_enhanced_series_are_as_dcm2niix_reads_them(data, tmp_path, name):
    values, affine = by_dcm2niix(data / name, tmp_path)
    same_where_it_lies(read(data / name), values, affine, atol_mm=2e-3, rtol=1e-6)


def test_brainix_is_the_nifti_that_was_made_of_it(data):
    ours = read(data / "dicom" / "brainix" / "FLAIR")
    image = nib.load(data / "volumes" / "brainix" / "FLAIR.nii.gz")
    same_where_it_lies(ours, np.asarray(image.dataobj), image.affine, atol_mm=2e-3)


@pytest.mark.parametrize("name", ["d2n_compressed", "d2n_compressed_j2k", "d2n_compressed_rle"])
def test_compressed_series_lie_where_their_authors_say(data, name):
    """The voxels of the truth were scrambled in another way; its geometry is real."""
    truth = nib.load(data / "hard" / "dicom" / "d2n_compressed_ground_truth.nii.gz")
    ours = read(data / "hard" / "dicom" / name)
    ends = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 3]])
    mapped = apply_affine(np.linalg.inv(truth.affine) @ ours.affine.numpy(), ends)
    np.testing.assert_allclose(mapped, np.round(mapped), atol=2e-3)
    for axis, length in enumerate(truth.shape):
        assert {round(value) for value in mapped[:, axis]} <= {0, length - 1}


def headers_of(folder: Path) -> list[pydicom.Dataset]:
    headers = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(headers, key=lambda header: float(header.ImagePositionPatient[2]))


def plane_point(header: pydicom.Dataset, column: float, row: float) -> np.ndarray:
    """Return where the standard puts a pixel (PS3.3 C.7.6.2.1.1), in RAS."""
    place = np.array(header.ImagePositionPatient, dtype=float)
    along_row, along_column = np.reshape(np.array(header.ImageOrientationPatient, dtype=float), (2, 3))
    down, across = (float(value) for value in header.PixelSpacing)
    return (place + across * column * along_row + down * row * along_column) * [-1, -1, 1]


def center_of_mass(values: np.ndarray) -> np.ndarray:
    weights = values + 1024.0  # air weighs nothing, and so does what was not seen
    return np.array([(np.indices(values.shape)[axis] * weights).sum() / weights.sum() for axis in range(2)])


def test_tilt_puts_each_slice_where_its_header_says_and_simpleitk_does_not(data):
    """The phantom's center in each slice, from pixels and header alone, is the truth: SimpleITK drifts off by 11 mm."""
    headers = headers_of(data / TILTED)
    ours, (theirs, wrong) = read(data / TILTED), by_simpleitk(data / TILTED)
    off_mm, their_off_mm = [], []
    for k, header in enumerate(headers):
        column, row = center_of_mass(header.pixel_array.T - 1024.0)
        truth = plane_point(header, column, row)
        off_mm.append(
            apply_affine(ours.affine.numpy(), np.array([*center_of_mass(ours[0, :, :, k].numpy()), k])) - truth
        )
        their_off_mm.append(apply_affine(wrong, np.array([*center_of_mass(theirs[:, :, k]), k])) - truth)
    assert np.linalg.norm(off_mm, axis=1).max() < 0.15  # a third of a pixel
    assert np.linalg.norm(their_off_mm, axis=1).max() > 10
    assert "gantry tilt, 18.5 degrees" in ours.meta["notes"][0]


def test_a_tilted_slice_keeps_its_values(data):
    """Moving by whole and part pixels along one axis is all that happens: no slice is mixed with another."""
    headers, ours = headers_of(data / TILTED), read(data / TILTED)
    for k in (0, 7, 15):
        stored = np.maximum(headers[k].pixel_array.T - 1024.0, -1024)
        start = np.linalg.inv(ours.affine.numpy()) @ [*plane_point(headers[k], 0, 0), 1]
        np.testing.assert_allclose([start[0], start[2]], [0, k], atol=1e-3)
        low = int(np.floor(start[1] + 1e-6))
        share = start[1] - low
        expected = stored.copy()
        expected[:, 1:] = (1 - share) * stored[:, 1:] + share * stored[:, :-1]
        np.testing.assert_allclose(ours[0, :, low + 1 : low + 512, k].numpy(), expected[:, 1:], atol=0.1)


def test_tilted_dcm2niix_agrees_on_where_things_are(data, tmp_path):
    """dcm2niix shears too, onto its own grid: the bright parts lie at one place in both."""
    by_dcm2niix(data / TILTED, tmp_path)
    files = [path for path in tmp_path.iterdir() if "Tilt" in path.name]
    assert len(files) == 1
    theirs = nib.load(files[0])
    ours = read(data / TILTED)
    centers = []
    for values, affine in ((np.asarray(theirs.dataobj), theirs.affine), (ours[0].numpy(), ours.affine.numpy())):
        bright = np.argwhere(values > -300)
        centers.append(apply_affine(affine, bright.mean(axis=0)))
    np.testing.assert_allclose(centers[0], centers[1], atol=2.0)


def test_a_missing_slice_leaves_the_others_where_they_are(data):
    """SimpleITK closes the gap: its last slice but one lies 3.3 mm off, and its spacing is wrong everywhere."""
    headers = headers_of(data / MISSING)
    ours, (theirs, wrong) = read(data / MISSING), by_simpleitk(data / MISSING)
    source = ours.meta["dicom"].slice_headers
    assert source == (0, 1, 2, -1, 3)
    for k, at in enumerate(source):
        if at >= 0:
            truth = plane_point(headers[at], 0, 0)
            np.testing.assert_allclose(apply_affine(ours.affine.numpy(), np.array([0, 0, k])), truth, atol=1e-3)
            np.testing.assert_array_equal(ours[0, :, :, k].numpy(), theirs[:, :, at])
    np.testing.assert_allclose(ours[0, :, :, 3].numpy(), (theirs[:, :, 2] + theirs[:, :, 3]) / 2, atol=1e-3)
    assert abs(apply_affine(wrong, np.array([0, 0, 2]))[2] - plane_point(headers[2], 0, 0)[2]) > 3
    assert "1 of 5 slices are missing; interpolated from neighbors: 4" in ours.meta["notes"][0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("d2n_same_position", "4 different images lie at one place"),
        ("d2n_two_slices", "2 slices"),
        ("rgb_sc_no_geometry", "secondary capture"),
    ],
)
def test_what_cannot_be_a_volume_says_why(data, name, reason):
    with pytest.raises(InputError, match=reason):
        read(data / "hard" / "dicom" / name)


def test_odd_files_are_listed_or_counted_and_none_is_usable(data, tmp_path):
    catalog = list_series(data / "hard" / "dicom" / "pydicom", tmp_path)
    assert all(series.verdict for series in catalog.series)
    verdicts = {series.modality: series.verdict for series in catalog.series}
    assert verdicts["SR"] == "no image (Comprehensive SR Storage)"
    assert verdicts["RTSTRUCT"] == "no image (RT Structure Set Storage)"
    assert verdicts["ECG"] == "no image (12-lead ECG Waveform Storage)"
    assert verdicts["SEG"].startswith("SEG, not one of")
    assert verdicts["RTDOSE"].startswith("RTDOSE, not one of")
    assert sum(one.count for one in catalog.skipped) == 5


def test_a_whole_study_beside_a_media_directory(data, tmp_path):
    catalog = list_series(data / "dicom", tmp_path)
    listed = [(one.modality, one.slices, one.verdict) for one in catalog.series]
    assert listed == [("CT", 93, ""), ("CT", 14, ""), ("MR", 22, ""), ("MR", 22, "")]
    assert [(one.name, one.reason) for one in catalog.skipped] == [("DIRFILE", "is a DICOMDIR, not an image")]
    assert catalog.series[2].frame_of_reference_uid == catalog.series[3].frame_of_reference_uid


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_implicit"),
        *("MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_padded"),
    ],
)
def test_every_encoding_of_one_real_slice_decodes_to_the_same(data, tmp_path, name):
    """Four slices are made of it, for one is no volume; the encoded pixels stay as they are."""
    for index in range(4):
        image = pydicom.dcmread(data / "hard" / "dicom" / "pydicom" / f"{name}.dcm")
        image.ImagePositionPatient = [-83.9063, -91.2, 6.6406 + 0.8 * index]
        image.SOPInstanceUID = f"1.2.3.{index}"
        image.save_as(tmp_path / f"{index}.dcm")
    plain = pydicom.dcmread(data / "hard" / "dicom" / "pydicom" / "MR_small.dcm").pixel_array
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume[0].numpy(), np.repeat(plain.T[:, :, None], 4, axis=2))
