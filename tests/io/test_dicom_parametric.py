from __future__ import annotations

import made_dicom
import made_outputs as made
import numpy as np
import pydicom
import pytest

from medfuse.errors import IntensityError
from medfuse.io.dicom_gray import write_gray_series
from medfuse.io.dicom_headers import quiet
from medfuse.io.dicom_look import SHADES
from medfuse.io.dicom_parametric import write_parametric_map

pytest.importorskip("highdicom")

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def written(folder, volume, modality="MR", **options):
    run = made.made_run(made.classic(modality, **options), made.classic("CT"), told=made.description(modality, "CT"))
    affine = np.asarray(volume.affine)
    with quiet():
        fused = write_gray_series(made.volume(affine), run, "fused", modality, SHADES, folder)
        write_parametric_map(volume, "fidelity-1", 1, run, fused, folder / "map.dcm")
    return pydicom.dcmread(folder / "map.dcm"), fused


def placed(dataset):
    """Return the frames (X, Y, Z) in the order of their places, and the affine that those tell (RAS)."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    heads = []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0].ImagePositionPatient
        axes = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        heads.append(made_dicom.item(ImagePositionPatient=place, ImageOrientationPatient=axes, PixelSpacing=spacing))
    axes = np.array(heads[0].ImageOrientationPatient, dtype=float)
    heights = [np.cross(axes[:3], axes[3:]) @ np.array(head.ImagePositionPatient, dtype=float) for head in heads]
    order = np.argsort(heights)  # frames may be in any order
    return dataset.pixel_array[order].transpose(2, 1, 0), made.affine_of([heads[index] for index in order])


@pytest.mark.parametrize("modality", ["MR", "NM"])
@pytest.mark.parametrize("orientation", [made_dicom.AXIAL, made.OBLIQUE], ids=["ax", "ob"])
def test_floats_and_places_come_back_exactly(tmp_path, orientation, modality):
    affine = made.affine_of(made.headers("MR", orientation=orientation))
    volume = made.volume(affine, -2.0, 3.0)
    dataset, _ = written(tmp_path, volume, modality, orientation=orientation)
    values, found = placed(dataset)
    assert values.dtype == np.float32
    assert np.array_equal(values, volume[0].numpy())
    np.testing.assert_allclose(found, affine, rtol=0, atol=1e-9)


def test_what_a_map_says_of_itself(tmp_path):
    fixed = made.classic("MR").headers[0]
    dataset, fused = written(tmp_path, made.volume(made.affine_of(made.headers("MR")), -2.0, 3.0))
    assert dataset.SOPClassUID == PARAMETRIC_MAP
    assert dataset.StudyInstanceUID == fixed.StudyInstanceUID
    assert dataset.FrameOfReferenceUID == fixed.FrameOfReferenceUID
    assert dataset.PatientName == fixed.PatientName
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.ContentLabel == "FIDELITY_1"
    named = [item.ReferencedSOPInstanceUID for item in dataset.SourceImageSequence]
    assert named == [image.SOPInstanceUID for image in fused]
    mapping = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)


def test_a_constant_map_is_written(tmp_path):
    volume = made.volume(made.affine_of(made.headers("MR")), 0.5, 0.5)
    dataset, _ = written(tmp_path, volume)
    assert np.array_equal(placed(dataset)[0], volume[0].numpy())


def test_values_that_are_not_finite_are_refused(tmp_path):
    volume = made.volume(made.affine_of(made.headers("MR")))
    volume[0, 0, 0, 0] = np.nan
    with pytest.raises(IntensityError, match="fidelity-1"):
        written(tmp_path, volume)
