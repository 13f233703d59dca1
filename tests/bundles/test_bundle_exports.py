"""What a bundle's network becomes elsewhere: checked against its metadata, in TorchScript and in ONNX."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export, trt_export, verify_net_in_out
from shipped_bundles import CHANNELS, NAMES, NETWORKS, WEIGHTS
from skipping import skip_or_fail

from medfuse.bundles import write_bundle
from medfuse.networks import build

PRED = "_meta_::network_data_format::outputs::pred"
SIZES = ((1, 20, 28), (3, 48, 41))  # slices, and pixels down and right

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.parametrize("config", ["inference", "train"])
@pytest.mark.parametrize("name", NAMES)
def test_the_network_takes_and_gives_what_the_metadata_says(shipped: dict[str, Path], name: str, config: str) -> None:
    configs = shipped[name] / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / f"{config}.json")}
    verify_net_in_out(net_id="network_def", device="cpu", n=2, **files)
    with pytest.raises(ValueError, match="output channel number"):
        verify_net_in_out(
            net_id="network_def",
            device="cpu",
            **files,
            **{"_meta_::network_data_format::outputs::pred::num_channels": 2},
        )


@pytest.mark.parametrize("name", NAMES)
def test_torchscript_is_the_network(
    shipped: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(shipped[name])
    ckpt_export(args_file="configs/ckpt_export.json", filepath=str(tmp_path / "model.ts"))
    extra = {"metadata.json": "", "inference.json": ""}
    scripted = torch.jit.load(tmp_path / "model.ts", _extra_files=extra)
    image, network = image_of(name, *SIZES[0]), build(NETWORKS[name], WEIGHTS[name])
    with torch.no_grad():
        torch.testing.assert_close(scripted(image), network(image), rtol=0.0, atol=1e-6)
    metadata = (shipped[name] / "configs" / "metadata.json").read_text(encoding="utf-8")
    assert json.loads(extra["metadata.json"]) == json.loads(metadata)
    assert json.loads(extra["inference.json"])["network_def"]["_target_"].startswith("medfuse.networks.")


@pytest.mark.filterwarnings("ignore")  # of exporters and of what they call
@pytest.mark.parametrize("name", ["cddfuse_fast", "cddfuse_mr_ct", "restormer_denoise"])
def test_onnx_gives_the_same_in_onnxruntime(
    shipped: dict[str, Path], tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of the published architecture a small one, which takes the same way in a fraction of the time."""
    runtime = onnxruntime()
    bundle = (tiny if name == "cddfuse_mr_ct" else shipped)[name]
    monkeypatch.chdir(bundle)
    onnx_export(args_file="configs/onnx_export.json", filepath=str(tmp_path / "model.onnx"))
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    network = network_of(bundle)
    for size in SIZES:
        image = image_of(name, *size)
        with torch.no_grad():
            expected = network(image)
        (found,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0.0, atol=1e-4)


def test_tensorrt_is_exported_where_there_is_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_bundle("cddfuse_fast", tmp_path)
    arguments = json.loads((bundle / "configs" / "trt_export.json").read_text(encoding="utf-8"))
    assert all((bundle / arguments[key]).is_file() for key in ("config_file", "meta_file", "ckpt_file"))
    if not torch.cuda.is_available():
        return
    pytest.importorskip("torch_tensorrt")
    monkeypatch.chdir(bundle)
    trt_export(args_file="configs/trt_export.json")
    image = torch.rand(arguments["input_shape"], device="cuda")
    found = torch.jit.load(bundle / arguments["filepath"])(image)
    torch.testing.assert_close(found, build("cddfuse-fast", "default").cuda()(image), rtol=0.0, atol=1e-2)


def image_of(name: str, number: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(number, CHANNELS[name], height, width)


def onnxruntime() -> Any:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            skip_or_fail(f"{module} is not installed")
    return importlib.import_module("onnxruntime")


def network_of(bundle: Path) -> torch.nn.Module:
    """Return the network of a bundle with its weights."""
    config = json.loads((bundle / "configs" / "inference.json").read_text(encoding="utf-8"))
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    network: torch.nn.Module = ConfigParser(config).get_parsed_content("network_def")
    network.load_state_dict(weights)
    return network.eval()
