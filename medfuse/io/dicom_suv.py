"""Standardized uptake values by body weight, from what a PET header says of dose, weight and time.

The rules are those of the vendor-neutral pseudo-code of the Quantitative Imaging Biomarkers Alliance (QIBA FDG-PET/CT
profile, appendix on SUV calculation). What the header does not say is never guessed: the refusal names the tag.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import NoReturn

from pydicom.dataset import Dataset

from medfuse.errors import InputError
from medfuse.io.checks import shown
from medfuse.io.dicom_headers import first_of, number_of, private_tag, text_of

BECQUEREL_PER_ML, GRAM_PER_ML, COUNTS = "BQML", "GML", "CNTS"

_PHILIPS, _PHILIPS_SUV_FACTOR, _PHILIPS_ACTIVITY_FACTOR = "Philips PET Private Group", 0x00, 0x09
_GE, _GE_SCAN_TIME = "GEMS_PETD_01", 0x0D
_CODED_UNITS = {"Bq/ml": BECQUEREL_PER_ML, "{SUVbw}g/ml": GRAM_PER_ML, "g/ml{SUVbw}": GRAM_PER_ML}
_HEAVIEST_KG = 700.0
_LEAST_DOSE_BQ = 1e4  # less is a dose in MBq
_MOST_HALF_LIVES = 12.0
_DAY = timedelta(days=1)
_DATE_TIME = re.compile(r"(\d{8})(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?")


def suv_factor(header: Dataset) -> float:
    """Return what the rescaled values of a PET image are multiplied by to become SUVbw.

    Args:
        header: of one image of the series, or of a multi-frame object.

    Returns:
        g/ml for each unit of the rescaled values; 1 where they are SUVbw already.

    Raises:
        InputError: naming the element that is missing or makes no sense.
    """
    units = units_of(header)
    if units == GRAM_PER_ML:
        if (kind := text_of(header, "SUVType")) not in ("", "BW"):
            _refuse("SUVType (0054,1006)", f"is {shown(kind)}, not BW")
        return 1.0
    if units == COUNTS:
        if factor := number_of(header, private_tag(header, 0x7053, _PHILIPS, _PHILIPS_SUV_FACTOR)):
            return factor
        factor = number_of(header, private_tag(header, 0x7053, _PHILIPS, _PHILIPS_ACTIVITY_FACTOR))
        if not factor:
            _refuse("Philips SUV scale factor (7053,1000)", "is missing, and Units (0054,1001) are counts")
        return factor * _suv_of_activity(header)
    if units != BECQUEREL_PER_ML:
        _refuse("Units (0054,1001)", f"is {shown(units)}" if units else "is missing")
    return _suv_of_activity(header)


def units_of(header: Dataset) -> str:
    """Return the Units of a PET image, or what the coded units of a multi-frame object stand for."""
    units = text_of(header, "Units").upper()
    if units:
        return units
    shared = first_of(header, "SharedFunctionalGroupsSequence")
    mapping = first_of(shared, "RealWorldValueMappingSequence")
    if not len(mapping):
        frames = first_of(header, "PerFrameFunctionalGroupsSequence")
        mapping = first_of(frames, "RealWorldValueMappingSequence")
    code = text_of(first_of(mapping, "MeasurementUnitsCodeSequence"), "CodeValue")
    return _CODED_UNITS.get(code, code)


def scan_order(header: Dataset) -> str:
    """Return what sorts the images of a series by the time of their acquisition."""
    return text_of(header, "AcquisitionDate") + text_of(header, "AcquisitionTime")


def _suv_of_activity(header: Dataset) -> float:
    """Return SUVbw for each Bq/ml: body weight in g over the dose that is left, in Bq."""
    weight = number_of(header, "PatientWeight")
    if not weight or not 0 < weight <= _HEAVIEST_KG:
        _refuse("PatientWeight (0010,1030)", f"is {weight:g} kg" if weight else "is missing")
    drug = first_of(header, "RadiopharmaceuticalInformationSequence")
    dose = number_of(drug, "RadionuclideTotalDose")
    if not dose or dose < _LEAST_DOSE_BQ:
        _refuse("RadionuclideTotalDose (0018,1074)", f"is {dose:g}, too little in Bq" if dose else "is missing")
    return weight * 1000.0 / (dose * _share_left(header, drug))


def _check_corrected(header: Dataset) -> None:
    corrected = text_of(header, "CorrectedImage").upper().split("\\")
    if corrected != [""] and not {"DECY", "ATTN"} <= set(corrected):
        _refuse("CorrectedImage (0028,0051)", "lacks DECY or ATTN: decay or attenuation is not corrected")


def _share_left(header: Dataset, drug: Dataset) -> float:
    """Return which part of the dose is left at the time that the values are corrected to."""
    _check_corrected(header)
    correction = text_of(header, "DecayCorrection").upper()
    reference = text_of(header, "DecayCorrectionDateTime")
    if correction == "ADMIN":
        return 1.0
    if correction != "START" and not (text_of(header, "DecayCorrected") == "YES" and reference):
        what = f"is {shown(correction)}" if correction else "is missing"
        _refuse("DecayCorrection (0054,1102)", f"{what}; only values corrected to START or ADMIN have one meaning")
    half_life = number_of(drug, "RadionuclideHalfLife")
    if not half_life or half_life < 0:
        _refuse("RadionuclideHalfLife (0018,1075)", "is missing")
    scan = _needed(_date_time(reference), "DecayCorrectionDateTime (0018,9701)") if reference else _start(header, drug)
    waited = (scan - _injected(drug, scan)).total_seconds() / half_life
    if not 0 <= waited <= _MOST_HALF_LIVES:
        _refuse("RadiopharmaceuticalStartDateTime (0018,1078)", f"puts the injection {waited:.3g} half-lives off")
    return float(2.0**-waited)


def _start(header: Dataset, drug: Dataset) -> datetime:
    """Return when the scan began, to which START corrects.

    That is SeriesDate and SeriesTime, unless the series was made again later: then they are after the acquisition, and
    the time is GE's own, or that of the frame less its distance from the start.
    """
    series = _date_time(text_of(header, "SeriesDate") + text_of(header, "SeriesTime"))
    acquired = _date_time(text_of(header, "AcquisitionDate") + text_of(header, "AcquisitionTime"))
    if series is not None and acquired is not None and series <= acquired:
        return series
    if own := _date_time(text_of(header, private_tag(header, 0x0009, _GE, _GE_SCAN_TIME))):
        return own
    if acquired is None:
        _refuse("AcquisitionTime (0008,0032)", "is missing, without which SeriesTime is not to be trusted")
    since_start, lasted = number_of(header, "FrameReferenceTime"), number_of(header, "ActualFrameDuration")
    half_life = number_of(drug, "RadionuclideHalfLife")
    if since_start is None or not lasted or not half_life or since_start < 0 or lasted < 0:
        _refuse("FrameReferenceTime (0054,1300)", "or ActualFrameDuration (0018,1242) is missing")
    return acquired - timedelta(seconds=since_start / 1000 - _mean_time(lasted / 1000, half_life))


def _mean_time(lasted: float, half_life: float) -> float:
    """Return when in a frame of so many seconds the activity is at its mean."""
    rate = math.log(2.0) / half_life
    decayed = rate * lasted
    return math.log(decayed / -math.expm1(-decayed)) / rate


def _injected(drug: Dataset, scan: datetime) -> datetime:
    """Return when the drug was given: its date and time, or the last such time of day before the scan."""
    whole = _date_time(text_of(drug, "RadiopharmaceuticalStartDateTime"))
    if whole is not None:
        return whole
    clock = text_of(drug, "RadiopharmaceuticalStartTime")
    at = _needed(
        _date_time(scan.strftime("%Y%m%d") + clock) if clock else None, "RadiopharmaceuticalStartTime (0018,1072)"
    )
    return at - _DAY if at > scan else at


def _date_time(text: str) -> datetime | None:
    """Parse DICOM's date and time, which may end early; None if it has no hour or makes no sense."""
    parts = _DATE_TIME.match(text.replace(":", ""))
    if parts is None:
        return None
    date, hour, minute, second, fraction = parts.groups()
    try:
        day = datetime.strptime(date, "%Y%m%d")
        whole = timedelta(hours=int(hour), minutes=int(minute or 0), seconds=int(second or 0) + float(fraction or 0))
        return day + whole
    except (ValueError, OverflowError):
        return None


def _needed(found: datetime | None, tag: str) -> datetime:
    if found is None:
        _refuse(tag, "is missing")
    return found


def _refuse(tag: str, what: str) -> NoReturn:
    msg = f"PET cannot be converted to SUV: {tag} {what}; add it, or give values in SUV"
    raise InputError(msg)
