"""What is compared: rules without thought, and networks by name or by file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medfuse.errors import OptionError, WeightsError
from medfuse.evaluation.contestants import TRIVIAL, contestants
from medfuse.networks import CDDFuse, CDDFuseConfig, save_weights

CPU = torch.device("cpu")
IMAGE = torch.rand(2, 2, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_weights(CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1)), path, {})
    return path


def test_trivial_rows_do_what_they_say() -> None:
    first, second = IMAGE.chunk(2, dim=1)
    assert torch.equal(TRIVIAL["copy_first"](IMAGE), first)
    assert torch.equal(TRIVIAL["copy_second"](IMAGE), second)
    assert torch.equal(TRIVIAL["clipped_sum"](IMAGE), (first + second).clamp(max=1.0))


def test_rules_take_part_always_and_a_file_gives_its_name(weights: Path) -> None:
    rows = contestants((), [str(weights)], CPU)
    assert list(rows) == ["tiny", "max", "average", "laplacian", "copy_first", "copy_second", "clipped_sum"]
    with torch.no_grad():
        assert all(fuse(IMAGE).shape == (2, 1, 48, 48) for fuse in rows.values())
        named = contestants((), [f"cddfuse={weights}"], CPU)["tiny"]
        assert torch.equal(named(IMAGE), rows["tiny"](IMAGE))


def test_two_rows_of_one_name_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two rows would be named 'tiny'"):
        contestants((), [str(weights), f"cddfuse={weights}"], CPU)
    with pytest.raises(OptionError, match="two rows would be named 'max'"):
        contestants((), [str(tmp_path / "max.safetensors")], CPU)
    with pytest.raises(OptionError, match="method is 'magic'"):
        contestants((), [f"magic={weights}"], CPU)
    with pytest.raises(WeightsError):
        contestants((), [str(tmp_path / "none.safetensors")], CPU)
