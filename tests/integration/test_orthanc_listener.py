"""A real archive sends a study to the listener, and gets the result back beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_instances import quick_fuse
from orthanc import Orthanc

from medfuse.cli import listen as listen_command
from medfuse.io import dicom_web
from medfuse.io.dicom_network import store_files
from medfuse.io.dicom_node import Node
from medfuse.listener import Inbox, Receiver, Worker, send_to_node, send_to_web
from medfuse.listener.jobs import read_job
from medfuse.listener.sender import Send
from medfuse.options import FusionOptions, RegistrationOptions

WAYS: dict[str, Callable[[Orthanc], Send]] = {
    "DICOMweb": lambda orthanc: send_to_web(orthanc.web),
    "DIMSE": lambda orthanc: send_to_node(orthanc.node),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_study_goes_out_and_its_result_comes_back(orthanc: Orthanc, shared: Path, tmp_path: Path, way: str) -> None:
    brainix = sorted((shared / "data" / "dicom" / "brainix").glob("*/*.dcm"))
    dicom_web.store_files(orthanc.web, brainix)
    first = pydicom.dcmread(brainix[0])
    study = str(first.StudyInstanceUID)
    with Inbox(tmp_path / "work").opened() as inbox:
        worker = Worker(inbox, quick_fuse, WAYS[way](orthanc), quiet_seconds=0.0)
        with Receiver(inbox, "MEDFUSE", allowed=["ORTHANC"]) as receiver:
            orthanc.send_all_to(*receiver.address, "MEDFUSE")
        assert len(inbox.instances(study)) == 44
        while worker.step():
            pass
        assert read_job(inbox.study(study)).state == "sent"
        (made,) = inbox.study(study).glob("results/1/dicom/*.dcm")
    entries = dicom_web.query_series(orthanc.web, study)
    assert sorted(entry.instances for entry in entries) == [1, 22, 22]
    sent = pydicom.dcmread(made)
    (back,) = dicom_web.fetch_study(orthanc.web, study, tmp_path / "back", [str(sent.SeriesInstanceUID)])
    found = pydicom.dcmread(back)
    assert found.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert len(found.SourceImageSequence) == 44
    np.testing.assert_array_equal(found.pixel_array, sent.pixel_array)


def test_a_real_fusion_goes_back_to_the_study_that_it_came_from(orthanc: Orthanc, shared: Path, tmp_path: Path) -> None:
    brainix = sorted((shared / "data" / "dicom" / "brainix").glob("*/*.dcm"))
    first = pydicom.dcmread(brainix[0], stop_before_pixels=True)
    study = str(first.StudyInstanceUID)
    series = {path.parent.name: str(pydicom.dcmread(path).SeriesInstanceUID) for path in brainix}
    options = FusionOptions(
        method="max",
        registration=RegistrationOptions(method="none"),
        fixed_series=series["FLAIR"],
        moving_series=series["EPI"],
    )
    with Inbox(tmp_path / "work").opened() as inbox:
        with Receiver(inbox, "MEDFUSE") as receiver:
            store_files(Node(*receiver.address, "MEDFUSE"), brainix)
        worker = Worker(inbox, listen_command._fuse_with(options), send_to_web(orthanc.web), quiet_seconds=0.0)
        while worker.step():
            pass
        job = read_job(inbox.study(study))
        made = list(inbox.study(study).glob("results/1/dicom/**/*.dcm"))
    assert (job.state, job.reason) == ("sent", "")
    assert set(job.series_used) == set(series.values())
    assert orthanc.count() == len(made) >= 22
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in made]
    assert {str(header.StudyInstanceUID) for header in headers} == {study}
    listed = {entry.uid for entry in dicom_web.query_series(orthanc.web, study)}
    assert listed == {str(header.SeriesInstanceUID) for header in headers}
