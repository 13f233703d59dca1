"""A two-dimensional network over a volume: what MONAI's SliceInferer gives, and black stays black."""

from __future__ import annotations

import pytest
import torch
from made_volumes import cloud, made
from monai.data import MetaTensor
from monai.inferers import SliceInferer
from torch import Tensor, nn

from medfuse.errors import DeviceError
from medfuse.inferers import SlicewiseInferer
from medfuse.inferers.slicewise import batch_size, fuse_slices

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 1, 3, padding=1)).eval()


@pytest.fixture(scope="module")
def volumes() -> Tensor:
    return torch.rand(2, 2, 6, 7, 8, generator=torch.Generator().manual_seed(1))


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []

    def start(self, step: str) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        self.heard.append((done, total))

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("spatial_dim", [0, 1, 2])
def test_it_gives_what_monai_gives(network: nn.Module, volumes: Tensor, spatial_dim: int) -> None:
    with torch.inference_mode():
        expected = SliceInferer(roi_size=(-1, -1), spatial_dim=spatial_dim, sw_batch_size=3)(volumes, network)
    fused = SlicewiseInferer(spatial_dim)(volumes, network)
    assert fused.shape == expected.shape
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("slices_per_batch", [1, 2, 3, 100])
def test_the_size_of_a_batch_does_not_matter(network: nn.Module, volumes: Tensor, slices_per_batch: int) -> None:
    one_by_one = SlicewiseInferer(2, 1)(volumes, network)
    torch.testing.assert_close(SlicewiseInferer(2, slices_per_batch)(volumes, network), one_by_one, rtol=0, atol=1e-6)


def test_black_slices_stay_black_and_are_not_computed() -> None:
    seen = []

    def draws_something(slices: Tensor) -> Tensor:
        seen.append(len(slices))
        return slices.new_ones(len(slices), 1, *slices.shape[2:])

    slices = torch.rand(5, 2, 4, 4) + 0.1
    slices[[1, 4]] = 0.0
    fused = fuse_slices(slices, draws_something, CPU, slices_per_batch=2)
    assert fused.amax(dim=(1, 2, 3)).tolist() == [1, 0, 1, 1, 0]
    assert seen == [2, 1]


def test_a_volume_without_any_picture_is_black() -> None:
    assert float(SlicewiseInferer()(torch.zeros(1, 2, 4, 4, 4), nn.Conv2d(2, 1, 1)).max()) == 0.0


def test_no_more_slices_than_asked_go_through_at_once(network: nn.Module) -> None:
    sizes = []

    def counted(slices: Tensor) -> Tensor:
        sizes.append(len(slices))
        return network(slices)

    fuse_slices(torch.rand(7, 2, 4, 4), counted, CPU, slices_per_batch=3)
    assert sizes == [3, 3, 1]


def test_a_slice_alone_is_fused_as_among_others(network: nn.Module) -> None:
    """No slice is stretched by what the others hold."""
    slices = (
        torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(2))
        * torch.linspace(0.1, 1, 5)[:, None, None, None]
    )
    together = fuse_slices(slices, network, CPU)
    alone = torch.cat([fuse_slices(one[None], network, CPU) for one in slices])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_the_result_is_float32_without_a_gradient(network: nn.Module) -> None:
    fused = fuse_slices(torch.rand(2, 2, 4, 4), lambda slices: network(slices).half(), CPU)
    assert fused.dtype == torch.float32
    assert not fused.requires_grad


def test_metadata_and_further_arguments_are_handed_on() -> None:
    image = MetaTensor(made(cloud(), "MR").repeat(2, 1, 1, 1)[None], meta={"channels": "MR,CT"})
    image.affine = made(cloud()).affine[None]
    fused = SlicewiseInferer()(image, lambda slices, factor: slices[:, :1] * factor, factor=0.5)
    assert isinstance(fused, MetaTensor)
    assert torch.equal(fused.affine, image.affine)
    assert torch.equal(fused.as_tensor(), image.as_tensor()[:, :1] * 0.5)


def test_progress_is_told() -> None:
    listener = Listener()
    fuse_slices(torch.rand(5, 2, 2, 2), lambda slices: slices[:, :1], CPU, 2, listener)
    assert listener.heard == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["GPU", "CPU", "BLAS"],
)
def test_too_little_memory_gives_a_hint(error: RuntimeError) -> None:
    def greedy(_slices: Tensor) -> Tensor:
        raise error

    with pytest.raises(DeviceError, match="'cpu' ran out of memory; try fewer than 4 slices per batch") as raised:
        fuse_slices(torch.rand(5, 2, 4, 4), greedy, CPU, 4)
    assert "\n" not in str(raised.value)


def test_other_failures_of_a_network_pass_through() -> None:
    with pytest.raises(RuntimeError, match="channels") as raised:
        fuse_slices(torch.rand(1, 2, 4, 4), nn.Conv2d(3, 1, 1), CPU)
    assert not isinstance(raised.value, DeviceError)


@pytest.mark.parametrize(("side", "expected"), [(64, 4), (256, 4), (257, 3), (512, 1), (4096, 1)])
def test_larger_slices_go_through_in_smaller_batches(side: int, expected: int) -> None:
    assert batch_size(torch.empty(1, 2, side, side, device="meta"), 4) == expected
