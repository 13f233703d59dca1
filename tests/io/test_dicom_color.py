from __future__ import annotations

import made_dicom
import made_outputs as made
import numpy as np
import pytest

from medfuse.errors import InputError
from medfuse.io.dicom_color import toward, write_color_series
from medfuse.io.dicom_headers import quiet

pytest.importorskip("highdicom")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def written(folder, color, **options):
    run = made.made_run(made.classic("MR", **options), made.classic("CT"), told=made.description("MR", "PT"))
    with quiet():
        write_color_series(color, run, folder)
    return made.read_all(folder)


@pytest.mark.parametrize("orientation", [made_dicom.AXIAL, made_dicom.SAGITTAL, made.OBLIQUE], ids=["ax", "sa", "ob"])
def test_colors_and_places_come_back(tmp_path, orientation):
    affine = made.affine_of(made.headers("MR", orientation=orientation))
    color = made.color_volume(affine)
    images = written(tmp_path, color, orientation=orientation)
    stored = np.stack([image.pixel_array for image in images], axis=-1)  # (Y, X, RGB, Z)
    assert np.array_equal(stored.transpose(2, 1, 0, 3), color.numpy())
    np.testing.assert_allclose(made.affine_of(images), affine, rtol=0, atol=1e-9)


def test_what_a_color_image_says_of_itself(tmp_path):
    fixed = made.classic("MR")
    image = written(tmp_path, made.color_volume(made.affine_of(made.headers("MR"))))[3]
    source = fixed.headers[3]
    assert image.SOPClassUID == SECONDARY_CAPTURE
    assert (image.PhotometricInterpretation, image.SamplesPerPixel, image.BitsStored) == ("RGB", 3, 8)
    assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert image.PatientName == source.PatientName
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert len(image.SourceImageSequence) > 1
    assert list(image.PatientOrientation) == ["L", "P"]
    assert "Not a medical device" in image.DerivationDescription
    assert image.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_directions_have_names():
    assert toward(np.array([1.0, 0.0, 0.0])) == "L"
    assert toward(np.array([0.0, -1.0, 0.0])) == "A"
    assert toward(np.array([0.0, 0.0, -1.0])) == "F"
    assert toward(np.array([-0.1, 0.6, 0.79])) == "HPR"


@pytest.mark.parametrize("change", [lambda color: color[:1], lambda color: color.float()])
def test_anything_but_colors_is_refused(tmp_path, change):
    color = made.color_volume(made.affine_of(made.headers("MR")))
    with pytest.raises(InputError, match="uint8"):
        written(tmp_path, change(color))
