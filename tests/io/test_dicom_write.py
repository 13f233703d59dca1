from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import made_outputs as made
import numpy as np
import pydicom
import pytest

import medfuse.io
from medfuse import extras
from medfuse.errors import InputError, IntensityError, MissingExtraError, OptionError, OutputError
from medfuse.io.dicom_registration import read_spatial_registration
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_write import DicomVolumes, DicomWriteOptions, write_dicom_outputs

pytest.importorskip("highdicom")

FIXED, MOVING = made.classic("MR"), made.classic("CT", frame_of_reference="other")
AFFINE = made.affine_of(made.headers("MR"))
SAME = DicomWriteOptions(deterministic=True)


def write(folder, volumes=None, sources=None, options=SAME, told=None):
    volumes = volumes or made.all_volumes(AFFINE)
    sources = sources or made.sources(FIXED, MOVING)
    return write_dicom_outputs(volumes, sources, told or made.description(), options, folder)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.dcm"))}


def test_the_layout(tmp_path):
    result = write(tmp_path)
    slices = [f"IM{number:04d}.dcm" for number in range(1, 7)]
    expected = {f"{folder}/{name}" for folder in ("fused", "color", "moving") for name in slices}
    expected |= {"registration.dcm", "blending.dcm", "maps/provenance.dcm", "maps/fidelity.dcm"}
    assert set(contents(tmp_path / "dicom")) == expected
    assert result.folder == tmp_path / "dicom"
    listed = {path.relative_to(result.folder).as_posix() for files in result.files.values() for path in files}
    assert listed == expected
    for kind, files in result.files.items():
        uids = {pydicom.dcmread(path).SeriesInstanceUID for path in files}
        assert uids == {result.series_uids[kind]}
    assert len(set(result.series_uids.values())) == 6
    assert result.study_uid == FIXED.study_uid
    assert result.notes == ()


def test_every_object_tells_the_verdict_and_a_failed_one_is_named_so(tmp_path):
    words = "registration FAIL, estimated error 31.0 mm"
    write(tmp_path, told=replace(made.description(), verdict=words, failed=True))
    for path in sorted((tmp_path / "dicom").rglob("*.dcm")):
        image = pydicom.dcmread(path)
        assert "REGISTRATION FAIL" in image.SeriesDescription
        assert len(image.SeriesDescription) <= 64
        if path.name != "blending.dcm":
            assert words in image.get("DerivationDescription", "") + str(image.get("ContentDescription", ""))


def test_a_deformation_has_no_registration_object(tmp_path):
    result = write(tmp_path, told=replace(made.description(), registration="deformable"))
    assert "registration" not in result.files
    assert result.notes == ("no registration object was written: it holds no deformation; see displacement.nii.gz",)
    assert "registered with deformation" in pydicom.dcmread(result.files["fused"][0]).DerivationDescription


def test_series_are_numbered_behind_the_fixed_one(tmp_path):
    result = write(tmp_path, sources=made.sources(made.classic("MR", number=7), MOVING))
    numbers = {kind: int(pydicom.dcmread(files[0]).SeriesNumber) for kind, files in result.files.items()}
    assert len(set(numbers.values())) == 6
    assert all(number // 100 == 7 for number in numbers.values())


def test_every_object_of_a_run_has_its_own_uid(tmp_path):
    result = write(tmp_path)
    paths = [path for files in result.files.values() for path in files]
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in paths}) == len(paths)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for deidentify in (False, True):
        options = DicomWriteOptions(deterministic=True, deidentify=deidentify)
        write(tmp_path / f"a{deidentify}", options=options)
        write(tmp_path / f"b{deidentify}", options=options)
        assert contents(tmp_path / f"a{deidentify}") == contents(tmp_path / f"b{deidentify}")


def test_deterministic_dates_are_those_of_the_study(tmp_path):
    image = pydicom.dcmread(write(tmp_path).files["fused"][0])
    assert (image.InstanceCreationDate, image.InstanceCreationTime) == ("20240131", "120000")


DIFFERENCES = {
    "method": {"told": made.description(method="max")},
    "transform": {"sources": made.sources(FIXED, MOVING, np.eye(4))},
    "moving series": {"sources": made.sources(FIXED, made.classic("CT", study="third"))},
    "voxels": {"volumes": replace(made.all_volumes(AFFINE), fused=made.volume(AFFINE, 0.1))},
    "window": {"volumes": replace(made.all_volumes(AFFINE), moving_window=(0.0, 1.0))},
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_another_run_has_other_uids(tmp_path, difference):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", **DIFFERENCES[difference])
    assert set(first.series_uids.values()) & set(second.series_uids.values()) == set()


def test_by_default_no_two_runs_share_a_uid(tmp_path):
    first, second = (write(tmp_path / name, options=DicomWriteOptions()) for name in "ab")
    assert set(first.series_uids.values()) & set(second.series_uids.values()) == set()
    assert first.study_uid == second.study_uid == FIXED.study_uid


def test_a_fixed_volume_from_elsewhere_is_refused(tmp_path):
    with pytest.raises(OptionError, match="fixed volume read from DICOM"):
        write(tmp_path, sources=made.sources(None, MOVING))
    assert list(tmp_path.iterdir()) == []


def test_a_moving_volume_from_elsewhere_is_noted(tmp_path):
    result = write(tmp_path, sources=made.sources(FIXED, None))
    assert "registration" not in result.files
    assert any("no registration object" in note for note in result.notes)
    image = pydicom.dcmread(result.files["fused"][0])
    assert [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence] == [FIXED.headers[0].SOPInstanceUID]


def test_only_the_fused_volume_need_be_there(tmp_path):
    result = write(tmp_path, DicomVolumes(made.volume(AFFINE)))
    assert set(result.files) == {"fused", "registration"}
    assert any("no presentation state" in note for note in result.notes)


def test_series_without_a_frame_of_reference_get_one(tmp_path):
    sources = made.sources(made.classic("MR", frame_of_reference=None), made.classic("CT", frame_of_reference=None))
    result = write(tmp_path, sources=sources)
    assert sum("frame of reference" in note for note in result.notes) == 2
    found = read_spatial_registration(result.files["registration"][0])
    np.testing.assert_allclose(found.fixed_to_moving_ras, made.TURN, atol=1e-9)
    paths = [path for files in result.files.values() for path in files]
    frames = {pydicom.dcmread(path).FrameOfReferenceUID for path in paths}
    assert frames == {found.fixed_frame_uid}
    assert found.moving_frame_uid not in frames


def test_uids_with_leading_zeros_are_used_as_they_are(tmp_path):
    fixed = made.classic("MR")
    for header in fixed.headers:
        header["StudyInstanceUID"]._value = "1.2.03.004"
    result = write(tmp_path, sources=made.sources(fixed, MOVING))
    with pytest.warns(UserWarning, match="Invalid value"):
        assert pydicom.dcmread(result.files["fused"][0]).StudyInstanceUID == "1.2.03.004"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_headers_without_identifiers_are_refused(tmp_path, keyword):
    fixed = made.classic("MR", extra={keyword: None})
    with pytest.raises(InputError, match=keyword):
        write(tmp_path, sources=made.sources(fixed, MOVING))


@pytest.mark.parametrize("name", ["../up", "Fidelity", "", "a/b", ".", "x" * 64, "a b"])
def test_maps_with_strange_names_are_refused(tmp_path, name):
    with pytest.raises(OptionError, match="file name"):
        write(tmp_path, DicomVolumes(made.volume(AFFINE), maps={name: made.volume(AFFINE)}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["color", "moving_registered", "maps"])
def test_volumes_on_another_grid_are_refused(tmp_path, field):
    other = made.volume(AFFINE, shape=(10, 8, 5))
    volumes = replace(made.all_volumes(AFFINE), **{field: {"odd": other} if field == "maps" else other})
    with pytest.raises(InputError, match="fixed grid"):
        write(tmp_path, volumes)


def test_headers_of_another_volume_are_refused(tmp_path):
    fewer = DicomSource(FIXED.headers[:5], FIXED.slice_headers[:5], FIXED.slice_frames[:5])
    with pytest.raises(InputError, match="5"):
        write(tmp_path, sources=made.sources(fewer, MOVING))


def test_all_or_nothing(tmp_path):
    volumes = made.all_volumes(AFFINE)
    volumes.maps["provenance"][0, 0, 0, 0] = np.nan
    with pytest.raises(IntensityError):
        write(tmp_path, volumes)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_is_not_replaced(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="exists"):
        write(tmp_path)
    assert contents(tmp_path) == before


def test_gray_series_and_registration_do_without_highdicom(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    result = write(tmp_path / "a", DicomVolumes(made.volume(AFFINE)))
    assert set(result.files) == {"fused", "registration"}
    with pytest.raises(MissingExtraError, match=r"medfuse\[dicom\]"):
        write(tmp_path / "b")


def test_highdicom_is_imported_only_when_needed():
    folder = Path(medfuse.io.__file__).parent
    modules = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("dicom_*.py")}
    assert "dicom_color.py" in modules
    assert [
        name for name, text in modules.items() if re.search(r"^\s*(import|from) highdicom", text, re.MULTILINE)
    ] == []


def test_no_patient_data_in_logs_or_warnings(tmp_path, caplog, recwarn):
    caplog.set_level("DEBUG")
    write(tmp_path)
    assert len(recwarn) == 0
    assert "Roe" not in caplog.text
    assert "SECRET-ID-7" not in caplog.text
