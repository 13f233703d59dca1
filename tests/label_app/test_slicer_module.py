"""The module for 3D Slicer, as far as it goes without Slicer: its panel, and how it uses the scene."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from MedfuseFusionLib.client import FusionClient, ServerError
from MedfuseFusionLib.logic import FusionLogic, Scene, in_words


class Bare:
    """Stands for the classes of Slicer that modules derive from."""

    def __init__(self, *_: Any) -> None:
        self.layout = MagicMock()

    def setup(self) -> None:
        """Do nothing, as there is no window."""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the module where stand-ins take the place of Slicer."""
    slicer = MagicMock()
    scripted = ModuleType("slicer.ScriptedLoadableModule")
    for name in ("ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleWidget"):
        setattr(scripted, name, type(name, (Bare,), {}))
    stubs = {"slicer": slicer, "slicer.ScriptedLoadableModule": scripted, "qt": MagicMock(), "ctk": MagicMock()}
    for name, stub in stubs.items():
        monkeypatch.setitem(sys.modules, name, stub)
    yield importlib.import_module("MedfuseFusion")
    sys.modules.pop("MedfuseFusion")


def test_the_scene_of_slicer_is_what_the_logic_needs(module: ModuleType) -> None:
    needed = {name: method for name, method in vars(Scene).items() if inspect.isfunction(method) and name[0] != "_"}
    assert set(needed) == {"name", "series_uid", "modality", "save", "load"}
    for name, method in needed.items():
        given = inspect.signature(getattr(module.SlicerScene, name))
        assert list(given.parameters) == list(inspect.signature(method).parameters)


def test_a_result_is_loaded_as_a_volume_and_not_as_a_labelmap(module: ModuleType) -> None:
    module.SlicerScene().load(Path("fused.nii.gz"), "MR + CT")
    path, properties = module.slicer.util.loadVolume.call_args.args
    assert path == "fused.nii.gz"
    assert properties == {"name": "MR + CT", "labelmap": False, "singleFile": True}


def test_the_panel_says_what_the_server_says(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ServerError(422, "registration FAIL: the transform is wrong")

    monkeypatch.setattr(module.MedfuseFusionLogic, "fuse", refuse)
    widget = module.MedfuseFusionWidget()
    widget.setup()
    widget.on_fuse()
    assert widget.said.text == "registration FAIL: the transform is wrong"
    widget.fixed = MagicMock(currentNode=lambda: None)
    widget.on_fuse()
    assert widget.said.text == "Choose two volumes."


def test_what_was_sent_is_removed_though_the_fusion_fails(tmp_path: Path) -> None:
    client, scene = MagicMock(), MagicMock()
    client.images.return_value = ["1.2.3"]
    client.upload.side_effect = lambda path, image_id, modality: image_id
    client.fuse.side_effect = ServerError(422, "no")
    scene.series_uid.side_effect = lambda volume: {"mr": "1.2.3"}.get(volume)
    with pytest.raises(ServerError, match="no"):
        FusionLogic(client, scene).fuse("mr", "ct", {})
    fixed, moving, _, _ = client.fuse.call_args.args
    assert fixed == "1.2.3"
    client.remove.assert_called_once_with(moving)


def test_no_server_is_said_in_one_line() -> None:
    with pytest.raises(ServerError, match="begins with http") as refused:
        FusionClient("localhost:8000")
    assert refused.value.status == 0
    with pytest.raises(ServerError, match=r"no server answers at http://127\.0\.0\.1:9"):
        FusionClient("http://127.0.0.1:9", timeout_s=5).images()


def test_a_verdict_is_said_in_words() -> None:
    told = {
        "verdict": {"grade": "warn", "estimated_error_mm": 2.34, "reasons": ["It is doubtful."]},
        "notes": ["Note."],
    }
    assert in_words(told) == "Registration: WARN, estimated error 2.3 mm.\nIt is doubtful.\nNote."
