"""Slices through a network and back, as one transform."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from made_volumes import cloud, made
from monai.data import MetaTensor

from medfuse.errors import DeviceError, OptionError, WeightsError
from medfuse.networks import CDDFuse, CDDFuseConfig, save_weights
from medfuse.transforms import FuseSlicesd, StackModalitiesd
from medfuse.transforms.fuse import keep_fixed_outside


def pair() -> dict[str, MetaTensor]:
    data = {"fixed": made(cloud(top=1.0), "MR"), "moving": made(cloud(1, top=1.0), "CT")}
    return StackModalitiesd()(data)


def test_the_fixed_volume_is_kept_where_the_moving_scan_has_not_seen() -> None:
    fused, fixed = torch.rand(2, 1, 3, 4, 5), torch.rand(2, 1, 3, 4, 5)
    inside = torch.rand(2, 1, 3, 4, 5) > 0.5
    kept = keep_fixed_outside(fused, fixed, inside)
    assert torch.equal(kept[inside], fused[inside])
    assert torch.equal(kept[~inside], fixed[~inside])


@pytest.mark.parametrize("plane", ["auto", "axial", "coronal", "sagittal"])
def test_a_pointwise_rule_gives_the_same_in_every_plane(plane: str) -> None:
    data = pair()
    pred = FuseSlicesd(method="max", plane=plane)(data)["pred"]
    expected = torch.maximum(data["fixed"].as_tensor(), data["moving"].as_tensor())
    assert torch.equal(pred.as_tensor(), expected)
    assert torch.equal(pred.affine, data["fixed"].affine)
    assert pred.meta["units"] == "normalized"
    assert "modality" not in pred.meta


def test_the_mask_is_used_where_there_is_one() -> None:
    data = pair()
    inside = made(cloud(2) > 50)
    pred = FuseSlicesd(method="average")({**data, "inside": inside})["pred"]
    outside = inside.as_tensor() == 0
    assert torch.equal(pred.as_tensor()[outside], data["fixed"].as_tensor()[outside])
    everywhere = FuseSlicesd(method="average")(data)["pred"]
    assert torch.equal(pred.as_tensor()[~outside], everywhere.as_tensor()[~outside])


def test_a_network_survives_pickling(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CDDFuse(CDDFuseConfig(channels=16, heads=2, blocks=1, detail_nodes=1))
    save_weights(network, tmp_path / "tiny.safetensors", {})
    transform = FuseSlicesd(weights=str(tmp_path / "tiny.safetensors"), device="cpu")
    data = pair()
    pred = transform(data)["pred"]
    assert pred.shape == data["fixed"].shape
    assert not torch.equal(pred.as_tensor(), data["fixed"].as_tensor())
    assert torch.equal(pickle.loads(pickle.dumps(transform))(data)["pred"].as_tensor(), pred.as_tensor())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"method": "magic"}, OptionError),
        ({"plane": "oblique"}, OptionError),
        ({"device": "foo", "method": "max"}, DeviceError),
        ({"weights": "absent.safetensors"}, WeightsError),
    ],
)
def test_wrong_choices_are_refused_when_it_is_made(wrong: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        FuseSlicesd(**wrong)
