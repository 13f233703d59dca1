"""Fixtures of the tests with real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from orthanc import Orthanc, running_orthanc


@pytest.fixture(scope="session")
def orthanc_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


@pytest.fixture
def orthanc(orthanc_process: Orthanc) -> Orthanc:
    """Return an archive with nothing in it."""
    orthanc_process.empty()
    return orthanc_process
