"""Volumes of the dictionary as files."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from made_volumes import cloud, made

from medfuse.errors import OutputError
from medfuse.io.volume_files import read_volume
from medfuse.transforms import SaveVolumed


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    volume = made(cloud(), "MR")
    transform = pickle.loads(pickle.dumps(SaveVolumed("pred")))
    data = {"pred": volume, "pred_path": tmp_path / "new" / "pred.nrrd"}
    done = transform(data)
    assert done == data
    assert torch.equal(read_volume(tmp_path / "new" / "pred.nrrd").as_tensor(), volume.as_tensor())


def test_the_key_of_the_path_can_be_chosen(tmp_path: Path) -> None:
    SaveVolumed("a", path_key_postfix="_file")({"a": made(cloud()), "a_file": str(tmp_path / "a.mha")})
    assert (tmp_path / "a.mha").is_file()


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="extension"):
        SaveVolumed("a")({"a": made(cloud()), "a_path": tmp_path / "a.png"})
    assert list(tmp_path.iterdir()) == []
