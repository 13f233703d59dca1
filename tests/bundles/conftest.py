"""Bundles written once, a tiny network for those whose real one takes long, and pairs of a phantom to train on."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.utils import set_determinism
from shipped_bundles import NAMES, NETWORKS

from medfuse.bundles import write_bundle
from medfuse.io.volume_files import write_volume
from medfuse.networks import CDDFuseConfig, build, save_weights
from medfuse.options import RegistrationOptions
from medfuse.phantom import Phantom
from medfuse.transforms.register import register_to_fixed


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Undo what MONAI's workflows change in the process: loggers, search path, random numbers."""
    root, path, state, python = logging.getLogger(), list(sys.path), torch.random.get_rng_state(), random.getstate()
    handlers, level, numbers = list(root.handlers), root.level, np.random.get_state()  # noqa: NPY002
    yield
    set_determinism(None)
    root.handlers, root.level, sys.path[:] = handlers, level, path
    torch.random.set_rng_state(state)
    random.setstate(python)
    np.random.set_state(numbers)  # noqa: NPY002


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a small CDDFuse, random and in place of those that are shipped."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(1)
    save_weights(build("cddfuse", config=CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1)), path, {})
    return path


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return all bundles as they are shipped, by name; do not write into them."""
    folder = tmp_path_factory.mktemp("shipped")
    return {name: write_bundle(name, folder) for name in NAMES}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> dict[str, Path]:
    """Return all bundles, those of CDDFuse with a small network; do not write into them."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        name: write_bundle(name, folder, tiny_weights if NETWORKS[name] == "cddfuse" else "default") for name in NAMES
    }


@pytest.fixture(scope="session")
def pairs(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three patients, each a slab of the phantom in MR and CT on one grid."""
    fixed = phantom_small.volumes["MR_T1"]
    still = RegistrationOptions(method="none")
    moving = register_to_fixed(fixed, phantom_small.volumes["CT"], still).moving
    folder = tmp_path_factory.mktemp("pairs")
    for number, first in enumerate((10, 15, 20)):
        for volume, name in ((fixed, "mr"), (moving, "ct")):
            slab = MetaTensor(volume.as_tensor()[..., first : first + 4].clone(), affine=volume.affine)
            write_volume(slab, folder / f"patient{number}" / f"{name}.nii.gz")
    return folder
