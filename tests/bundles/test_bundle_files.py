"""What a written bundle holds: every file of the specification, true to the weights and figures it comes from."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata
from shipped_bundles import FUSING, NAMES, NETWORKS, RESTORING, WEIGHTS

import medfuse
from medfuse.bundles import write_bundle
from medfuse.bundles.write import filled
from medfuse.errors import OptionError, OutputError, WeightsError
from medfuse.networks import build, weights_path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    *("metadata.json", "metadata_schema.json", "train.json", "inference.json", "evaluate.json"),
    *("multi_gpu_train.json", "multi_gpu_evaluate.json", "inference_trt.json", "logging.conf"),
    *("ckpt_export.json", "onnx_export.json", "trt_export.json"),
}


def set_in(content: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a key, ``::`` leading into groups."""
    *groups, last = key.split("::")
    for group in groups:
        content = content[group]
    content[last] = value


def targets(content: Any) -> Iterator[str]:
    """Yield every ``_target_`` of a config."""
    if isinstance(content, dict):
        yield from [content["_target_"]] if "_target_" in content else []
        content = list(content.values())
    if isinstance(content, list):
        for each in content:
            yield from targets(each)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_has_every_file_and_no_code(shipped: dict[str, Path], name: str) -> None:
    files = {path.relative_to(shipped[name]).as_posix() for path in shipped[name].rglob("*") if path.is_file()}
    documents = {"docs/README.md", "docs/data_license.txt", "LICENSE", "models/model.pt"}
    assert files == {f"configs/{config}" for config in CONFIGS} | documents


@pytest.mark.parametrize("name", NAMES)
def test_targets_are_of_medfuse_torch_and_monai(shipped: dict[str, Path], name: str) -> None:
    for config in (shipped[name] / "configs").glob("*.json"):
        for target in targets(json.loads(config.read_text(encoding="utf-8"))):
            home, _, _ = target.rpartition(".")
            assert home.partition(".")[0] in ("", "medfuse", "torch", "monai"), target


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_that_are_shipped(shipped: dict[str, Path], name: str) -> None:
    state = torch.load(shipped[name] / "models" / "model.pt", weights_only=True)
    expected = build(NETWORKS[name], WEIGHTS[name]).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    parser = ConfigParser()
    parser.read_config(shipped[name] / "configs" / "inference.json")
    parser.get_parsed_content("network_def").load_state_dict(state)


@pytest.mark.filterwarnings("ignore:No hash value provided")
@pytest.mark.parametrize("name", NAMES)
def test_metadata_is_verified_without_a_network(
    shipped: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    configs = shipped[name] / "configs"
    verify_metadata(meta_file=str(configs / "metadata.json"), filepath=str(configs / "metadata_schema.json"))


@pytest.mark.filterwarnings("ignore:No hash value provided")
@pytest.mark.parametrize(
    "broken",
    [
        {"version": "one"},
        {"changelog": {}},
        {"network_data_format::inputs::image::num_channels": "two"},
        {"network_data_format::outputs::pred::value_range": [0]},
        {"task": None},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_metadata_that_is_wrong_is_found(shipped: dict[str, Path], tmp_path: Path, broken: dict[str, Any]) -> None:
    configs = shipped["cddfuse_fast"] / "configs"
    metadata = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))
    set_in(metadata, *next(iter(broken.items())))
    (tmp_path / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(configs / "metadata_schema.json"))


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_says_what_is_true(shipped: dict[str, Path], name: str) -> None:
    metadata = json.loads((shipped[name] / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["version"] in metadata["changelog"]
    assert metadata["required_packages_version"]["medfuse"] == medfuse.__version__
    image = metadata["network_data_format"]["inputs"]["image"]
    assert len(image["channel_def"]) == image["num_channels"]
    inference = json.loads((shipped[name] / "configs" / "inference.json").read_text(encoding="utf-8"))
    if name in RESTORING:
        assert image["modality"].split(", ") == inference["expected_modalities"]
    elif inference["expected_modalities"] is not None:
        assert list(image["channel_def"].values()) == inference["expected_modalities"]


@pytest.mark.parametrize("name", FUSING)
def test_figures_are_those_of_the_page_on_weights(shipped: dict[str, Path], name: str) -> None:
    page = (ROOT / "docs" / "concepts" / "weights.md").read_text(encoding="utf-8")
    readme = (shipped[name] / "docs" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\|$", readme, re.MULTILINE)
    assert any(f"`{NETWORKS[name]}`" in row for row in rows)
    assert [row for row in rows if row not in page] == []
    metadata = json.loads((shipped[name] / "configs" / "metadata.json").read_text(encoding="utf-8"))
    sections = dict(re.findall(r"^### (CT|PET|SPECT)-MRI\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL))
    modalities = list(sections) if name == "cddfuse_fast" else [name.rpartition("_")[2].upper()]
    for modality in modalities:
        row = next(line for line in sections[modality].splitlines()[::-1] if line.startswith(f"| `{NETWORKS[name]}` |"))
        ending = f"_{modality}" if name == "cddfuse_fast" else ""
        stated = [
            metadata["eval_metrics"][f"{measure}{ending}"] for measure in ("VIF_worst", "Qabf_worst", "lost_worst")
        ]
        assert stated == [float(cell) for cell in row.split("|")[2:5]]


@pytest.mark.parametrize("name", NAMES)
def test_the_license_is_that_of_the_project(shipped: dict[str, Path], name: str) -> None:
    text = (shipped[name] / "LICENSE").read_text(encoding="utf-8")
    assert text.split() == (ROOT / "LICENSE").read_text(encoding="utf-8").split()
    assert "research use" in (shipped[name] / "docs" / "data_license.txt").read_text(encoding="utf-8")


def test_own_values_fill_open_places_and_nothing_else() -> None:
    common = {"a": 1, "open": None, "group": {"open": None, "c": 3}}
    own = {"a": 9, "open": 5, "group::open": 6, "group::c": 9, "group::e": 9, "none::f": 9, "d": 9}
    assert filled(common, own) == {"a": 1, "open": 5, "group": {"open": 6, "c": 3}}
    assert common == {"a": 1, "open": None, "group": {"open": None, "c": 3}}


def test_weights_of_ones_own_bring_their_network(tiny: dict[str, Path], tiny_weights: Path) -> None:
    config = json.loads((tiny["cddfuse_mr_ct"] / "configs" / "train.json").read_text(encoding="utf-8"))
    assert config["network_def"]["config"]["channels"] == 8
    with pytest.raises(WeightsError, match="tiny"):
        write_bundle("cddfuse_fast", tiny_weights.parent, tiny_weights)
    assert not (tiny_weights.parent / "cddfuse_fast").exists()


def test_phantom_weights_can_be_put_in(tmp_path: Path) -> None:
    bundle = write_bundle("cddfuse_fast", tmp_path, "phantom")
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    expected = build("cddfuse-fast", weights_path("cddfuse-fast", "phantom")).state_dict()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_what_cannot_be_written_is_refused(shipped: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="bundle is 'cddfuse'; choose one of cddfuse_fast, "):
        write_bundle("cddfuse", tmp_path)
    with pytest.raises(OutputError, match="exists"):
        write_bundle("cddfuse_fast", shipped["cddfuse_fast"].parent)
    (tmp_path / "cddfuse_fast").mkdir()
    (tmp_path / "cddfuse_fast" / "thesis.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(OutputError, match=r"no configs/metadata\.json in it"):
        write_bundle("cddfuse_fast", tmp_path, overwrite=True)


def test_a_bundle_is_replaced_if_asked(tmp_path: Path) -> None:
    model = write_bundle("cddfuse_fast", tmp_path) / "models" / "model.pt"
    model.write_bytes(b"")
    write_bundle("cddfuse_fast", tmp_path, overwrite=True)
    assert torch.load(model, weights_only=True)
