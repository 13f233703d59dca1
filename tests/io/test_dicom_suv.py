"""SUVbw as the vendor-neutral rules give it, and refusals that name the tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_dicom as make
import nibabel as nib
import numpy as np
import pytest
from made_dicom_frames import enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medfuse.errors import InputError
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import choose_series, list_series
from medfuse.io.dicom_suv import suv_factor

STORED = np.random.default_rng(3).integers(0, 900, (7, 6, 5)).astype(np.int16)
HALF_LIFE = 6586.2
HOUR_LEFT = 0.5 ** (3600 / HALF_LIFE)
FACTOR = 70_000 / (370e6 * HOUR_LEFT)


def header(drug: dict[str, Any] | None = None, **changed: Any) -> Dataset:
    """Return a header of a scan at 12:00, an hour after 370 MBq; ``drug`` changes what is said of the drug."""
    made = make.series(STORED[:, :, :1], "PT")[0]
    make.set_elements(made.RadiopharmaceuticalInformationSequence[0], drug or {})
    make.set_elements(made, changed)
    return made


def test_dose_is_decayed_to_the_start_of_the_series():
    assert suv_factor(header()) == pytest.approx(FACTOR, rel=1e-12)


def test_acquisition_after_the_series_began_changes_nothing():
    """All beds are corrected to the start of the series, not to their own."""
    assert suv_factor(header(AcquisitionTime="122000")) == pytest.approx(FACTOR, rel=1e-12)


def test_values_corrected_to_administration_are_not_decayed_again():
    assert suv_factor(header(DecayCorrection="ADMIN")) == pytest.approx(70_000 / 370e6, rel=1e-12)


def test_injection_before_midnight():
    late = header({"RadiopharmaceuticalStartTime": "233000"}, SeriesTime="003000", AcquisitionTime="003000")
    assert suv_factor(late) == pytest.approx(FACTOR, rel=1e-12)


def test_injection_with_its_date_goes_first():
    dated = header(
        {"RadiopharmaceuticalStartDateTime": "20240131103000.000000", "RadiopharmaceuticalStartTime": "0100"}
    )
    assert suv_factor(dated) == pytest.approx(70_000 / (370e6 * HOUR_LEFT**1.5), rel=1e-12)


def test_a_series_made_again_later_takes_the_time_of_its_frames():
    """SeriesTime is then after the acquisition; the start is the frame's time less its distance from it."""
    again = header(
        SeriesTime="180000", AcquisitionTime="120500", FrameReferenceTime="600000", ActualFrameDuration="60000"
    )
    rate = np.log(2) / HALF_LIFE
    inside = np.log(rate * 60 / (1 - np.exp(-rate * 60))) / rate  # where in the frame the activity is at its mean
    waited = 3600 + 300 - 600 + inside
    assert suv_factor(again) == pytest.approx(70_000 / (370e6 * 0.5 ** (waited / HALF_LIFE)), rel=1e-9)


def test_ge_says_itself_when_the_scan_began():
    again = header(SeriesTime="180000", Manufacturer="GE MEDICAL SYSTEMS")
    again.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240131123000.00")
    assert suv_factor(again) == pytest.approx(70_000 / (370e6 * HOUR_LEFT**1.5), rel=1e-12)


@pytest.mark.parametrize("kind", ["DS", "UN"])
def test_philips_counts(kind):
    def philips(element: int, factor: str) -> Dataset:
        made = header(Units="CNTS")
        block = made.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(element, kind, factor.encode() if kind == "UN" else factor)
        return made

    assert suv_factor(philips(0x00, "0.000551")) == 0.000551
    assert suv_factor(philips(0x09, "2.5")) == pytest.approx(2.5 * FACTOR, rel=1e-12)


def test_values_in_grams_per_ml_are_suv_already():
    assert suv_factor(header(Units="GML")) == 1.0
    assert suv_factor(header(Units="GML", SUVType="BW", PatientWeight=None)) == 1.0


@pytest.mark.parametrize(
    ("tag", "drug", "changed"),
    [
        ("PatientWeight (0010,1030)", {}, {"PatientWeight": None}),
        ("PatientWeight (0010,1030)", {}, {"PatientWeight": "0"}),
        ("PatientWeight (0010,1030)", {}, {"PatientWeight": "70000"}),
        ("RadionuclideTotalDose (0018,1074)", {"RadionuclideTotalDose": None}, {}),
        ("RadionuclideTotalDose (0018,1074)", {"RadionuclideTotalDose": "370"}, {}),
        ("RadionuclideTotalDose (0018,1074)", {}, {"RadiopharmaceuticalInformationSequence": None}),
        ("RadionuclideHalfLife (0018,1075)", {"RadionuclideHalfLife": None}, {}),
        ("RadiopharmaceuticalStartTime (0018,1072)", {"RadiopharmaceuticalStartTime": None}, {}),
        ("RadiopharmaceuticalStartDateTime", {"RadiopharmaceuticalStartDateTime": "20240201110000"}, {}),
        ("RadiopharmaceuticalStartDateTime", {"RadiopharmaceuticalStartDateTime": "20230131110000"}, {}),
        ("DecayCorrection (0054,1102)", {}, {"DecayCorrection": None}),
        ("DecayCorrection (0054,1102)", {}, {"DecayCorrection": "NONE"}),
        ("CorrectedImage (0028,0051)", {}, {"CorrectedImage": ["DECY"]}),
        ("Units (0054,1001)", {}, {"Units": None}),
        ("Units (0054,1001)", {}, {"Units": "PROPCPS"}),
        ("SUVType (0054,1006)", {}, {"Units": "GML", "SUVType": "LBM"}),
        ("(7053,1000)", {}, {"Units": "CNTS"}),
        ("AcquisitionTime (0008,0032)", {}, {"AcquisitionTime": None}),
        ("FrameReferenceTime (0054,1300)", {}, {"SeriesTime": "180000", "FrameReferenceTime": None}),
    ],
)
def test_what_is_missing_is_named(tag, drug, changed):
    with pytest.raises(InputError) as caught:
        suv_factor(header(drug, **changed))
    assert tag in str(caught.value)
    assert "\n" not in str(caught.value)


def read(folder: Path) -> Any:
    return read_dicom_series(choose_series(list_series(folder, folder.parent), "PT", "moving"))


def test_a_series_becomes_suv_or_says_why_not(tmp_path):
    known = read(make.save(make.series(STORED, "PT", slope=3.0), tmp_path / "known"))
    np.testing.assert_allclose(known[0].numpy(), STORED * 3.0 * FACTOR, rtol=1e-6)
    assert known.meta["units"] == "SUV"
    lacking = make.series(STORED, "PT", slope=3.0, extra={"PatientWeight": None})
    unknown = read(make.save(lacking, tmp_path / "unknown"))
    np.testing.assert_array_equal(unknown[0].numpy(), (STORED * 3.0).astype(np.float32))
    assert unknown.meta["units"] == "stored values"
    assert "PatientWeight (0010,1030)" in unknown.meta["notes"][0]


def test_beds_of_one_series_share_the_factor_of_its_start(tmp_path):
    late = make.series(STORED, "PT", extra=lambda index: {"AcquisitionTime": f"12{10 * index:02d}00"})
    np.testing.assert_allclose(read(make.save(late, tmp_path / "in"))[0].numpy(), STORED * FACTOR, rtol=1e-6)


def test_enhanced_pet_by_its_coded_units_and_its_own_time_of_correction(tmp_path):
    folder = make.save([enhanced(make.series(STORED, "PT", slope=2.0))], tmp_path / "in")
    volume = read(folder)
    np.testing.assert_allclose(volume[0].numpy(), STORED * 2.0 * FACTOR, rtol=1e-6)
    assert volume.meta["units"] == "SUV"


def test_a_real_pet_with_a_slope_for_each_slice(shared, tmp_path):
    """The template stored as scanners store PET, each slice in its own 15 bits, comes back to the precision of that."""
    values = np.asarray(nib.load(shared / "data" / "volumes" / "mni" / "PET.nii").dataobj, dtype=np.float64) * 30_000
    slopes = values.max(axis=(0, 1)) / 32_767
    slopes[slopes == 0] = 1.0
    stored = np.round(values / slopes).astype(np.int16)
    positions = make.places(stored.shape[2], 2.0)
    made = make.series(stored, "PT", positions=positions, slope=slopes, pixel_mm=(2.0, 2.0))
    volume = read(make.save(made, tmp_path / "in"))
    assert len(set(slopes.tolist())) > 50
    written = np.array([float(image.RescaleSlope) for image in made])  # to the 16 signs that DICOM has
    np.testing.assert_allclose(volume[0].numpy(), stored * written * FACTOR, rtol=2e-7)
    half_step = slopes * FACTOR / 2
    assert (np.abs(volume[0].numpy() - values * FACTOR) <= half_step * 1.001 + 1e-6).all()


def test_damaged_sequences_are_missing_ones():
    broken = header(RadiopharmaceuticalInformationSequence=Sequence([]))
    with pytest.raises(InputError, match="RadionuclideTotalDose"):
        suv_factor(broken)
