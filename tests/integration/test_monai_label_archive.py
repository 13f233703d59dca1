"""A real MONAI Label server on a real archive: series are named by their UIDs and fetched over DICOMweb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from made_label_server import LabelServer, run_there, running_label_server
from MedfuseFusionLib.client import ServerError
from orthanc import Orthanc, running_orthanc

from medfuse.io import dicom_web
from medfuse.io.dicom_input import read_dicom_volume
from medfuse.io.dicom_original import made_uid
from medfuse.phantom import PhantomOptions, make_phantom, write_phantom

STILL = {"registration": "none", "metrics": False, "method": "max"}
VOLUMES = ("MR_T1", "CT", "PT")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a DICOM series of each modality."""
    folder = tmp_path_factory.mktemp("patient") / "phantom"
    write_phantom(make_phantom(PhantomOptions(profile="small", scale=2.0, volumes=VOLUMES)), folder)
    return folder / "dicom"


@pytest.fixture(scope="module")
def series(patient: Path) -> dict[str, str]:
    """Return the UID of each series."""
    return {name: read_dicom_volume(patient / name, None, "fixed").meta["dicom"].series_uid for name in VOLUMES}


@pytest.fixture(scope="module")
def opened() -> Iterator[ExitStack]:
    """Return what the archive is opened in, so that a test can end it before the others do."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def archive(opened: ExitStack, patient: Path, tmp_path_factory: pytest.TempPathFactory) -> Orthanc:
    """Return an archive with MR and CT; PET comes later."""
    running = opened.enter_context(running_orthanc(tmp_path_factory.mktemp("archive")))
    dicom_web.store_files(running.web, sorted(patient.glob("[MC]*/*.dcm")))
    return running


@pytest.fixture(scope="module")
def server(archive: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelServer]:
    folder = tmp_path_factory.mktemp("label")
    with running_label_server(folder, archive.web, DICOMWEB_CACHE_PATH=str(folder / "cache")) as running:
        yield running


def test_series_are_listed_and_paired_before_they_are_fetched(
    server: LabelServer, series: dict[str, str], tmp_path: Path
) -> None:
    assert set(server.client.images()) >= {series["MR_T1"], series["CT"]}
    (pair,) = server.client.pairs(series["CT"])
    assert (pair["fixed"], pair["moving"]) == (series["MR_T1"], series["CT"])
    assert (pair["fixed_modality"], pair["moving_modality"]) == ("MR", "CT")
    assert not list((server.folder.parent / "cache").glob("*/2.25.*"))


def test_a_fusion_is_the_one_of_the_same_dicom_files(
    server: LabelServer, series: dict[str, str], patient: Path, tmp_path: Path
) -> None:
    told = server.client.fuse(series["MR_T1"], series["CT"], tmp_path / "answer.nii.gz", STILL)
    arguments = ("--registration", "none", "--method", "max", "--no-dicom")
    run_there("fuse", patient / "MR_T1", patient / "CT", "-o", tmp_path / "expected", *arguments)
    answer, expected = (nib.load(tmp_path / name) for name in ("answer.nii.gz", "expected/fused.nii.gz"))
    np.testing.assert_array_equal(np.asarray(answer.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_array_equal(answer.affine, expected.affine)
    assert (told["fixed"]["modality"], told["moving"]["modality"]) == ("MR", "CT")
    fetched = sorted(path.name for path in (server.folder.parent / "cache").glob("*/2.25.*"))
    assert fetched == sorted([series["MR_T1"], series["CT"]])


def test_a_series_of_which_a_part_is_there_is_fetched_again(
    server: LabelServer, series: dict[str, str], tmp_path: Path
) -> None:
    asked = (series["MR_T1"], series["CT"])
    server.client.fuse(*asked, tmp_path / "before.nii.gz", STILL)
    (folder,) = (server.folder.parent / "cache").glob(f"*/{series['CT']}")
    files = sorted(folder.iterdir())
    files[-1].unlink()
    server.client.fuse(*asked, tmp_path / "after.nii.gz", STILL)
    assert sorted(folder.iterdir()) == files
    assert (tmp_path / "after.nii.gz").read_bytes() == (tmp_path / "before.nii.gz").read_bytes()


def test_a_series_that_came_after_the_start_can_be_fused(
    server: LabelServer, archive: Orthanc, series: dict[str, str], patient: Path, tmp_path: Path
) -> None:
    assert server.refusal(series["MR_T1"], {"moving": series["PT"], **STILL})[0] == 404
    dicom_web.store_files(archive.web, sorted(patient.glob("PT/*.dcm")))
    told = server.client.fuse(series["MR_T1"], series["PT"], tmp_path / "answer.nii.gz", {**STILL, "form": "rgb"})
    assert told["moving"]["modality"] == "PT"
    assert told["moving"]["window"]["units"] == "SUV"


def test_what_the_archive_does_not_have_is_refused(server: LabelServer, series: dict[str, str]) -> None:
    status, reason = server.refusal(series["MR_T1"], {"moving": made_uid("nothing"), **STILL})
    assert status == 404
    assert "the datastore has no image" in reason
    status, reason = server.refusal("../../etc", {"moving": series["CT"], **STILL})
    assert (status, "is a path" in reason) == (400, True)
    with pytest.raises(ServerError) as refused:
        server.ask("GET", f"/datastore/image?image={made_uid('nothing')}")
    assert refused.value.status == 404


def test_a_viewer_gets_nifti_of_a_series(server: LabelServer, series: dict[str, str], patient: Path) -> None:
    body, _ = server.client._ask("GET", f"/datastore/image?image={series['CT']}")
    assert body[:2] == b"\x1f\x8b"


def test_an_archive_that_is_gone_is_told_of_and_the_server_goes_on(
    server: LabelServer, series: dict[str, str], opened: ExitStack
) -> None:
    opened.close()
    status, reason = server.refusal(series["MR_T1"], {"moving": made_uid("later"), **STILL})
    assert (status, reason.partition(" (")[0]) == (502, "the archive does not answer as it should")
    assert server.ask("GET", "/info/")["name"] == "medfuse"
