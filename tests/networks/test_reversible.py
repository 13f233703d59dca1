"""Training without stored activations: the same gradients, and memory that depth does not move."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.saved_bytes import saved_bytes
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from medfuse.errors import OptionError
from medfuse.networks import CDDFuse, CDDFuseConfig
from medfuse.networks.invertible import AdditiveNode, InvertibleNode
from medfuse.networks.reversible import InvertibleSequence

NO_ANCHOR = 1000


def stack(depth: int, anchor_every: int = NO_ANCHOR, mixing: str = "orthogonal") -> InvertibleSequence:
    torch.manual_seed(3)
    return InvertibleSequence([InvertibleNode(8, 1.0, mixing) for _ in range(depth)], anchor_every)


def features(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 8, 12, 10, generator=torch.Generator().manual_seed(1)).to(dtype)


def gradients(network: nn.Module, x: Tensor) -> Tensor:
    """Return the gradients of the input and of all parameters, as one vector."""
    network.zero_grad()
    start = x.clone().requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(x.dtype)
    (network(start) * weights).sum().backward()
    return torch.cat([start.grad.flatten(), *(parameter.grad.flatten() for parameter in network.parameters())])


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("depth", "most"), [(3, 1e-5), (12, 1e-4), (48, 1e-4)])
def test_gradients_are_those_of_ordinary_training(depth: int, most: float) -> None:
    torch.manual_seed(3)
    nodes = [InvertibleNode(64, 1.0, "orthogonal", "silu") for _ in range(depth)]
    network, x = InvertibleSequence(nodes, NO_ANCHOR), torch.randn(1, 64, 12, 10)
    found = gradients(network, x)
    network.anchor_every = 0
    assert apart(found, gradients(network, x)) < most


def test_kinks_of_the_published_activation_cost_some_accuracy_in_deep_stacks() -> None:
    network = stack(48)
    found = gradients(network, features())
    network.anchor_every = 0
    assert apart(found, gradients(network, features())) < 1e-3


def test_they_are_exact_in_double() -> None:
    network = stack(12).double()
    found = gradients(network, features(torch.float64))
    network.anchor_every = 0
    torch.testing.assert_close(found, gradients(network, features(torch.float64)), atol=1e-9, rtol=1e-9)


def test_anchors_save_what_free_mixing_spoils() -> None:
    network = stack(12, mixing="free")
    network.anchor_every = 0
    wanted = gradients(network, features())
    network.anchor_every = 1
    assert apart(gradients(network, features()), wanted) < 1e-5
    network.anchor_every = NO_ANCHOR
    assert not apart(gradients(network, features()), wanted) < 1e-5


def test_what_is_kept_does_not_grow_with_depth() -> None:
    x = features()
    shallow, deep = (saved_bytes(stack(depth), x) for depth in (3, 48))
    assert deep <= 1.1 * shallow
    assert saved_bytes(stack(48, 0), x) > 100 * deep
    assert saved_bytes(stack(48, 12), x) == deep + 3 * x.nbytes


def test_the_result_is_the_ordinary_one() -> None:
    network, x = stack(4), features()
    reversible = network(x)
    network.anchor_every = 0
    assert torch.equal(reversible, network(x))
    with torch.no_grad():
        assert torch.equal(network(x), reversible)


def test_frozen_parameters_and_inputs_are_left_alone() -> None:
    network = stack(3)
    network[1].requires_grad_(False)
    network(features()).sum().backward()
    assert all(parameter.grad is None for parameter in network[1].parameters())
    assert all(parameter.grad is not None for parameter in network[0].parameters())


def test_autocast_does_not_touch_what_must_be_undone() -> None:
    network, x = stack(6), features()
    wanted = gradients(network, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(x).dtype == torch.float32
        assert torch.equal(gradients(network, x), wanted)


def test_second_derivatives_are_refused() -> None:
    x = features().requires_grad_()
    (first,) = torch.autograd.grad(stack(2)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_compiled_model_keeps_the_stack() -> None:
    network, x = stack(3), features()
    compiled = torch.compile(nn.Sequential(nn.Identity(), network), backend="eager")
    assert torch.equal(gradients(network, x), gradients(compiled, x))


def test_gradients_pass_through_distributed_training(tmp_path: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        network = stack(3)
        wanted = gradients(network, features())
        assert torch.equal(gradients(DistributedDataParallel(network), features()), wanted)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("inside", [False, True])
def test_it_works_beside_and_inside_activation_checkpointing(inside: bool) -> None:
    """The rest of a network may be checkpointed; the stack itself may be too, though nothing is won by it."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(5)
            self.before, self.stack, self.after = nn.Conv2d(8, 8, 1), stack(3), nn.Conv2d(8, 8, 1)
            self.checkpointed = True

        def forward(self, x: Tensor) -> Tensor:
            if not self.checkpointed:
                return self.after(self.stack(self.before(x)))
            x = checkpoint(self.before, x, use_reentrant=False)
            x = checkpoint(self.stack, x, use_reentrant=False) if inside else self.stack(x)
            return checkpoint(self.after, x, use_reentrant=False)

    network = Whole()
    found = gradients(network, features())
    network.checkpointed, network.stack.anchor_every = False, 0
    assert apart(found, gradients(network, features())) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("kind", ["affine", "additive"])
def test_a_deep_stack_is_undone_in_single_precision_after_training(kind: str) -> None:
    torch.manual_seed(3)
    nodes = [InvertibleNode(8, 1.0, "orthogonal", "silu") if kind == "affine" else AdditiveNode(8) for _ in range(48)]
    network, x = InvertibleSequence(nodes, NO_ANCHOR), features()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    with torch.enable_grad():
        for _ in range(10):
            optimizer.zero_grad()
            (network(x) - x.flip(-1)).square().mean().backward()
            optimizer.step()
    y = network(x)
    assert apart(network.inverse(y), x) < 1e-4
    network.double()
    assert apart(network.inverse(network(x.double())), x.double()) < 1e-10


def test_layers_without_an_inverse_are_refused() -> None:
    with pytest.raises(OptionError, match="layer 1, Conv2d, has no inverse"):
        InvertibleSequence([InvertibleNode(8), nn.Conv2d(8, 8, 1)])
    with pytest.raises(OptionError, match="anchor_every is -1"):
        InvertibleSequence([InvertibleNode(8)], -1)


@pytest.mark.parametrize("mixing", ["free", "orthogonal"])
def test_the_fusion_network_trains_alike_with_less_memory(mixing: str) -> None:
    image = torch.rand(1, 2, 16, 12, generator=torch.Generator().manual_seed(4))
    networks = []
    for memory in ("recorded", "reversible"):
        torch.manual_seed(0)
        numbers = CDDFuseConfig(
            channels=8, heads=2, blocks=1, detail_nodes=6, scale_clamp=1.0, mixing=mixing, memory=memory
        )
        networks.append(CDDFuse(numbers))
    recorded, reversible = networks
    reversible.load_state_dict(recorded.state_dict())
    assert torch.equal(recorded(image), reversible(image))
    for network in networks:
        network(image).mean().backward()
    pairs = zip(recorded.named_parameters(), reversible.parameters(), strict=True)
    for (name, one), other in pairs:
        torch.testing.assert_close(other.grad, one.grad, atol=1e-7, rtol=1e-3, msg=name)
    assert saved_bytes(reversible, image) < 0.6 * saved_bytes(recorded, image)


def test_an_unknown_way_to_keep_memory_is_refused() -> None:
    with pytest.raises(OptionError, match="memory is 'none'; choose one of recorded, reversible"):
        CDDFuseConfig(memory="none")
