"""The phantom's folder: the same bytes each time, readable, with the truth beside the volumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.errors import OutputError
from medfuse.io.volume_files import read_volume
from medfuse.phantom import Phantom, PhantomOptions, make_phantom, write_phantom

SPARSE = PhantomOptions(profile="small", scale=2.5, volumes=("MR_T1", "PT"))


@pytest.fixture(scope="module")
def sparse() -> Phantom:
    return make_phantom(SPARSE)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_same_seed_gives_same_bytes(sparse: Phantom, tmp_path: Path) -> None:
    write_phantom(sparse, tmp_path / "a")
    write_phantom(make_phantom(SPARSE), tmp_path / "b")
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert [name for name in sorted(first) if not name.startswith("dicom/")] == [
        *("MR_T1.json", "MR_T1.nii.gz", "MR_T1_labels.nii.gz"),
        *("PT.json", "PT.nii.gz", "PT_labels.nii.gz"),
        "truth.json",
    ]
    assert {name.split("/")[1] for name in first if name.startswith("dicom/")} == {"MR_T1", "PT"}
    assert first == second


def test_files_give_the_phantom_back(sparse: Phantom, tmp_path: Path) -> None:
    write_phantom(sparse, tmp_path / "phantom")
    for name, volume in sparse.volumes.items():
        read = read_volume(tmp_path / "phantom" / f"{name}.nii.gz")
        assert torch.equal(read.as_tensor(), volume.as_tensor())
        np.testing.assert_allclose(read.affine.numpy(), volume.affine.numpy(), atol=1e-4)
        labels = read_volume(tmp_path / "phantom" / f"{name}_labels.nii.gz")
        assert torch.equal(labels.as_tensor().to(torch.int16), sparse.labels[name].as_tensor())


def test_truth_is_written_in_full(sparse: Phantom, tmp_path: Path) -> None:
    write_phantom(sparse, tmp_path / "phantom")
    truth = json.loads((tmp_path / "phantom" / "truth.json").read_text(encoding="utf-8"))
    for name, pose in sparse.head_to_scanner_ras.items():
        assert np.array_equal(truth["head_to_scanner_ras"][name], pose)
    assert truth["seed"] == 0
    assert truth["labels"]["gray_matter"] == 8
    assert truth["labels"]["lesion_1"] == truth["lesions"][0]["label"]
    assert truth["lesions"][0]["visible_in"] == ["PT", "NM"]
    sidecar = json.loads((tmp_path / "phantom" / "PT.json").read_text(encoding="utf-8"))
    assert sidecar == {"Modality": "PT", "Units": "SUV"}


def test_an_existing_folder_is_left_alone_unless_told(sparse: Phantom, tmp_path: Path) -> None:
    write_phantom(sparse, tmp_path / "phantom")
    with pytest.raises(OutputError):
        write_phantom(sparse, tmp_path / "phantom")
    write_phantom(sparse, tmp_path / "phantom", overwrite=True)
