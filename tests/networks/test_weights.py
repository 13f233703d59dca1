"""Weights files: what is saved comes back, and what does not fit is refused by name."""

from __future__ import annotations

import json
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medfuse.errors import OptionError, OutputError, WeightsError
from medfuse.networks import (
    CDDFuse,
    CDDFuseConfig,
    Restormer,
    RestormerConfig,
    build,
    default_weights,
    read_provenance,
    save_weights,
    weights_path,
)
from medfuse.networks.published import from_published, published_name
from medfuse.networks.restormer_shapes import restormer_config_of

SMALL = CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1, scale_clamp=2.0, skip="sum")
SMALL_RESTORMER = RestormerConfig(
    in_channels=1, out_channels=1, channels=8, blocks=(1, 2, 1, 1), refinement_blocks=1, heads=(1, 2, 2, 4)
)
PARTS = {
    "DIDF_Encoder": "encoder.",
    "DIDF_Decoder": "decoder.",
    "BaseFuseLayer": "base_fusion.",
    "DetailFuseLayer": "detail_fusion.",
}


@pytest.fixture
def network() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(SMALL).eval()


@pytest.fixture
def saved(network: CDDFuse, tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(network, path, {"seed": 7})
    return path


def published_checkpoint(network: CDDFuse) -> dict[str, dict[str, Tensor]]:
    """Lay out a network's tensors as published files do."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for name, tensor in network.state_dict().items():
        part, key = published_name(name).split("/")
        parts[part][f"module.{key}"] = tensor
    return parts


def rewritten(path: Path, change: object) -> Path:
    """Write a weights file again with another description."""
    save_file(load_file(path), path, metadata={"medfuse": json.dumps(change)})
    return path


def test_saved_network_comes_back_equal(network: CDDFuse, saved: Path) -> None:
    again = build("cddfuse", saved)
    assert isinstance(again, CDDFuse)
    assert again.config == SMALL
    assert not again.training
    assert all(weight.device.type == "cpu" and weight.requires_grad for weight in again.parameters())
    image = torch.rand(1, 2, 9, 8)
    assert torch.equal(again(image), network(image))


def test_saved_restormer_comes_back_equal(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Restormer(SMALL_RESTORMER).eval()
    save_weights(network, tmp_path / "weights.safetensors", {})
    again = build("restormer", tmp_path / "weights.safetensors")
    assert again.config == SMALL_RESTORMER
    image = torch.rand(1, 1, 9, 8)
    assert torch.equal(again(image), network(image))


def test_provenance_comes_back(saved: Path) -> None:
    assert read_provenance(saved) == {"seed": 7}


def test_given_numbers_go_before_stored_ones(saved: Path) -> None:
    assert build("cddfuse", saved, replace(SMALL, skip="none")).skip == "none"


def test_saving_leaves_no_other_file(saved: Path) -> None:
    assert os.listdir(saved.parent) == [saved.name]


def test_interrupted_saving_keeps_the_earlier_file(
    network: CDDFuse, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(_state: object, path: str, **_kwargs: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr("medfuse.networks.weights.save_file", fill_the_disk)
    with pytest.raises(OutputError, match="cannot be written"):
        save_weights(network, saved, {})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_saving_into_no_folder_is_refused(network: CDDFuse, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder exists"):
        save_weights(network, tmp_path / "none" / "weights.safetensors", {})


def test_saving_under_a_foreign_ending_is_refused(network: CDDFuse, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"end in \.safetensors"):
        save_weights(network, tmp_path / "weights.pth", {})


def test_saving_another_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Linear"):
        save_weights(nn.Linear(1, 1), tmp_path / "weights.safetensors", {})


def test_published_layout_loads(tmp_path: Path, network: CDDFuse) -> None:
    path = tmp_path / "published.pth"
    torch.save(published_checkpoint(network), path)
    again = build("cddfuse", path, SMALL)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_published_names_come_back(network: CDDFuse) -> None:
    names = list(network.state_dict())
    published = {part: {} for part in PARTS}
    for name in names:
        part, key = published_name(name).split("/")
        assert name.startswith(PARTS[part])
        published[part][key] = torch.empty(0)
    assert set(from_published(published)) == set(names)


def test_every_published_name_is_known(shared: Path) -> None:
    checkpoint = torch.load(shared / "reference" / "cddfuse_random_checkpoint.pth", weights_only=True)
    names = [f"{part}/{key.removeprefix('module.')}" for part in PARTS for key in checkpoint[part]]
    with torch.device("meta"):
        own = CDDFuse(CDDFuseConfig()).state_dict()
    assert sorted(published_name(name) for name in own) == sorted(names)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("encoder.base_branch.attn.scale"), "'encoder.base_branch.attn.scale' is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "'extra' is unexpected"),
        (
            lambda state: state.update({"decoder.reduce.weight": torch.zeros(8, 16, 3, 3)}),
            r"'decoder.reduce.weight' has shape \(8, 16, 3, 3\), expected \(8, 16, 1, 1\)",
        ),
        (
            lambda state: state["decoder.reduce.weight"].fill_(torch.nan),
            "'decoder.reduce.weight' holds values that are not finite",
        ),
        (
            lambda state: state.update({"decoder.reduce.weight": torch.zeros(8, 16, 1, 1, dtype=torch.int32)}),
            "'decoder.reduce.weight' holds values that are not finite",
        ),
    ],
)
def test_first_tensor_that_does_not_fit_is_named(
    network: CDDFuse, tmp_path: Path, change: object, problem: str
) -> None:
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    change(state)
    save_weights(network, tmp_path / "right.safetensors", {})
    metadata = {"network": "cddfuse", "config": {"channels": 8, "heads": 2, "blocks": 1, "detail_nodes": 1}}
    save_file(state, tmp_path / "wrong.safetensors", metadata={"medfuse": json.dumps(metadata)})
    with pytest.raises(WeightsError, match=problem) as caught:
        build("cddfuse", tmp_path / "wrong.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda parts: parts["DIDF_Encoder"].pop("module.baseFeature.attn.scale"), "baseFeature.attn.scale.* missing"),
        (lambda parts: parts["DIDF_Decoder"].update(odd=torch.zeros(1)), "'DIDF_Decoder/odd' is unexpected"),
        (
            lambda parts: parts["BaseFuseLayer"].update({"module.norm1.body.weight": torch.zeros(3)}),
            r"'BaseFuseLayer/norm1.body.weight' .* has shape \(3,\), expected \(8,\)",
        ),
        (lambda parts: parts.pop("DetailFuseLayer"), "no part 'DetailFuseLayer'"),
        (lambda parts: parts["DIDF_Decoder"].update(odd="text"), "'odd', which is not a named tensor"),
    ],
)
def test_first_published_tensor_that_does_not_fit_is_named_as_published(
    network: CDDFuse, tmp_path: Path, change: object, problem: str
) -> None:
    parts = published_checkpoint(network)
    change(parts)
    torch.save(parts, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=problem):
        build("cddfuse", tmp_path / "wrong.pth", SMALL)


@pytest.mark.parametrize("content", [[1, 2], {"params": [1]}, {"other": {}}, torch.zeros(3)])
def test_another_layout_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    for name in ("cddfuse", "restormer"):
        with pytest.raises(WeightsError, match=r"no part|no named tensors"):
            build(name, tmp_path / "odd.pth")


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "trap.pth"
    if zipped:
        torch.save({"params": _Trap(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"params": _Trap(trace)}))
    with pytest.raises(WeightsError, match="holds code"):
        build("cddfuse", path)
    assert not trace.exists()


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_damaged_files_are_refused(network: CDDFuse, tmp_path: Path, ending: str) -> None:
    whole, damaged = tmp_path / f"whole.{ending}", tmp_path / f"damaged.{ending}"
    if ending == "pth":
        torch.save(published_checkpoint(network), whole)
    else:
        save_weights(network, whole, {})
    content = whole.read_bytes()
    chance = random.Random(0)
    noise = [chance.randbytes(200), b"\x80\x02" + chance.randbytes(200), b"\x80\x02}q\x00(X\x01\x00\x00\x00ah."]
    for bad in [b"", b"text\n", content[:100], content[: len(content) // 2], content[:-1], *noise]:
        damaged.write_bytes(bad)
        with pytest.raises(WeightsError, match="damaged"):
            build("cddfuse", damaged, SMALL)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth: there is no such weights file"):
        build("cddfuse", tmp_path / "none.pth")


def test_weights_of_another_network_are_refused(saved: Path) -> None:
    with pytest.raises(WeightsError, match="holds weights of 'cddfuse', not of 'restormer'"):
        build("restormer", saved)


@pytest.mark.parametrize(
    "description",
    [
        [],
        {"network": "cddfuse"},
        {"network": "cddfuse", "config": {}},
        {"network": "cddfuse", "config": [1]},
        {"network": "cddfuse", "config": {"depth": 3}},
        {"network": "cddfuse", "config": {"channels": "8"}},
        {"network": "cddfuse", "config": {"channels": 8.0}},
        {"network": "cddfuse", "config": {"channels": True}},
        {"network": "cddfuse", "config": {"channels": 10**12}},
        {"network": "cddfuse", "config": {"channels": -8}},
        {"network": "cddfuse", "config": {"expansion": float("nan")}},
        {"network": "cddfuse", "config": {"channels": 9}},
        {"network": "cddfuse", "config": {"skip": "both"}},
        {"network": "cddfuse", "config": {"channels": 4096, "blocks": 4}},
    ],
)
def test_odd_description_is_refused(saved: Path, description: object) -> None:
    with pytest.raises(WeightsError, match="weights"):
        build("cddfuse", rewritten(saved, description))


def test_restormer_description_holds_lists_of_the_right_length(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(Restormer(SMALL_RESTORMER), path, {})
    rewritten(path, {"network": "restormer", "config": {"blocks": [1, 1, 1]}})
    with pytest.raises(WeightsError, match="blocks"):
        build("restormer", path)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(OptionError, match="choose one of cddfuse, cddfuse-fast, restormer, unfusing"):
        build("unet")


@pytest.mark.parametrize(("name", "config"), [("cddfuse", SMALL_RESTORMER), ("restormer", SMALL)])
def test_numbers_of_another_network_are_refused(name: str, config: CDDFuseConfig | RestormerConfig) -> None:
    with pytest.raises(OptionError, match="Config"):
        build(name, config=config)


def test_network_without_shipped_weights_is_refused() -> None:
    with pytest.raises(WeightsError, match="no weights are shipped for 'nothing'"):
        default_weights("nothing")


@pytest.mark.parametrize(
    "config",
    [
        SMALL_RESTORMER,
        RestormerConfig(1, 1, 16, (1, 1, 1, 1), 0, expansion=2.66, bias=True),
        RestormerConfig(1, 1, 18, (1, 1, 1, 1), 1, (1, 2, 4, 8), expansion=2.37, norm_bias=False),
        RestormerConfig(2, 1, 10, (1, 1, 1, 1), 1, (1, 2, 4, 8), expansion=1.0 / 3.0, dual_pixel=True),
        RestormerConfig(1, 1, 8, (1, 1, 1, 1), 1, expansion=3.0),
    ],
)
def test_restormer_numbers_are_read_off_its_tensors(config: RestormerConfig) -> None:
    with torch.device("meta"):
        state = Restormer(config).state_dict()
        found = restormer_config_of(state, "file")
        again = Restormer(found).state_dict()
    assert replace(found, expansion=config.expansion) == config
    assert {name: tensor.shape for name, tensor in again.items()} == {
        name: tensor.shape for name, tensor in state.items()
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("latent.0.attn.temperature"), "'latent.0.attn.temperature' is missing"),
        (lambda state: state.update({"output.weight": torch.zeros(1)}), "'output.weight' has shape"),
        (
            lambda state: state.update({"latent.0.ffn.project_out.weight": torch.zeros(64, 3, 1, 1)}),
            "feed-forward widths",
        ),
        (lambda state: state.update({"latent.0.attn.temperature": torch.zeros(5, 1, 1)}), "heads"),
    ],
)
def test_tensors_that_make_no_restormer_are_refused(change: object, problem: str) -> None:
    state = Restormer(SMALL_RESTORMER).state_dict()
    change(state)
    with pytest.raises(WeightsError, match=problem):
        restormer_config_of(state, "file")


def test_weights_from_phantoms_alone_are_shipped_under_their_name() -> None:
    path = weights_path("cddfuse-fast", "phantom")
    assert path.name == "cddfuse-fast-phantom.safetensors"
    images = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    by_phantoms, by_default = build("cddfuse-fast", "phantom")(images), build("cddfuse-fast")(images)
    assert not torch.allclose(by_phantoms, by_default, atol=1e-3)


def test_there_are_none_for_the_published_architecture() -> None:
    with pytest.raises(WeightsError, match="no weights are shipped for 'cddfuse-phantom'"):
        weights_path("cddfuse", "phantom")
