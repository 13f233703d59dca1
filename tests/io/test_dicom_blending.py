from __future__ import annotations

import made_outputs as made
import numpy as np
import pydicom
import pytest

from medfuse.io.color_palette import palette_rgb
from medfuse.io.dicom_write import DicomWriteOptions, write_dicom_outputs

pytest.importorskip("highdicom")

RANDOM = DicomWriteOptions()
STATE = "1.2.840.10008.5.1.4.1.1.11.8"


def written(folder, modality="CT", fixed=None, options=RANDOM):
    fixed = fixed or made.classic(modality)
    volumes = made.all_volumes(made.affine_of(made.headers(modality)))
    told = made.description(modality, "MR")
    result = write_dicom_outputs(volumes, made.sources(fixed, made.classic("MR")), told, options, folder)
    return pydicom.dcmread(result.files["blending"][0]), result


def under_and_over(state):
    return [item.SeriesInstanceUID for item in state.AdvancedBlendingSequence]


def test_the_moving_volume_is_shown_in_color_over_the_fixed_one_in_gray(tmp_path):
    fixed = made.classic("CT")
    state, result = written(tmp_path, fixed=fixed)
    assert state.SOPClassUID == STATE
    assert under_and_over(state) == [fixed.series_uid, result.series_uids["moving"]]
    gray, hot = (item.PaletteColorLookupTableSequence[0] for item in state.AdvancedBlendingSequence)
    levels = np.arange(256)
    for table in ("Red", "Green", "Blue"):
        keyword = f"{table}PaletteColorLookupTableData"
        assert np.array_equal(np.frombuffer(gray[keyword].value, np.uint8), levels)
    red = np.frombuffer(hot.RedPaletteColorLookupTableData, np.uint8)
    assert np.array_equal(red, (palette_rgb("hot_iron")[:, 0] * 255).round().numpy())
    (display,) = state.BlendingDisplaySequence
    assert display.BlendingMode == "FOREGROUND"
    assert 0 < display.RelativeOpacity < 1
    assert [item.BlendingInputNumber for item in display.BlendingDisplayInputSequence] == [2, 1]


def test_all_images_are_named_and_lie_in_one_frame(tmp_path):
    fixed = made.classic("CT")
    state, result = written(tmp_path, fixed=fixed)
    under, over = (
        [image.ReferencedSOPInstanceUID for image in item.ReferencedImageSequence]
        for item in state.AdvancedBlendingSequence
    )
    assert under == [header.SOPInstanceUID for header in fixed.headers]
    moving = [pydicom.dcmread(path) for path in result.files["moving"]]
    assert over == [image.SOPInstanceUID for image in moving]
    frames = {image.FrameOfReferenceUID for image in (*fixed.headers, *moving, state)}
    assert len(frames) == 1


def test_rescaling_and_windows_are_stated(tmp_path):
    fixed = made.classic("CT", slope=2.0, intercept=-1000.0)
    state, result = written(tmp_path, fixed=fixed)
    under, over = state.AdvancedBlendingSequence
    assert (under.RescaleSlope, under.RescaleIntercept, under.RescaleType) == (2.0, -1000.0, "HU")
    window = under.SoftcopyVOILUTSequence[0]
    assert (window.WindowCenter, window.WindowWidth, window.VOILUTFunction) == (100.0, 200.0, "LINEAR_EXACT")
    moving = pydicom.dcmread(result.files["moving"][0])
    assert (over.RescaleSlope, over.RescaleIntercept) == (moving.RescaleSlope, moving.RescaleIntercept)
    assert over.SoftcopyVOILUTSequence[0].WindowCenter == 225.0


REASONS = {
    "no frame": made.classic("CT", frame_of_reference=None),
    "uneven": made.classic("CT", slope=[1.0, 2.0, 1.0, 1.0, 1.0, 1.0]),
    "bright is low": made.classic("CT", extra={"PhotometricInterpretation": "MONOCHROME1"}),
    "PET": made.classic("PT"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_where_the_fixed_series_cannot_be_shown_as_it_is_the_fused_one_takes_its_place(tmp_path, reason):
    state, result = written(tmp_path, "PT" if reason == "PET" else "CT", REASONS[reason])
    assert under_and_over(state) == [result.series_uids["fused"], result.series_uids["moving"]]
    assert any("fused series" in note for note in result.notes)


def test_a_deidentified_state_refers_to_nothing_outside(tmp_path):
    state, result = written(tmp_path, options=DicomWriteOptions(deidentify=True))
    assert under_and_over(state) == [result.series_uids["fused"], result.series_uids["moving"]]


def test_multi_frame_series_can_be_shown(tmp_path):
    fixed = made.enhanced("MR")
    state, _ = written(tmp_path, "MR", fixed)
    assert under_and_over(state)[0] == fixed.series_uid
    assert len(state.AdvancedBlendingSequence[0].ReferencedImageSequence) == 1
