"""Bundles: one written as a folder that stands by itself, from what all share and what is its own."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medfuse.bundles.catalog import COMMON, BundleEntry, find_bundle, read_json
from medfuse.errors import OutputError
from medfuse.io.output_folder import whole_folder
from medfuse.networks import DEFAULT_WEIGHTS, build

_INTO = "::"  # as MONAI's configs write it
_METADATA = "metadata.json"
MARKER = f"configs/{_METADATA}"


def write_bundle(
    name: str, folder: str | Path, weights: str | Path = DEFAULT_WEIGHTS, *, overwrite: bool = False
) -> Path:
    """Write a bundle: configs, documents, license, and weights as ``models/model.pt``.

    Args:
        name: one of ``list_bundles``.
        folder: where to put it; the bundle becomes a folder of its name in there.
        weights: ``"default"``, ``"phantom"`` where shipped for the network, or a weights file of one's own.
        overwrite: replace a bundle that is there.

    Returns:
        The folder of the bundle.

    Raises:
        OptionError: if there is no such bundle.
        WeightsError: if the weights are not for its network.
        OutputError: if the folder cannot be written.
    """
    entry = find_bundle(name)
    network = build(entry.network, entry.weights if str(weights) == DEFAULT_WEIGHTS else weights)
    target = Path(folder) / name
    with whole_folder(target, overwrite, markers=(MARKER,)) as unfinished:
        _write_configs(entry, network, unfinished / "configs")
        _write_documents(entry, unfinished)
        (unfinished / "models").mkdir()
        torch.save(network.state_dict(), unfinished / "models" / "model.pt")
    return target


def filled(config: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which a bundle's own values stand where what all share leaves a place open.

    Args:
        config: what all share; null is an open place.
        own: values by key, ``::`` leads into a group; those for which the config has no open place are left out.
    """
    result = copy.deepcopy(dict(config))
    for key, value in own.items():
        *groups, last = key.split(_INTO)
        group: Any = result
        for name in groups:
            group = group.get(name, {})
        if last in group and group[last] is None:
            group[last] = value
    return result


def _write_configs(entry: BundleEntry, network: nn.Module, folder: Path) -> None:
    folder.mkdir()
    own = {"network_def": _definition(network), **entry.configs}
    for path in (entry.source(f"configs/{each.name}") for each in sorted((COMMON / "configs").iterdir())):
        if path.name == _METADATA:
            _write_json(filled(read_json(path), entry.metadata), folder / path.name)
        elif path.suffix == ".json":
            _write_json(filled(read_json(path), own), folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)


def _definition(network: nn.Module) -> dict[str, Any]:
    """Say in a config's words how to build a network without weights."""
    config: Any = network.config
    home = "medfuse.networks"
    return {
        "_target_": f"{home}.{type(network).__name__}",
        "config": {"_target_": f"{home}.{type(config).__name__}", **asdict(config)},
    }


def _write_documents(entry: BundleEntry, bundle: Path) -> None:
    (bundle / "docs").mkdir()
    parts = [entry.folder / "README.md", entry.source("docs/usage.md")]
    readme = "\n".join(path.read_text(encoding="utf-8") for path in parts).replace("{network}", entry.network)
    readme = readme.replace("{weights}", entry.weights)
    (bundle / "docs" / "README.md").write_text(readme, encoding="utf-8")
    shutil.copyfile(entry.source("docs/data_license.txt"), bundle / "docs" / "data_license.txt")
    (bundle / "LICENSE").write_text(_license(), encoding="utf-8")


def _license() -> str:
    """Return the license of medfuse, which every installation carries."""
    for installed in distributions(name="medfuse"):
        text = installed.read_text("licenses/LICENSE")
        if text:
            return text
    msg = "this installation of medfuse lacks its license file; install it again with pip"
    raise OutputError(msg)


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
