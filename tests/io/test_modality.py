from __future__ import annotations

import json

import pytest

from medfuse.io.modality import FoundModality, find_modality, modality_of

NAMES = {
    "sub-01_T1w.nii.gz": "MR",
    "sub-01_ses-2_acq-hi_run-1_T2w.nii": "MR",
    "sub-01_FLAIR.nii.gz": "MR",
    "sub-01_task-rest_bold.nii.gz": "MR",
    "sub-01_space-MNI_desc-preproc_T1w.nii.gz": "MR",
    "sub-01_ct.nii.gz": "CT",
    "sub-01_CT.mha": "CT",
    "sub-01_trc-FDG_pet.nrrd": "PT",
    "PET.nii": "PT",
    "SPECT.nii": "NM",
    "T1.nii.gz": "MR",
    "single_subj_T1.nii": "MR",
    "FLAIR.NII.GZ": "MR",
    "scct.nii": None,
    "sub-01_T1w_mask.nii.gz": None,
    "sub-01_desc-brain_mask.nii.gz": None,
    "sub-ct.nii.gz": None,
    "MNI152_T1_1mm_brain.nii.gz": None,
    "project.nii.gz": None,
    "pet_of_my_cat.nii.gz": None,
    ".nii.gz": None,
}


@pytest.mark.parametrize(("name", "modality"), NAMES.items())
def test_file_names(tmp_path, name, modality):
    found = find_modality(tmp_path / name)
    assert found == (None if modality is None else FoundModality(modality, "file name"))
    assert modality_of(tmp_path / name, {}) == modality


def sidecar(folder, content) -> None:
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    (folder / "sub-01_T1w.json").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("name", ["sub-01_T1w.nii.gz", "sub-01_T1w.nii", "sub-01_T1w.nrrd"])
def test_the_sidecar_goes_before_the_name(tmp_path, name):
    sidecar(tmp_path, {"Modality": "CT", "Manufacturer": "MR"})
    assert find_modality(tmp_path / name) == FoundModality("CT", "sidecar")


@pytest.mark.parametrize(("told", "modality"), [("PT", "PT"), ("PET", "PT"), (" mr ", "MR"), ("NM", "NM")])
def test_names_in_sidecars(tmp_path, told, modality):
    sidecar(tmp_path, {"Modality": told})
    assert modality_of(tmp_path / "sub-01_T1w.nii.gz") == modality


def test_the_header_goes_before_the_sidecar(tmp_path):
    sidecar(tmp_path, {"Modality": "CT"})
    path = tmp_path / "sub-01_T1w.nii.gz"
    assert find_modality(path, {"modality": "PT"}) == FoundModality("PT", "header")
    assert find_modality(path, {"modality": "US"}) == FoundModality("CT", "sidecar")


@pytest.mark.parametrize("content", [{"Modality": "OT"}, {"Modality": 7}, {"Modality": None}, {}, [1], "7", "null"])
def test_sidecars_that_do_not_tell(tmp_path, content, caplog):
    sidecar(tmp_path, content)
    assert find_modality(tmp_path / "sub-01_T1w.nii.gz") == FoundModality("MR", "file name")
    assert not caplog.records


@pytest.mark.parametrize("content", ["{", "", b"\xff\xfe\x00{", "[" * 200_000, '{"Modality": "CT"}' + " " * 2**20])
def test_broken_sidecars_are_logged_and_passed_over(tmp_path, content, caplog):
    sidecar(tmp_path, content)
    assert find_modality(tmp_path / "sub-01_T1w.nii.gz") == FoundModality("MR", "file name")
    assert len(caplog.records) == 1
    assert "sub-01_T1w.json" in caplog.text


def test_a_folder_named_as_a_sidecar(tmp_path):
    (tmp_path / "x.json").mkdir()
    assert modality_of(tmp_path / "x.nii.gz") is None
