"""The main job on the phantom as fixtures: done once per test session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from medfuse.io.volume_files import write_volume
from medfuse.options import FusionOptions
from medfuse.phantom import Phantom
from medfuse.pipeline import fuse_volumes
from medfuse.result import FusionResult


@dataclass(frozen=True)
class Fused:
    """What the main job gave: in memory and on the disk. Do not write into either."""

    result: FusionResult
    folder: Path


@pytest.fixture(scope="session")
def patient(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``t1.nii.gz``, ``ct.nii.gz`` and ``pet.nii.gz`` of the small phantom."""
    folder = tmp_path_factory.mktemp("patient")
    for volume, name in (("MR_T1", "t1"), ("CT", "ct"), ("PT", "pet")):
        write_volume(phantom_small.volumes[volume], folder / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def fused_ct(patient: Path, tmp_path_factory: pytest.TempPathFactory) -> Fused:
    """Return MR fused with CT, registered."""
    return _fused(patient, "ct", tmp_path_factory.mktemp("fused_ct"))


@pytest.fixture(scope="session")
def fused_pet(patient: Path, tmp_path_factory: pytest.TempPathFactory) -> Fused:
    """Return MR fused with PET, registered."""
    return _fused(patient, "pet", tmp_path_factory.mktemp("fused_pet"))


def _fused(patient: Path, moving: str, folder: Path) -> Fused:
    output = folder / "result"
    options = FusionOptions(output=output, method="max")
    return Fused(fuse_volumes(patient / "t1.nii.gz", patient / f"{moving}.nii.gz", options), output)
