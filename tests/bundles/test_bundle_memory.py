"""The bundle's switch for training without stored activations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.saved_bytes import saved_bytes
from monai.bundle import ConfigParser

from medfuse.networks import CDDFuse
from medfuse.networks.reversible import InvertibleSequence


@pytest.mark.parametrize("config", ["train", "inference"])
def test_one_word_lets_a_bundle_train_without_stored_activations(tiny: dict[str, Path], config: str) -> None:
    networks = []
    for memory in ("recorded", "reversible"):
        parser = ConfigParser()
        parser.read_config(tiny["cddfuse_mr_ct"] / "configs" / f"{config}.json")
        parser["network_def#config#memory"] = memory
        networks.append(parser.get_parsed_content("network_def"))
    recorded, reversible = networks
    assert isinstance(reversible, CDDFuse)
    assert isinstance(reversible.encoder.detail_branch, InvertibleSequence)
    reversible.load_state_dict(recorded.state_dict())
    image = torch.rand(1, 2, 16, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(recorded(image), reversible(image))
    assert saved_bytes(reversible, image) < saved_bytes(recorded, image)
