from __future__ import annotations

from dataclasses import replace

import made_dicom
import made_outputs as made
import numpy as np
import pytest
import torch

from medfuse.errors import GeometryError, IntensityError, OptionError
from medfuse.io.dicom_gray import write_gray_series
from medfuse.io.dicom_look import SHADES, GrayLook
from medfuse.io.dicom_source import DicomSource

CLASS_UIDS = {modality: made_dicom.CLASSES[modality] for modality in ("CT", "MR", "PT")}
SOURCE_PURPOSE = "121322"


def written(folder, modality="MR", fixed=None, moving=None, volume=None, look=SHADES, purpose="fused", told=None):
    fixed = fixed or made.classic(modality)
    moving = moving or made.classic("CT", frame_of_reference="other", study="other")
    run = made.made_run(fixed, moving, told=told or made.description(modality, "CT"))
    volume = made.volume(made.affine_of(made.headers(modality))) if volume is None else volume
    write_gray_series(volume, run, purpose, modality, look, folder)
    return made.read_all(folder)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_values_come_back_within_half_a_step(tmp_path, modality):
    volume = made.volume(made.affine_of(made.headers(modality)))
    images = written(tmp_path, modality, volume=volume)
    slope = float(images[0].RescaleSlope)
    assert slope == pytest.approx(1 / 32767)
    np.testing.assert_allclose(made.real_values(images), volume[0].numpy(), rtol=0, atol=slope / 2 * 1.0001)
    assert {float(image.RescaleSlope) for image in images} == {slope}


@pytest.mark.parametrize("span", [(-1024.0, 3071.0), (0.0, 5e-7), (-3e9, -2e9), (100.0, 101.0), (0.25, 0.25)])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_values_of_any_range_come_back(tmp_path, span, modality):
    volume = made.volume(made.affine_of(made.headers(modality)), *span)
    images = written(tmp_path, modality, volume=volume, look=GrayLook("HU", span[0], span[0] + 1), purpose="moving")
    step = float(images[0].RescaleSlope)
    np.testing.assert_allclose(made.real_values(images), volume[0].numpy(), rtol=1e-7, atol=step / 2 * 1.0001)
    if modality == "PT":
        assert float(images[0].RescaleIntercept) == 0
    elif span[0] < span[1]:
        assert step <= (span[1] - span[0]) / 32767 * 1.01


@pytest.mark.parametrize(
    "orientation",
    [made_dicom.AXIAL, made_dicom.CORONAL, made_dicom.SAGITTAL, made.OBLIQUE],
    ids=["ax", "co", "sa", "ob"],
)
def test_the_affine_comes_back(tmp_path, orientation):
    heads = made.headers("MR", orientation=orientation)
    affine = made.affine_of(heads)
    images = written(tmp_path, fixed=made.classic("MR", orientation=orientation), volume=made.volume(affine))
    np.testing.assert_allclose(made.affine_of(images), affine, rtol=0, atol=1e-9)
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4, 5, 6]
    assert float(images[0].SpacingBetweenSlices) == pytest.approx(2.0)
    locations = [float(image.SliceLocation) for image in images]
    np.testing.assert_allclose(np.diff(locations), 2.0, atol=1e-9)


def test_sheared_stacks_keep_their_positions(tmp_path):
    affine = made.affine_of(made.headers("CT"))
    affine[:3, 2] += (0.0, 0.7, 0.0)
    images = written(tmp_path, "CT", volume=made.volume(affine))
    np.testing.assert_allclose(made.affine_of(images), affine, rtol=0, atol=1e-9)


def test_rows_must_be_at_right_angles_to_columns(tmp_path):
    affine = made.affine_of(made.headers("MR"))
    affine[:3, 1] += (0.1, 0.0, 0.0)
    with pytest.raises(GeometryError, match="right angles"):
        written(tmp_path, volume=made.volume(affine))


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_what_a_derived_image_says_of_itself(tmp_path, modality):
    fixed = made.classic(modality)
    image = written(tmp_path, modality, fixed)[2]
    source = fixed.headers[2]
    assert image.SOPClassUID == CLASS_UIDS[modality]
    assert image.ImageType[:2] == ["DERIVED", "PRIMARY" if modality == "PT" else "SECONDARY"]
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert image.SeriesInstanceUID != source.SeriesInstanceUID
    assert image.SOPInstanceUID != source.SOPInstanceUID
    assert image.Modality == modality
    assert image.PatientName == source.PatientName
    assert image.PatientID == source.PatientID
    assert image.StudyDate == source.StudyDate
    assert "Not a medical device; research use" in image.DerivationDescription
    assert "not Hounsfield" in image.DerivationDescription
    assert "research use" in image.SeriesDescription
    assert image.Manufacturer == "medfuse"
    assert image.SoftwareVersions == "1.2.3"
    assert image.ContributingEquipmentSequence[0].Manufacturer == "medfuse tests"
    assert image.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_both_series_are_referred_to(tmp_path):
    fixed = made.classic("MR")
    moving = made.classic("CT", frame_of_reference="other", study="other")
    images = written(tmp_path, "MR", fixed, moving)
    for k, image in enumerate(images):
        items = image.SourceImageSequence
        assert items[0].ReferencedSOPInstanceUID == fixed.headers[k].SOPInstanceUID
        assert items[0].SpatialLocationsPreserved == "YES"
        others = {item.ReferencedSOPInstanceUID for item in items[1:]}
        assert others
        assert others <= {header.SOPInstanceUID for header in moving.headers}
        assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in items} == {SOURCE_PURPOSE}
        here = image.ReferencedSeriesSequence
        assert [item.SeriesInstanceUID for item in here] == [fixed.series_uid]
        (study,) = image.StudiesContainingOtherReferencedInstancesSequence
        assert study.StudyInstanceUID == moving.study_uid
        assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == moving.series_uid


def test_only_moving_slices_that_are_met_are_referred_to(tmp_path):
    fixed, moving = made.classic("MR"), made.classic("CT")
    run = made.made_run(fixed, moving, np.eye(4))
    write_gray_series(made.volume(made.affine_of(made.headers("MR"))), run, "fused", "MR", SHADES, tmp_path)
    for k, image in enumerate(made.read_all(tmp_path)):
        met = [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence[1:]]
        assert met == [moving.headers[n].SOPInstanceUID for n in range(max(0, k - 1), min(6, k + 2))]


def test_a_moving_series_out_of_reach_is_still_referred_to(tmp_path):
    away = np.eye(4)
    away[2, 3] = 500.0
    fixed, moving = made.classic("MR"), made.classic("CT")
    run = made.made_run(fixed, moving, away)
    write_gray_series(made.volume(made.affine_of(made.headers("MR"))), run, "fused", "MR", SHADES, tmp_path)
    (item,) = made.read_all(tmp_path)[0].SourceImageSequence[1:]
    assert item.ReferencedSOPInstanceUID == moving.headers[-1].SOPInstanceUID


def test_frames_are_referred_to_by_number(tmp_path):
    fixed = made.enhanced("MR")
    images = written(tmp_path, "MR", fixed)
    assert [image.SourceImageSequence[0].ReferencedFrameNumber for image in images] == [6, 5, 4, 3, 2, 1]
    assert {image.SourceImageSequence[0].ReferencedSOPClassUID for image in images} == {made.ENHANCED["MR"]}
    assert images[0].SOPClassUID == CLASS_UIDS["MR"]
    assert "NumberOfFrames" not in images[0]


def test_interpolated_slices_refer_to_their_neighbors(tmp_path):
    heads = made.classic("MR").headers
    fixed = DicomSource(heads[:2] + heads[3:], (0, 1, -1, 2, 3, 4), (0,) * 6)
    image = written(tmp_path, fixed=fixed)[2]
    own = [
        item.ReferencedSOPInstanceUID for item in image.SourceImageSequence if item.SpatialLocationsPreserved == "YES"
    ]
    assert own == [heads[1].SOPInstanceUID, heads[3].SOPInstanceUID]


def test_where_all_slices_are_interpolated_the_whole_series_is_referred_to(tmp_path):
    heads = made.classic("MR").headers
    image = written(tmp_path, fixed=DicomSource(heads, (-1,) * 6, (0,) * 6))[2]
    own = [item for item in image.SourceImageSequence if item.SpatialLocationsPreserved == "YES"]
    assert len(own) == len(heads)


def test_the_window_shows_shades_from_0_to_1(tmp_path):
    image = written(tmp_path)[0]
    assert image.VOILUTFunction == "LINEAR_EXACT"
    assert float(image.WindowCenter) == 0.5
    assert 0.999 < float(image.WindowWidth) < 1.0


def test_private_and_acquisition_attributes_stay_behind(tmp_path):
    extra = {"KVP": "80", "ProtocolName": "secret protocol", "ImageComments": "secret", "EchoTime": "77"}
    fixed = made.classic("MR", extra=extra)
    for header in fixed.headers:
        header.private_block(0x0011, "SECRET", create=True).add_new(1, "LO", "secret private")
    images = written(tmp_path, fixed=fixed)
    for image in images:
        assert not [element.tag for element in image if element.tag.is_private]
        assert image.EchoTime is None
        assert "secret" not in str(image)
        assert image.ScanningSequence == "RM"


def test_the_moving_volume_keeps_what_still_holds_of_its_acquisition(tmp_path):
    told = made.description("CT", "MR")
    moving = made.classic("MR", extra={"EchoTime": "77"})
    volume = made.volume(made.affine_of(made.headers("CT")), 0.0, 900.0)
    look = GrayLook("US", 10.0, 500.0)
    images = written(tmp_path, "MR", made.classic("CT"), moving, volume, look, "moving", told)
    assert images[0].EchoTime == 77
    assert images[0].ScanningSequence == "SE"
    assert (float(images[0].WindowCenter), float(images[0].WindowWidth)) == (255.0, 490.0)
    assert "resampled" in images[0].DerivationDescription


def test_a_pet_in_suv_says_so(tmp_path):
    moving = made.classic("PT")
    volume = made.volume(made.affine_of(made.headers("CT")), 0.0, 12.0)
    told = made.description("CT", "PT")
    images = written(tmp_path, "PT", made.classic("CT"), moving, volume, GrayLook("SUV", 0, 10), "moving", told)
    assert (images[0].Units, images[0].SUVType) == ("GML", "BW")
    assert images[0].DecayCorrection == "START"
    assert images[0].RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical == "FDG"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, bad):
    volume = made.volume(made.affine_of(made.headers("MR")))
    volume[0, 1, 1, 1] = bad
    with pytest.raises(IntensityError, match="NaN or infinite"):
        written(tmp_path, volume=volume)


def test_other_modalities_are_refused(tmp_path):
    run = made.made_run(made.classic("MR"), None)
    with pytest.raises(OptionError, match="US"):
        write_gray_series(made.volume(np.eye(4)), run, "fused", "US", SHADES, tmp_path)


def test_names_in_any_alphabet_come_through(tmp_path):
    for number, name in enumerate(("Müller^Jörg", "Ёж^Яна", "Yamada^Tarou=山田^太郎")):
        folder = tmp_path / str(number)
        folder.mkdir()
        images = written(folder, fixed=made.classic("MR", extra={"PatientName": name}))
        assert str(images[0].PatientName) == name
        assert images[0].SpecificCharacterSet == ("ISO_IR 100" if number == 0 else "ISO_IR 192")


def test_values_that_their_types_forbid_are_left_empty(tmp_path):
    extra = {"PatientSex": "0000", "StudyID": "x" * 17, "PatientAge": "0Y", "StudyDate": "2024-01-31"}
    with pytest.warns(UserWarning, match="Invalid value|exceeds the maximum"):
        fixed = made.classic("MR", extra=extra)
    image = written(tmp_path, fixed=fixed)[0]
    assert (image.PatientSex, image.StudyID, image.StudyDate) == ("", "", "")
    assert "PatientAge" not in image


def test_lossy_compression_and_burned_in_text_are_never_forgotten(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5", "BurnedInAnnotation": "YES"}
    image = written(tmp_path, moving=made.classic("CT", extra=lossy))[0]
    assert image.LossyImageCompression == "01"
    assert image.LossyImageCompressionRatio == 12.5
    assert image.BurnedInAnnotation == "YES"


def test_a_rule_is_named_by_its_code(tmp_path):
    image = written(tmp_path, told=replace(made.description(), method="max"))[0]
    assert image.DerivationCodeSequence[1].CodeValue == "113048"


def test_nuclear_images_are_one_object_of_all_slices(tmp_path):
    affine = made.affine_of(made.headers("NM", orientation=made.OBLIQUE))
    volume = made.volume(affine)
    (image,) = written(tmp_path, "NM", made.classic("NM", orientation=made.OBLIQUE), volume=volume)
    assert image.NumberOfFrames == 6
    assert list(image.SliceVector) == [1, 2, 3, 4, 5, 6]
    stored = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    half = float(image.RescaleSlope) / 2 * 1.0001
    np.testing.assert_allclose(stored.transpose(2, 1, 0), volume[0].numpy(), rtol=0, atol=half)
    first, axes = image.DetectorInformationSequence[0], np.zeros((3, 3))
    axes[0], axes[1] = np.reshape(np.array(first.ImageOrientationPatient, dtype=float), (2, 3))
    axes[2] = np.cross(axes[0], axes[1])
    spacing = [*image.PixelSpacing[::-1], image.SpacingBetweenSlices]
    lps = axes.T * np.array(spacing, dtype=float)
    np.testing.assert_allclose(lps * [[-1], [-1], [1]], affine[:3, :3], atol=1e-9)
    np.testing.assert_allclose(np.array(first.ImagePositionPatient) * (-1, -1, 1), affine[:3, 3], atol=1e-9)


def test_nuclear_images_cannot_be_sheared(tmp_path):
    affine = made.affine_of(made.headers("NM"))
    affine[:3, 2] += (0.0, 0.7, 0.0)
    with pytest.raises(GeometryError, match="right angles"):
        written(tmp_path, "NM", volume=made.volume(affine))


def test_the_volume_is_left_alone(tmp_path):
    volume = made.volume(made.affine_of(made.headers("MR")))
    before = volume.clone()
    written(tmp_path, volume=volume)
    assert torch.equal(volume.as_tensor(), before.as_tensor())
