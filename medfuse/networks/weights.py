"""Step 5 of 8, network: build a network by name and give it weights.

The one module outside ``io`` that opens files: a weights file is part of a network, as numbers are of a formula.
Files are read with ``weights_only=True`` or safetensors, so that no code inside them runs.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medfuse.errors import OptionError, WeightsError
from medfuse.networks.cddfuse import SKIPS, CDDFuse, CDDFuseConfig
from medfuse.networks.restormer import Restormer, RestormerConfig

StateDict: TypeAlias = dict[str, Tensor]
Config: TypeAlias = CDDFuseConfig | RestormerConfig

NETWORKS = ("cddfuse", "restormer")
DEFAULT_WEIGHTS = "default"

_METADATA_KEY = "medfuse"
_PUBLISHED_CDDFUSE_PARTS = {
    "DIDF_Encoder": "encoder",
    "DIDF_Decoder": "decoder",
    "BaseFuseLayer": "base_fusion",
    "DetailFuseLayer": "detail_fusion",
}
_PUBLISHED_CDDFUSE_NAMES = (
    (r"^module\.", ""),
    (r"^patch_embed\.", "patch_embedding."),
    (r"^encoder_level[12]\.", "blocks."),
    (r"^baseFeature\.", "base_branch."),
    (r"^detailFeature\.", "detail_branch."),
    (r"^reduce_channel\.", "reduce."),
    (r"(^|\.)net\.(\d+)\.", r"\1\2."),
    (r"\btheta_(phi|rho|eta)\.bottleneckBlock\.", r"\1.layers."),
    (r"\bshffleconv\.", "mix."),
)


def build(name: str, weights: str | Path | None = None, config: Config | None = None) -> nn.Module:
    """Build a network by name, ready for inference.

    Args:
        name: ``"cddfuse"``, whose ``forward(image (N, 2, H, W)) -> (N, 1, H, W)`` fuses, or ``"restormer"``.
        weights: ``"default"`` for the weights shipped with medfuse, the path of a ``.safetensors`` file written by
            ``save_weights``, the path of a published ``.pth`` checkpoint, or None for random weights.
        config: the numbers of the network; None takes those stored with the weights, else the published ones.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        OptionError: if no network has that name, or the configuration is not one of that network.
        WeightsError: if the file cannot be read, or a tensor is missing, unexpected or of another shape.
    """
    if name not in NETWORKS:
        msg = f"there is no network named {name!r}; choose one of {', '.join(NETWORKS)}"
        raise OptionError(msg)
    if weights is None:
        return _construct(name, config).eval()
    path = default_weights(name) if weights == DEFAULT_WEIGHTS else Path(weights)
    stored, state = read_weights(path, name)
    network = _construct(name, config or stored)
    load_state(network, state, str(path.name))
    return network.eval()


def default_weights(name: str) -> Path:
    """Return the path of the weights that are shipped for a network.

    Raises:
        WeightsError: if none are shipped.
    """
    path = Path(str(resources.files("medfuse.networks"))) / "pretrained" / f"{name}.safetensors"
    if not path.is_file():
        msg = f"no weights are shipped for {name!r}; give the path of a weights file"
        raise WeightsError(msg)
    return path


def read_weights(path: Path, name: str) -> tuple[Config | None, StateDict]:
    """Read a weights file, in medfuse's own or in the published layout.

    Args:
        path: a ``.safetensors`` file, or a ``.pth`` or ``.pt`` checkpoint.
        name: the network it is for.

    Returns:
        The configuration stored in the file or read off its tensors (None where it says nothing), and the tensors
        under medfuse's names.

    Raises:
        WeightsError: if the file is missing, unreadable, or of no known layout.
    """
    if not path.is_file():
        msg = f"{path}: there is no such weights file; check the path"
        raise WeightsError(msg)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, name)
    checkpoint = _read_checkpoint(path)
    if name == "restormer":
        state = _part(checkpoint, "params", path)
        return restormer_config_of(state), state
    return None, _cddfuse_state(checkpoint, path)


def save_weights(network: nn.Module, path: Path, provenance: Mapping[str, object]) -> None:
    """Write a network's weights as safetensors, with its configuration and where they come from.

    Args:
        network: a ``CDDFuse`` or ``Restormer``.
        path: the file to write.
        provenance: anything that JSON can hold: command, steps, seconds, device, seed, hashes of the data.
    """
    name, config = _describe(network)
    metadata = {"network": name, "config": asdict(config), "provenance": dict(provenance)}
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    save_file(state, str(path), metadata={_METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def read_provenance(path: Path) -> dict[str, object]:
    """Return where the weights in a medfuse safetensors file come from.

    Raises:
        WeightsError: if the file is not one of medfuse's.
    """
    provenance = _metadata(path).get("provenance")
    return dict(provenance) if isinstance(provenance, dict) else {}


def load_state(network: nn.Module, state: StateDict, source: str) -> None:
    """Copy tensors into a network, after checking every name and shape.

    Args:
        network: the network to fill.
        state: its tensors by name.
        source: what to call their file in the message.

    Raises:
        WeightsError: naming the first tensor that is missing, unexpected or of another shape.
    """
    expected = network.state_dict()
    for key, tensor in expected.items():
        if key not in state:
            msg = f"{source}: tensor {key!r} is missing; this file is not for this network"
            raise WeightsError(msg)
        if state[key].shape != tensor.shape:
            msg = f"{source}: tensor {key!r} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
            raise WeightsError(msg)
    for key in state:
        if key not in expected:
            msg = f"{source}: tensor {key!r} is unexpected; this file is not for this network"
            raise WeightsError(msg)
    network.load_state_dict(state)


def restormer_config_of(state: StateDict) -> RestormerConfig:
    """Read the numbers of a Restormer off the shapes of its tensors.

    Raises:
        WeightsError: if a tensor that tells a number is missing.
    """
    levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    try:
        embedding, output = state["patch_embed.proj.weight"], state["output.weight"]
        channels = embedding.shape[0]
        hidden = state["encoder_level1.0.ffn.project_out.weight"].shape[1]
        heads = tuple(state[f"{level}.0.attn.temperature"].shape[0] for level in levels)
    except KeyError as error:
        msg = f"tensor {error} is missing; this is not a Restormer checkpoint"
        raise WeightsError(msg) from None
    blocks = tuple(_count(state, level) for level in levels)
    return RestormerConfig(
        in_channels=embedding.shape[1],
        out_channels=output.shape[0],
        channels=channels,
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        refinement_blocks=_count(state, "refinement"),
        heads=(heads[0], heads[1], heads[2], heads[3]),
        expansion=_expansion_of(state, channels, hidden),
        bias="encoder_level1.0.attn.qkv.bias" in state,
        norm_bias="encoder_level1.0.norm1.body.bias" in state,
        dual_pixel="skip_conv.weight" in state,
    )


def _expansion_of(state: StateDict, channels: int, hidden: int) -> float:
    """Return the published expansion where it fits, else one that gives the widest level's hidden width."""
    published = RestormerConfig.expansion
    if int(channels * published) == hidden:
        return published
    widest = state.get("latent.0.ffn.project_out.weight")
    return widest.shape[1] / (8 * channels) if widest is not None else hidden / channels


def _count(state: StateDict, level: str) -> int:
    found = {match.group(1) for key in state if (match := re.match(rf"{level}\.(\d+)\.", key))}
    return len(found)


def _construct(name: str, config: Config | None) -> nn.Module:
    if name == "cddfuse":
        config = config or CDDFuseConfig()
        if not isinstance(config, CDDFuseConfig):
            msg = f"network 'cddfuse' takes a CDDFuseConfig, not a {type(config).__name__}"
            raise OptionError(msg)
        if config.skip not in SKIPS:
            msg = f"skip is {config.skip!r}; choose one of {', '.join(SKIPS)}"
            raise OptionError(msg)
        return CDDFuse(config)
    config = config or RestormerConfig()
    if not isinstance(config, RestormerConfig):
        msg = f"network 'restormer' takes a RestormerConfig, not a {type(config).__name__}"
        raise OptionError(msg)
    return Restormer(config)


def _describe(network: nn.Module) -> tuple[str, Config]:
    if isinstance(network, CDDFuse):
        return "cddfuse", network.config
    if isinstance(network, Restormer):
        return "restormer", network.config
    msg = f"cannot save a {type(network).__name__}; give a CDDFuse or a Restormer"
    raise OptionError(msg)


def _read_safetensors(path: Path, name: str) -> tuple[Config, StateDict]:
    metadata = _metadata(path)
    if metadata.get("network") != name:
        msg = f"{path}: holds weights of {metadata.get('network')!r}, not of {name!r}"
        raise WeightsError(msg)
    config = _config_from(metadata.get("config"), name, path)
    with safetensors.safe_open(str(path), framework="pt") as file:
        return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _metadata(path: Path) -> dict[str, object]:
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_METADATA_KEY])
    except (OSError, safetensors.SafetensorError, KeyError, json.JSONDecodeError):
        msg = f"{path}: not a safetensors file written by medfuse; check the path, or fetch it again"
        raise WeightsError(msg) from None
    if not isinstance(metadata, dict):
        msg = f"{path}: its description is not a JSON object; fetch it again"
        raise WeightsError(msg)
    return metadata


def _config_from(stored: object, name: str, path: Path) -> Config:
    default: Config = CDDFuseConfig() if name == "cddfuse" else RestormerConfig()
    if not isinstance(stored, dict):
        msg = f"{path}: stores no configuration; fetch it again"
        raise WeightsError(msg)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    try:
        return replace(default, **values)
    except TypeError as error:
        msg = f"{path}: its configuration does not fit this version of medfuse ({error})"
        raise WeightsError(msg) from None


def _read_checkpoint(path: Path) -> Mapping[str, object]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        msg = f"{path}: not a checkpoint of plain tensors; it is damaged, or holds code that is not run"
        raise WeightsError(msg) from None
    if not isinstance(checkpoint, dict):
        msg = f"{path}: holds no named tensors; it is not a checkpoint"
        raise WeightsError(msg)
    return checkpoint


def _part(checkpoint: Mapping[str, object], part: str, path: Path) -> StateDict:
    tensors = checkpoint.get(part)
    if not isinstance(tensors, dict):
        msg = f"{path}: has no part {part!r}; this file is not for this network"
        raise WeightsError(msg)
    for key, tensor in tensors.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            msg = f"{path}: part {part!r} holds {key!r}, which is not a named tensor"
            raise WeightsError(msg)
    return tensors


def _cddfuse_state(checkpoint: Mapping[str, object], path: Path) -> StateDict:
    """Give the tensors of a published CDDFuse checkpoint medfuse's names."""
    state: StateDict = {}
    for published, part in _PUBLISHED_CDDFUSE_PARTS.items():
        for key, tensor in _part(checkpoint, published, path).items():
            for pattern, replacement in _PUBLISHED_CDDFUSE_NAMES:
                key = re.sub(pattern, replacement, key)  # noqa: PLW2901
            state[f"{part}.{key}"] = tensor
    return state
