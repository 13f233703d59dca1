"""What a place holds, which of it can be used, and which series is meant."""

from __future__ import annotations

from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
from made_dicom_frames import enhanced
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage, generate_uid

from medfuse.errors import InputError, OptionError
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import Catalog, choose_series, list_series

RNG = np.random.default_rng(7)
STORED = RNG.integers(0, 900, (7, 6, 5)).astype(np.int16)


def other(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, (7, 6, 5)).astype(np.int16)


def catalog_of(folder: Path, *images: list[Dataset]) -> Catalog:
    for number, group in enumerate(images):
        make.save(group, folder / str(number))
    return list_series(folder, folder)


def verdict_of(folder: Path, images: list[Dataset]) -> str:
    (only,) = catalog_of(folder, images).series
    return only.verdict


def test_a_study_is_listed_in_the_order_of_its_series(tmp_path):
    catalog = catalog_of(
        tmp_path,
        make.series(STORED, "MR", name="T1", number=7),
        make.series(STORED, "CT", name="head", number=3, orientation=make.SAGITTAL, pixel_mm=(0.5, 0.75)),
        make.series(STORED, "PT", name="fdg", number=12, frame_of_reference="other"),
    )
    assert [(one.number, one.modality, one.description) for one in catalog.series] == [
        (1, "CT", "head"),
        (2, "MR", "T1"),
        (3, "PT", "fdg"),
    ]
    first = catalog.series[0]
    assert (first.slices, first.matrix, first.spacing_mm) == (5, (7, 6), (0.5, 0.75, 2.0))
    assert [one.orientation for one in catalog.series] == ["sagittal", "axial", "axial"]
    assert first.frame_of_reference_uid == make.uid("study", "for", "frame")
    assert all(one.verdict == "" and one.notes == () for one in catalog.series)
    assert catalog.skipped == ()


@pytest.mark.parametrize(
    ("modality", "extra", "reason"),
    [
        ("CT", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ("CT", {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen capture"),
        ("MR", {"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "projection"),
        ("MR", {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic"),
        ("OT", {"ImagePositionPatient": None}, "secondary capture"),
        ("OT", {"SOPClassUID": SegmentationStorage, "Modality": "SEG"}, "SEG"),
        ("CT", {"PhotometricInterpretation": "PALETTE COLOR"}, "color"),
        ("MR", {"ImagePositionPatient": None}, "states no position"),
        ("MR", {"PixelSpacing": None}, "states no position"),
        ("MR", {"ImageOrientationPatient": ["0"] * 6}, "unit vectors"),
        ("MR", {"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "unit vectors"),
        ("MR", {"PixelSpacing": ["0", "1"]}, "PixelSpacing"),
        ("MR", {"PixelSpacing": ["-1", "1"]}, "PixelSpacing"),
        ("MR", {"PixelSpacing": ["5000", "5000"]}, "spacing"),
    ],
)
def test_what_is_no_volume_says_why(tmp_path, modality, extra, reason):
    assert reason in verdict_of(tmp_path, make.series(STORED, modality, extra=extra))


def test_objects_without_pixels_are_named_by_their_class(tmp_path):
    document = make.series(STORED[:, :, :1], "OT", name="report", extra={"Modality": "DOC", "Rows": None})[0]
    del document.PixelData
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    assert verdict_of(tmp_path, [document]) == "no image (Encapsulated PDF Storage)"


def test_too_few_slices(tmp_path):
    assert "3 slices" in verdict_of(tmp_path, make.series(STORED[:, :, :3]))


@pytest.mark.parametrize("lost", [range(6, 9), range(3, 28, 3)])
def test_too_many_missing_slices_are_refused(tmp_path, lost):
    images = make.series(np.repeat(STORED, 6, axis=2))
    verdict = verdict_of(tmp_path, [image for index, image in enumerate(images) if index not in lost])
    assert "missing" in verdict
    assert "10" not in verdict.partition("(")[0]


def test_a_localizer_inside_a_series_does_not_spoil_it(tmp_path):
    def extra(index: int) -> dict[str, object]:
        return {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER" if index == 0 else "AXIAL"]}

    catalog = catalog_of(tmp_path, make.series(np.repeat(STORED, 2, axis=2), "CT", extra=extra))
    assert sorted((one.slices, one.verdict) for one in catalog.series) == [(1, "a localizer"), (9, "")]


def test_mixed_orientations_are_listed_apart(tmp_path):
    images = make.series(STORED, "MR", orientation=make.CORONAL)
    for index, image in enumerate(make.series(other(1), "MR")):
        image.SOPInstanceUID = make.uid("axial", index)
        images.append(image)
    catalog = catalog_of(tmp_path, images)
    assert sorted(one.orientation for one in catalog.series) == ["axial", "coronal"]
    assert all(one.verdict == "" and "several stacks" in one.notes[0] for one in catalog.series)
    assert len({one.series_uid for one in catalog.series}) == 1


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ["9", "80"]),
        ("TemporalPositionIdentifier", [1, 2]),
        ("DiffusionBValue", [0.0, 1000.0]),
        ("AcquisitionTime", ["120000", "120500"]),
    ],
)
def test_images_of_one_place_are_parted_by_what_tells_them_apart(tmp_path, keyword, values):
    both = []
    for value in values:
        images = make.series(other(len(both)), "MR", name="both", extra={keyword: value, "SeriesNumber": 1})
        for index, image in enumerate(images):
            image.SOPInstanceUID = make.uid(keyword, value, index)
        both += images
    first, second = catalog_of(tmp_path, both).series
    assert keyword in first.notes[0]
    assert first.verdict == second.verdict == ""
    for found, seed in ((first, 0), (second, 5)):
        np.testing.assert_array_equal(read_dicom_series(found)[0].numpy(), other(seed))


def test_frames_of_an_enhanced_object_are_parted_too(tmp_path):
    early = make.series(other(0), "MR", extra={"TemporalPositionIdentifier": 1})
    late = make.series(other(1), "MR", extra={"TemporalPositionIdentifier": 2})
    frames = [image for pair in zip(early, late, strict=True) for image in pair]
    first, second = catalog_of(tmp_path, [enhanced(frames)]).series
    np.testing.assert_array_equal(read_dicom_series(first)[0].numpy(), other(0))
    np.testing.assert_array_equal(read_dicom_series(second)[0].numpy(), other(1))
    assert read_dicom_series(second).meta["dicom"].slice_frames == (2, 4, 6, 8, 10)


def test_two_frames_of_reference_are_two_stacks(tmp_path):
    images = make.series(STORED, "MR")
    for image in make.series(other(1), "MR", frame_of_reference="second"):
        image.SOPInstanceUID = str(generate_uid())
        images.append(image)
    catalog = catalog_of(tmp_path, images)
    assert len({one.frame_of_reference_uid for one in catalog.series}) == 2
    assert [one.verdict for one in catalog.series] == ["", ""]


def test_repeated_files_and_equal_copies_are_left_out(tmp_path):
    images = make.series(STORED, "CT")
    copies = make.series(STORED, "CT")[2:3]
    copies[0].SOPInstanceUID = str(generate_uid())
    make.save(images[:2], tmp_path / "again")
    (only,) = catalog_of(tmp_path, images, copies).series
    assert only.verdict == ""
    assert only.slices == 5
    notes = " ".join(only.notes)
    assert "1 equal copies" in notes
    assert "2 repeated files" in notes
    np.testing.assert_array_equal(read_dicom_series(only)[0].numpy(), STORED)


def test_different_images_of_one_place_are_refused_if_nothing_tells_them_apart(tmp_path):
    images = make.series(STORED, "CT")
    for index, image in enumerate(make.series(other(9), "CT")[1:3]):
        image.SOPInstanceUID = make.uid("other", index)
        images.append(image)
    assert verdict_of(tmp_path, images) == "2 different images lie at one place"


def test_a_derived_series_that_shows_an_original_again_is_not_chosen(tmp_path):
    derived = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}
    catalog = catalog_of(
        tmp_path,
        make.series(STORED, "CT", name="original", number=2),
        make.series(other(1), "CT", name="again", number=1, extra=derived),
        make.series(other(2), "CT", name="elsewhere", number=3, extra=derived, positions=make.places(5, 3.0)),
    )
    assert [one.verdict for one in catalog.series] == ["derived from series 2, which is here", "", ""]


def test_descriptions_are_one_harmless_line(tmp_path):
    text = "T1\n\x1b[31m JANE roe secret-id-7 19700101 ../../etc"
    (only,) = catalog_of(tmp_path, make.series(STORED, extra={"SeriesDescription": text})).series
    assert only.description.isprintable()
    for word in ("jane", "roe", "secret", "1970"):
        assert word not in only.description.lower()
    assert only.description.startswith("T1 [31m *** *** ***")


def test_an_untilted_orientation_is_believed_against_the_tag_and_that_is_said(tmp_path):
    (only,) = catalog_of(tmp_path, make.series(STORED, "CT", extra={"GantryDetectorTilt": "-18.5"})).series
    assert only.verdict == ""
    assert "GantryDetectorTilt says -18.5" in only.notes[0]


@pytest.fixture
def study(tmp_path: Path) -> Catalog:
    return catalog_of(
        tmp_path,
        make.series(STORED, "MR", name="T1", number=1),
        make.series(other(1), "MR", name="T2", number=2),
        make.series(other(2), "PT", name="fdg", number=3),
        make.series(other(3), "CT", name="scout", number=4, extra={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    )


def test_series_are_chosen_by_number_uid_or_modality(study):
    for wanted in ("2", make.uid("study", "T2")):
        assert choose_series(study, wanted, "fixed").description == "T2"
    for wanted in ("PT", "pet", "3"):
        assert choose_series(study, wanted, "moving").description == "fdg"


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (None, OptionError, ("--fixed", "1 MR T1", "2 MR T2", "3 PT fdg")),
        ("MR", OptionError, ("1 MR T1, 2 MR T2",)),
        ("9", OptionError, ("no fixed series 9", "1 MR T1")),
        ("CT", InputError, ("scout", "localizer")),
        ("4", InputError, ("scout", "localizer")),
        ("x\n\x1b", OptionError, ("\\n\\x1b",)),
    ],
)
def test_a_choice_that_is_none_says_what_there_is(study, wanted, error, words):
    with pytest.raises(error) as caught:
        choose_series(study, wanted, "fixed")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_an_unusable_series_is_not_read(study):
    with pytest.raises(InputError, match="localizer"):
        read_dicom_series(study.series[3])
