"""What is written follows the standard: dciodvfy of dicom3tools finds no error in any object."""

from __future__ import annotations

import shutil
import subprocess

import made_dicom
import made_outputs as made
import numpy as np
import pydicom
import pytest
from skipping import skip_or_fail

from medfuse.geometry import lps_to_ras
from medfuse.io.dicom_headers import read_header
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_write import DicomWriteOptions, write_dicom_outputs

pytest.importorskip("highdicom")

OBJECTS = {"fused", "color", "moving", "registration", "blending", "maps"}
INPUTS = {
    "CT": made.classic("CT"),
    "MR": made.classic("MR"),
    "PT": made.classic("PT"),
    "NM": made.classic("NM"),
    "enhanced CT": made.enhanced("CT"),
    "enhanced MR": made.enhanced("MR"),
    "enhanced PT": made.enhanced("PT"),
}
PAIRS = [(fixed, moving) for fixed in INPUTS for moving in ("CT", "MR", "PT", "NM") if fixed != moving]


def errors(path):
    """Return the errors that dciodvfy finds in a file."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        skip_or_fail("dciodvfy is not installed; it is in Debian's dicom3tools")
    done = subprocess.run([tool, "-new", str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines  # it names at least the kind of object
    return [line for line in lines if "Error" in line]


def check(result, wanted=OBJECTS):
    """Validate the first and the last object of each kind: those between differ in nothing but their place."""
    assert set(result.files) == wanted
    found = {}
    for files in result.files.values():
        for path in dict.fromkeys((files[0], files[-1])):
            if lines := errors(path):
                found[path.relative_to(result.folder).as_posix()] = lines
    assert found == {}


@pytest.mark.parametrize(("fixed", "moving"), PAIRS, ids=lambda name: name.replace(" ", "-"))
def test_every_class_of_input_gives_valid_objects(tmp_path, fixed, moving):
    affine = made.affine_of(made.headers(fixed.split()[-1]))
    units = {"CT": "HU", "PT": "SUV"}.get(moving, "stored values")
    volumes = made.all_volumes(affine, units=units)
    told = made.description(fixed.split()[-1], moving)
    sources = made.sources(INPUTS[fixed], INPUTS[moving])
    check(write_dicom_outputs(volumes, sources, told, DicomWriteOptions(), tmp_path))


@pytest.mark.parametrize("fixed", INPUTS, ids=lambda name: name.replace(" ", "-"))
def test_deidentified_objects_are_valid(tmp_path, fixed):
    modality = fixed.split()[-1]
    volumes = made.all_volumes(made.affine_of(made.headers(modality)), units="SUV")
    sources = made.sources(INPUTS[fixed], INPUTS["PT"])
    told = made.description(modality, "PT")
    check(write_dicom_outputs(volumes, sources, told, DicomWriteOptions(True, True), tmp_path))


SETTINGS = {
    "other study and frame": {"study": "other", "frame_of_reference": "other"},
    "no frame": {"frame_of_reference": None},
    "oblique": {"orientation": made.OBLIQUE},
    "coronal": {"orientation": made_dicom.CORONAL},
    "lossy": {
        "extra": {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": "10",
            "LossyImageCompressionMethod": "ISO_10918_1",
        }
    },
    "knee": {"extra": {"BodyPartExamined": "KNEE", "Laterality": "L"}},
    "brain": {"extra": {"BodyPartExamined": "BRAIN"}},
    "bare": {"extra": dict.fromkeys(("PatientPosition", "Manufacturer", "AccessionNumber", "StudyID", "StudyDate"))},
    "alphabet": {"extra": {"PatientName": "Yamada^Tarou=山田^太郎"}},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_whatever_the_sources_state_the_objects_are_valid(tmp_path, setting, role):
    odd, plain = made.classic("MR", **SETTINGS[setting]), made.classic("CT")
    fixed, moving = ("MR", "CT") if role == "fixed" else ("CT", "MR")
    sources = made.sources(odd, plain) if role == "fixed" else made.sources(plain, odd)
    affine = made.affine_of(list(sources.fixed.headers))
    told = made.description(fixed, moving)
    check(write_dicom_outputs(made.all_volumes(affine), sources, told, DicomWriteOptions(), tmp_path))


def classic_source(folder):
    """Return the source of a real folder of single images, and its affine."""
    images = []
    for path in sorted(folder.iterdir()):
        header = read_header(path)
        if "ImagePositionPatient" in header:
            images.append(header)
    axes = np.array(images[0].ImageOrientationPatient, dtype=float)
    normal = np.cross(axes[:3], axes[3:])
    images.sort(key=lambda image: float(normal @ np.array(image.ImagePositionPatient, dtype=float)))
    return DicomSource(tuple(images), tuple(range(len(images))), (0,) * len(images)), made.affine_of(images)


def enhanced_source(path):
    """Return the source of a real multi-frame object, and its affine."""
    header = read_header(path)
    groups = header.PerFrameFunctionalGroupsSequence
    axes = np.array(groups[0].PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    places = np.array([group.PlanePositionSequence[0].ImagePositionPatient for group in groups], dtype=float)
    order = np.argsort(places @ np.cross(axes[:3], axes[3:]))
    spacing = np.array(groups[0].PixelMeasuresSequence[0].PixelSpacing, dtype=float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[:3] * spacing[1], axes[3:] * spacing[0]
    affine[:3, 2] = (places[order[-1]] - places[order[0]]) / (len(order) - 1)
    affine[:3, 3] = places[order[0]]
    return DicomSource((header,), (0,) * len(order), tuple(int(n) + 1 for n in order)), lps_to_ras(affine)


def real(shared, name):
    data = shared / "data"
    if name == "enhanced":
        return enhanced_source(data / "hard/dicom/d2n_enhanced_philips/IM-0001-0170-0001.dcm")
    return classic_source(data / "dicom" / name)


@pytest.mark.parametrize(
    ("fixed", "moving", "modalities"),
    [
        ("brainix/FLAIR", "brainix/EPI", ("MR", "MR")),
        ("dcm_ct_philips_phantom", "brainix/FLAIR", ("CT", "MR")),
        ("brainix/EPI", "dcm_ct_philips_phantom", ("MR", "CT")),
        ("enhanced", "brainix/FLAIR", ("MR", "MR")),
        ("brainix/FLAIR", "enhanced", ("MR", "MR")),
        ("dcm_ct_slicer_head", "brainix/EPI", ("CT", "MR")),
    ],
)
def test_real_series_give_valid_objects(shared, tmp_path, fixed, moving, modalities):
    source, affine = real(shared, fixed)
    header = source.headers[0]
    shape = (int(header.Columns), int(header.Rows), len(source.slice_headers))
    volumes = made.all_volumes(affine, shape)
    told = made.description(*modalities)
    sources = made.sources(source, real(shared, moving)[0])
    result = write_dicom_outputs(volumes, sources, told, DicomWriteOptions(), tmp_path)
    check(result)
    images = [pydicom.dcmread(path) for path in result.files["fused"]]
    np.testing.assert_allclose(made.affine_of(images), affine, rtol=0, atol=1e-4)
    half = float(images[0].RescaleSlope) / 2 * 1.0001
    np.testing.assert_allclose(made.real_values(images), volumes.fused[0].numpy(), rtol=0, atol=half)


def test_a_run_without_a_moving_series_gives_valid_objects(tmp_path):
    volumes = made.all_volumes(made.affine_of(made.headers("CT")))
    told = made.description("CT", "MR")
    result = write_dicom_outputs(volumes, made.sources(INPUTS["CT"], None), told, DicomWriteOptions(), tmp_path)
    check(result, OBJECTS - {"registration"})


def test_dciodvfy_finds_errors_where_there_are_some(tmp_path):
    """Show that the tests above can fail."""
    volumes = made.all_volumes(made.affine_of(made.headers("CT")))
    sources = made.sources(INPUTS["CT"], INPUTS["MR"])
    result = write_dicom_outputs(volumes, sources, made.description("CT", "MR"), DicomWriteOptions(), tmp_path)
    path = result.files["fused"][0]
    image = pydicom.dcmread(path)
    del image.ImageOrientationPatient
    image.save_as(path)
    assert errors(path)
