"""Devices are refused in one line, and memory that runs out gives a hint."""

from __future__ import annotations

import pytest
import torch

from medfuse.errors import DeviceError
from medfuse.inferers import method
from medfuse.inferers.device import memory_hint, resolve_device
from medfuse.inferers.method import fusion_method
from medfuse.networks.rules import RULES


def test_auto_takes_what_is_there() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:77", "foo", "", "cuda:-1", "cpu:x", "hpu:7", "xla", "cpu\n"])
def test_an_unknown_device_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DeviceError, match=r"there is no device .* here; choose auto or one of cpu") as raised:
        resolve_device(name)
    assert "\n" not in str(raised.value)


def test_a_device_that_computes_nothing_is_refused() -> None:
    with pytest.raises(DeviceError, match="'meta' computes nothing"):
        resolve_device("meta")


@pytest.mark.parametrize(
    ("device", "slices_per_batch", "hint"),
    [
        ("cuda:0", 4, "try fewer than 4 slices per batch, device cpu, smaller volumes$"),
        ("cuda:0", 1, "try device cpu, smaller volumes$"),
        ("cpu", 2, "try fewer than 2 slices per batch, smaller volumes$"),
        ("cpu", 1, "try smaller volumes$"),
    ],
)
def test_the_hint_names_what_can_still_be_tried(device: str, slices_per_batch: int, hint: str) -> None:
    message = "CUDA out of memory"
    with pytest.raises(DeviceError, match=hint), memory_hint(torch.device(device), slices_per_batch):
        raise torch.OutOfMemoryError(message)


def test_a_network_too_large_for_the_device_gives_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        def to(self, *_args: object, **_kwargs: object) -> None:
            message = "CUDA out of memory"
            raise torch.OutOfMemoryError(message)

    monkeypatch.setattr(method, "build", lambda *_args: Large())
    with pytest.raises(DeviceError, match="ran out of memory"):
        fusion_method("cddfuse", "default", torch.device("cuda:0"))


def test_rules_need_no_weights() -> None:
    for name, rule in RULES.items():
        assert fusion_method(name, "absent", torch.device("cpu")) is rule
