from __future__ import annotations

import made_dicom
import made_outputs as made
import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence as Items

from medfuse.io.dicom_write import DicomWriteOptions, write_dicom_outputs

pytest.importorskip("highdicom")

NAMELESS = DicomWriteOptions(deidentify=True)
SECRET = "Zephyrine"
TEXTS = ("PN", "LO", "SH", "ST", "LT", "UT")
PLANTED = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientComments", "MedicalAlerts"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord"),
    *("InstitutionName", "InstitutionAddress", "StationName", "DeviceSerialNumber", "ProtocolName"),
    *("StudyDescription", "SeriesDescription", "ImageComments", "AccessionNumber", "StudyID", "IssuerOfPatientID"),
    *("ContrastBolusAgent", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "PositionReferenceIndicator"),
    *("AdditionalPatientHistory", "RequestedProcedureDescription", "PatientInsurancePlanCodeSequence"),
)
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate", "InstanceCreationDate")
DATE = "20231117"


def planted():
    """Return elements that hold the secret wherever a text can, in sequences as well."""
    elements: dict[str, object] = dict.fromkeys(DATES, DATE)
    for keyword in PLANTED:
        kind = dictionary_VR(keyword)
        elements[keyword] = f"{SECRET}^A" if kind == "PN" else SECRET if kind in TEXTS else Items([])
    person = made_dicom.item(PersonName=f"{SECRET}^B", InstitutionName=SECRET)
    elements["ReferencedStudySequence"] = Items([person])
    elements["RequestAttributesSequence"] = Items([made_dicom.item(RequestingPhysician=f"{SECRET}^C")])
    drug = made_dicom.item(Radiopharmaceutical=SECRET, RadiopharmaceuticalStartDateTime=f"{DATE}120000")
    elements["RadiopharmaceuticalInformationSequence"] = Items([drug])
    return elements


def written(folder, options=NAMELESS, fixed="MR", moving="PT"):
    sources = made.sources(made.classic(fixed, extra=planted()), made.classic(moving, extra=planted()))
    volumes = made.all_volumes(made.affine_of(made.headers(fixed)))
    return sources, write_dicom_outputs(volumes, sources, made.description(fixed, moving), options, folder)


def paths(result):
    return [path for files in result.files.values() for path in files]


def uids_of(dataset):
    """Return every UID in a data set and its sequences, but those of the standard."""
    found = set()
    for element in dataset.iterall():
        if element.VR == "UI":
            found |= {str(uid) for uid in ([element.value] if isinstance(element.value, str) else element.value or ())}
    return {uid for uid in found if not uid.startswith("1.2.840.10008.")}


@pytest.mark.parametrize(("fixed", "moving"), [("MR", "PT"), ("PT", "CT"), ("CT", "NM"), ("NM", "MR")])
def test_nothing_planted_remains_in_any_file(tmp_path, fixed, moving):
    options = DicomWriteOptions(deterministic=True, deidentify=True)
    _, result = written(tmp_path, options, fixed, moving)
    assert set(result.files) == {"fused", "color", "moving", "registration", "blending", "maps"}
    for path in paths(result):
        content = path.read_bytes().lower()
        assert SECRET.lower().encode() not in content
        assert DATE.encode() not in content


def test_the_names_are_there_where_they_are_wanted(tmp_path):
    """Show that the test above can fail."""
    _, result = written(tmp_path, DicomWriteOptions())
    assert all(SECRET.encode() in path.read_bytes() for path in paths(result))


def test_no_identifier_of_the_sources_remains(tmp_path):
    sources, result = written(tmp_path)
    known = set().union(*(uids_of(header) for header in (*sources.fixed.headers, *sources.moving.headers)))
    for path in paths(result):
        dataset = pydicom.dcmread(path)
        assert uids_of(dataset) & known == set()
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_identifiers_agree_among_all_objects(tmp_path):
    _, result = written(tmp_path)
    objects = {kind: [pydicom.dcmread(path) for path in files] for kind, files in result.files.items()}
    everything = [dataset for datasets in objects.values() for dataset in datasets]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert len({str(dataset[keyword].value) for dataset in everything}) == 1
    fixed, moving = objects["registration"][0].RegistrationSequence
    from_fixed = {item.ReferencedSOPInstanceUID for item in fixed.ReferencedImageSequence}
    from_moving = {item.ReferencedSOPInstanceUID for item in moving.ReferencedImageSequence}
    for image in (*objects["fused"], *objects["color"], *objects["moving"]):
        named = {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence}
        assert named <= from_fixed | from_moving
        assert named & from_fixed
        assert named & from_moving


def test_what_was_done_is_stated(tmp_path):
    _, result = written(tmp_path)
    for path in paths(result):
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES"
        codes = [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]
        assert codes == ["113100", "113105"]
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        assert (dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyDate, dataset.AccessionNumber) == ("",) * 4
        assert "ContributingEquipmentSequence" not in dataset
        assert (dataset.InstanceCreationDate, dataset.SeriesDate) == ("19700101",) * 2


def test_runs_cannot_be_linked_unless_asked(tmp_path):
    first, second = (written(tmp_path / name)[1] for name in "ab")
    assert first.study_uid != second.study_uid
    options = DicomWriteOptions(deterministic=True, deidentify=True)
    first, second = (written(tmp_path / name, options)[1] for name in "cd")
    assert first.study_uid == second.study_uid


def test_an_earlier_removal_is_passed_on(tmp_path):
    extra = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}
    sources = made.sources(made.classic("MR", extra=extra), None)
    volumes = made.all_volumes(made.affine_of(made.headers("MR")))
    result = write_dicom_outputs(volumes, sources, made.description(), DicomWriteOptions(), tmp_path)
    for path in paths(result):
        dataset = pydicom.dcmread(path)
        assert (dataset.PatientIdentityRemoved, dataset.DeidentificationMethod) == ("YES", "by hand")
