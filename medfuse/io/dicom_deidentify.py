"""Step 7 of 8, write: results without the patient's identity, after the basic profile of DICOM PS3.15, annex E.

What is written carries a short, known list of attributes of its sources and no others, so the profile's table is
applied to that list: what it removes or empties (X, Z) is removed or emptied, identifiers that must stay get a dummy
value (D), and UIDs are replaced (U) by the same new ones in every object of a run. The texts that describe a result
are made by this program and kept, which is the option to clean descriptors.
"""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset

from medfuse.io.dicom_elements import code
from medfuse.io.dicom_uids import Uids

DUMMY_TIME = datetime(1970, 1, 1)

_EMPTIED = (
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_NOT_KEPT = (
    *("DeviceSerialNumber", "StationName", "InstitutionName", "Manufacturer"),
    *("ManufacturerModelName", "SoftwareVersions", "AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime"),
    *("RadiopharmaceuticalInformationSequence", "PositionReferenceIndicator"),
)
_METHODS = (
    ("113100", "DCM", "Basic Application Confidentiality Profile"),
    ("113105", "DCM", "Clean Descriptors Option"),
)
_DIGITS = 12


def anonymous_patient(uids: Uids) -> Dataset:
    """Return attributes of patient and study that tell nothing but that objects of one run belong together."""
    pseudonym = f"ANON-{uids.new('patient')[-_DIGITS:]}"
    carried = Dataset()
    carried.PatientName = f"{pseudonym}^"
    carried.PatientID = pseudonym
    for keyword in _EMPTIED:
        setattr(carried, keyword, "")
    carried.PatientIdentityRemoved = "YES"
    carried.DeidentificationMethod = "medfuse: PS3.15 basic profile on the attributes carried"
    carried.DeidentificationMethodCodeSequence = [code(*method) for method in _METHODS]
    carried.LongitudinalTemporalInformationModified = "REMOVED"
    return carried


def without_identity(acquired: Dataset) -> Dataset:
    """Return how a series was acquired, without what could name the patient, the place, the device or the day."""
    kept = Dataset()
    kept.update({element.tag: element for element in acquired if element.keyword not in _NOT_KEPT})
    return kept
