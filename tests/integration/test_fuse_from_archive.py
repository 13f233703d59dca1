"""Straight from a real archive and back into it, over both protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import QUICK, run
from orthanc import Orthanc

from medfuse.io import dicom_network, dicom_web
from medfuse.io.dicom_input import read_dicom_volume
from medfuse.io.dicom_original import made_uid
from medfuse.phantom import Phantom, PhantomOptions, make_phantom, write_phantom


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(PhantomOptions(profile="small", scale=2.0, volumes=("MR_T1", "PT")))


@pytest.fixture
def stored(orthanc: Orthanc, phantom: Phantom, tmp_path: Path) -> str:
    """Put a study of MR and PET into the archive, and return its UID."""
    write_phantom(phantom, tmp_path / "patient")
    dicom_web.store_files(orthanc.web, sorted((tmp_path / "patient" / "dicom").rglob("*.dcm")))
    return read_dicom_volume(tmp_path / "patient" / "dicom" / "MR_T1", None, "fixed").meta["dicom"].study_uid


@pytest.mark.parametrize("protocol", ["web", "node"])
def test_a_study_is_fused_where_it_lies(orthanc: Orthanc, stored: str, tmp_path: Path, protocol: str) -> None:
    address = str(getattr(orthanc, protocol))
    before = {entry.uid for entry in dicom_web.query_series(orthanc.web, stored)}
    output = tmp_path / "result"
    result = run("fuse", "--from", address, "--study", stored, "--to", address, "-o", output, *QUICK)
    assert result.exit_code == 0, result.stderr
    written = sorted((output / "dicom").rglob("*.dcm"))
    assert f"Stored {len(written)} DICOM objects in the archive." in result.stdout

    source = read_dicom_volume(tmp_path / "patient" / "dicom" / "MR_T1", None, "fixed")
    derived = read_dicom_volume(output / "dicom" / "fused", None, "fixed")
    after = {entry.uid for entry in dicom_network.find_series(orthanc.node, stored)}
    assert derived.meta["dicom"].series_uid in after - before
    assert len(after - before) == 5  # fused, color, moving, registration, blending

    dicom_web.fetch_study(orthanc.web, stored, tmp_path / "back", [derived.meta["dicom"].series_uid])
    back = read_dicom_volume(tmp_path / "back", None, "fixed")
    assert back.meta["frame_of_reference_uid"] == source.meta["frame_of_reference_uid"]
    assert np.array_equal(back.numpy(), derived.numpy())
    np.testing.assert_allclose(back.affine.numpy(), derived.affine.numpy(), atol=1e-9)


def test_a_study_that_is_not_there_leaves_nothing(orthanc: Orthanc, tmp_path: Path) -> None:
    missing = made_uid("missing")
    result = run("fuse", "--from", orthanc.web, "--study", missing, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 1
    assert f"has no study {missing}" in result.stderr
    assert not (tmp_path / "out").exists()
