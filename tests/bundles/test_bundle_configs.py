"""Each config of each bundle loads as MONAI's workflows load it, and every key of it leads to something."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ignite.distributed as idist
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.networks.utils import convert_to_torchscript
from shipped_bundles import NAMES, RESTORING, free_port
from torch import distributed

from medfuse.bundles.run import FILES

KINDS = {config: "train" if "train" in files else "inference" for config, files in FILES.items()}
ACTIONS = ("initialize", "run", "finalize")


def workflow_of(bundle: Path, config: str, **overrides: object) -> ConfigWorkflow:
    return ConfigWorkflow(
        config_file=[str(bundle / "configs" / f"{name}.json") for name in FILES[config]],
        workflow_type=KINDS[config],
        logging_file=False,
        **{"bundle_root": str(bundle), "device": "cpu", **overrides},
    )


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be the only one that ``torchrun`` has started."""
    for name, value in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1), ("MASTER_PORT", free_port())):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    yield
    if distributed.is_initialized():
        idist.sync()
        idist.finalize()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Path]) -> str:
    """Return a TorchScript network in place of a TensorRT one, which only a GPU runs."""
    monkeypatch.setitem(sys.modules, "torch_tensorrt", ModuleType("torch_tensorrt"))
    workflow = workflow_of(tiny["cddfuse_fast"], "inference")
    workflow.initialize()
    path = str(tmp_path / "model_trt.ts")
    torch.jit.save(convert_to_torchscript(workflow.network_def), path)
    return path


@pytest.mark.usefixtures("alone")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("config", FILES)
@pytest.mark.parametrize("name", NAMES)
def test_every_key_resolves(
    tiny: dict[str, Path], pairs: Path, tmp_path: Path, engine: str, name: str, config: str
) -> None:
    given = {"dataset_dir": str(pairs), "output_dir": str(tmp_path), "trt_path": engine, "patch_size": 41}
    if name in RESTORING:
        given["modalities"] = ["MR", "CT"]  # what the pairs are of
    workflow = workflow_of(tiny[name], config, **given)
    workflow.initialize()
    assert workflow.check_properties() == []
    for key in workflow.parser.config:
        if key not in ("_meta_", "imports", *ACTIONS):
            workflow.parser.get_parsed_content(key)
    assert isinstance(workflow.network_def, torch.nn.Module)
    assert isinstance(workflow.network_def, torch.jit.ScriptModule) == (config == "inference_trt")
