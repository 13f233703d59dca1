"""Step 5 of 8, network: build a network by name and give it weights.

The one module outside ``io`` that opens files: a weights file is part of a network, as numbers are of a
formula. Files are read with ``weights_only=True`` or as safetensors, so that no code inside them runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medfuse.errors import OptionError, OutputError, WeightsError
from medfuse.networks.cddfuse import CDDFuse, CDDFuseConfig
from medfuse.networks.cddfuse_fast import CDDFuseFast, CDDFuseFastConfig
from medfuse.networks.published import PARTS, from_published, published_name
from medfuse.networks.restormer import Restormer, RestormerConfig
from medfuse.networks.restormer_shapes import restormer_config_of
from medfuse.networks.unfusing import Unfusing, UnfusingConfig

StateDict: TypeAlias = dict[str, Tensor]
Config: TypeAlias = CDDFuseConfig | CDDFuseFastConfig | RestormerConfig | UnfusingConfig

NETWORKS: dict[str, tuple[type[nn.Module], type[Config]]] = {
    "cddfuse": (CDDFuse, CDDFuseConfig),
    "cddfuse-fast": (CDDFuseFast, CDDFuseFastConfig),
    "restormer": (Restormer, RestormerConfig),
    "unfusing": (Unfusing, UnfusingConfig),
}
DEFAULT_WEIGHTS = "default"
PHANTOM_WEIGHTS = "phantom"
CT_WEIGHTS = "ct"
COUNTS_WEIGHTS = "counts"
SHIPPED_WEIGHTS = {  # the ending of the file's name
    DEFAULT_WEIGHTS: "",
    PHANTOM_WEIGHTS: "-phantom",
    CT_WEIGHTS: "-ct",
    COUNTS_WEIGHTS: "-counts",
}

_METADATA_KEY = "medfuse"
_READING_ERRORS = (  # whatever torch's reader of checkpoints raises on a damaged one
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
_LARGEST_NUMBER = 4096  # of channels or blocks in a configuration that a file may ask for


def build(name: str, weights: str | Path | None = None, config: Config | None = None) -> nn.Module:
    """Build a network by name, ready for inference.

    Args:
        name: ``"cddfuse"``, ``"cddfuse-fast"`` or ``"unfusing"``, whose ``forward(image (N, 2, H, W)) -> (N, 1, H, W)``
            fuses, or ``"restormer"``.
        weights: ``"default"``, ``"phantom"``, ``"ct"`` or ``"counts"`` for weights shipped with medfuse (of Restormer
            the default restores MR, ``"counts"`` PET and SPECT), the path of a ``.safetensors`` file that
            ``save_weights`` wrote, the path of a published ``.pth`` checkpoint (of CDDFuse or Restormer), or None for
            random weights.
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
    path = weights_path(name, weights)
    stored, state = read_weights(path, name)
    with torch.device("meta"):  # no memory is taken before the tensors of the file are known to fit
        network = _construct(name, config or stored)
    _check_fit(network, state, path)
    network = network.to_empty(device="cpu")
    network.load_state_dict(state)
    return network.eval()


def weights_path(name: str, weights: str | Path) -> Path:
    """Return the weights file of a network: one that is shipped, by its name, or the path that was given.

    Args:
        name: the network.
        weights: ``"default"``, ``"phantom"`` (learned from phantom slices alone), of Restormer also ``"ct"`` and
            ``"counts"`` (for PET and SPECT), or a path.

    Raises:
        WeightsError: if none of that name are shipped for the network.
    """
    ending = SHIPPED_WEIGHTS.get(str(weights))
    return Path(weights) if ending is None else default_weights(f"{name}{ending}")


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
        The configuration stored in the file or read off its tensors (None where it says nothing), and the
        tensors under medfuse's names.

    Raises:
        WeightsError: if the file is missing, unreadable, or of no known layout.
    """
    if not path.is_file():
        msg = f"{path}: there is no such weights file; check the path"
        raise WeightsError(msg)
    if _is_own(path):
        return _read_safetensors(path, name)
    checkpoint = _read_checkpoint(path)
    if name == "restormer":
        state = _part(checkpoint, "params", path)
        return restormer_config_of(state, path.name), state
    if name != "cddfuse":
        msg = f"{path}: no checkpoint of {name!r} was ever published; give a .safetensors file"
        raise WeightsError(msg)
    return None, from_published({part: _part(checkpoint, part, path) for part in PARTS})


def save_weights(network: nn.Module, path: Path, provenance: Mapping[str, object]) -> None:
    """Write a network's weights as safetensors, with its configuration and where they come from.

    A file that is there is replaced only when the new one is complete.

    Args:
        network: one of the networks that ``build`` makes.
        path: the file to write; its name ends in ``.safetensors``.
        provenance: anything that JSON can hold: command, steps, seconds, device, seed, hashes of the data.

    Raises:
        OptionError: if the network is of another kind, or the file's name ends otherwise.
        OutputError: if the file cannot be written.
    """
    name, config = _describe(network)
    if not _is_own(path):
        msg = f"{path}: weights are written as safetensors; let the name end in .safetensors"
        raise OptionError(msg)
    metadata = {"network": name, "config": asdict(config), "provenance": dict(provenance)}
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(state, str(unfinished), metadata={_METADATA_KEY: json.dumps(metadata, sort_keys=True)})
        unfinished.replace(path)
    except (OSError, safetensors.SafetensorError):
        msg = f"{path}: cannot be written; check that its folder exists, is writable and has space"
        raise OutputError(msg) from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def network_of(path: Path) -> str:
    """Return the name of the network that a weights file is for.

    Raises:
        WeightsError: if the file is missing or unreadable, or does not tell.
    """
    if not path.is_file():
        msg = f"{path}: there is no such weights file; check the path"
        raise WeightsError(msg)
    if not _is_own(path):
        return "cddfuse" if PARTS[0] in _read_checkpoint(path) else "restormer"
    name = _metadata(path).get("network")
    if not isinstance(name, str) or name not in NETWORKS:
        msg = f"{path}: is for {name!r}, which is no network of this version; give another file"
        raise WeightsError(msg)
    return name


def read_provenance(path: Path) -> dict[str, object]:
    """Return where the weights in a medfuse safetensors file come from.

    Raises:
        WeightsError: if the file is not one of medfuse's.
    """
    provenance = _metadata(path).get("provenance")
    return dict(provenance) if isinstance(provenance, dict) else {}


def _is_own(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _check_fit(network: nn.Module, state: StateDict, path: Path) -> None:
    """Refuse tensors that do not fit a network, naming the first that does not."""
    expected = network.state_dict()
    for key, tensor in expected.items():
        found = state.get(key)
        if found is None:
            _refuse(path, key, "is missing; this file is not for this network")
        elif found.shape != tensor.shape:
            shapes = f"{tuple(found.shape)}, expected {tuple(tensor.shape)}"
            _refuse(path, key, f"has shape {shapes}; this file is not for this network")
        elif not found.is_floating_point() or not torch.isfinite(found).all():
            _refuse(path, key, "holds values that are not finite numbers; fetch the file again")
    for key in state:
        if key not in expected:
            _refuse(path, key, "is unexpected; this file is not for this network")


def _refuse(path: Path, key: str, why: str) -> NoReturn:
    msg = f"{path.name}: tensor {_name(key, path)} {why}"
    raise WeightsError(msg)


def _name(key: str, path: Path) -> str:
    """Call a tensor as its file does, and as medfuse does where that differs."""
    published = key if _is_own(path) else published_name(key)
    return repr(key) if published == key else f"{published!r} ({key!r} in medfuse)"


def _construct(name: str, config: Config | None) -> nn.Module:
    network, kind = NETWORKS[name]
    config = config or kind()
    if not isinstance(config, kind):
        msg = f"network {name!r} takes a {kind.__name__}, not a {type(config).__name__}"
        raise OptionError(msg)
    return network(config)


def _describe(network: nn.Module) -> tuple[str, Config]:
    for name, (kind, _) in NETWORKS.items():
        if isinstance(network, kind):
            config: Config = network.config  # type: ignore[assignment]
            return name, config
    kinds = ", ".join(kind.__name__ for kind, _ in NETWORKS.values())
    msg = f"cannot save a {type(network).__name__}; give one of {kinds}"
    raise OptionError(msg)


def _read_safetensors(path: Path, name: str) -> tuple[Config, StateDict]:
    metadata = _metadata(path)
    if metadata.get("network") != name:
        msg = f"{path}: holds weights of {metadata.get('network')!r}, not of {name!r}; give another file"
        raise WeightsError(msg)
    config = _config_from(metadata.get("config"), name, path)
    with safetensors.safe_open(str(path), framework="pt") as file:
        return config, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _metadata(path: Path) -> dict[str, object]:
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_METADATA_KEY])
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, RecursionError):
        msg = f"{path}: not a safetensors file written by medfuse; check the path, or fetch it again"
        raise WeightsError(msg) from None
    if not isinstance(metadata, dict):
        msg = f"{path}: its description is not a JSON object; fetch it again"
        raise WeightsError(msg)
    return metadata


def _config_from(stored: object, name: str, path: Path) -> Config:
    """Make a configuration of what a file says, which may be anything."""
    kind = NETWORKS[name][1]
    default = asdict(kind())
    values = stored if isinstance(stored, dict) else {}
    wrong = [key for key, value in values.items() if key not in default or not _is_like(value, default[key])]
    if not values or wrong:
        msg = f"{path}: its configuration does not fit this version of medfuse ({', '.join(wrong) or 'none'})"
        raise WeightsError(msg)
    numbers: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**numbers)
    except OptionError as error:
        msg = f"{path}: its configuration makes no network: {error}"
        raise WeightsError(msg) from None


def _is_like(value: Any, default: Any) -> bool:
    """Tell whether a value read from JSON has the type of a default, and no absurd size."""
    if isinstance(default, tuple):
        return (
            isinstance(value, list) and len(value) == len(default) and all(_is_like(each, default[0]) for each in value)
        )
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, str):
        return isinstance(value, str)
    whole = isinstance(default, int)
    return isinstance(value, int if whole else (int, float)) and 0 <= value <= _LARGEST_NUMBER


def _read_checkpoint(path: Path) -> Mapping[str, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's doubts about a damaged file; it is judged below
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except _READING_ERRORS:
        msg = f"{path}: not a checkpoint of plain tensors; it is damaged, or holds code, which is not run"
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
