"""Fusion that can be undone: a fused image with a file beside it gives both sources back; without it, those possible.

``fuse_reversibly`` and ``unfuse`` are each other's inverse within a tolerance; ``possible_sources`` is what the
fused image alone determines.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from medfuse.errors import InputError, MedfuseError
from medfuse.io.remainder_file import Remainder
from medfuse.networks import Unfusing

TOLERANCE = 1e-4
_FIRST_STEP = 1.0  # of the tolerance
_HALVINGS = 8


class PossibleSources(NamedTuple):
    """What a fused image alone says about its sources, each (N, 2, H, W).

    Attributes:
        mean: of the sources that were drawn.
        deviation: theirs, a map of what the fused image leaves open.
    """

    mean: Tensor
    deviation: Tensor


@torch.no_grad()
def fuse_reversibly(
    image: Tensor, network: Unfusing, tolerance: float = TOLERANCE, levels: int = 0
) -> tuple[Tensor, Remainder]:
    """Fuse two sources, and keep what the fused image lacks of them.

    Args:
        image: (N, 2, H, W) in [0, 1], of any size; MR in channel 0, the other in channel 1.
        network: the network; it computes in float64 here.
        tolerance: the largest error of a source, in its range of 1.
        levels: round the fused image to so many steps between 0 and 1, as a file will: 255 for 8 bits, 65535 for 16;
            0 leaves it in float32.

    Returns:
        The fused image, (N, 1, H, W) float32 in [0, 1], and the remainder, with which ``unfuse`` keeps the tolerance:
        it is tried here.

    Raises:
        MedfuseError: if the tolerance cannot be kept.
    """
    precise = _in_double(network, image)
    height, width = image.shape[-2], image.shape[-1]
    even = functional.pad(image.double(), [0, width % 2, 0, height % 2], mode="replicate")
    drawn, rest = precise.separate(even)
    shown = drawn[..., :height, :width].clamp(0.0, 1.0)
    shown = ((shown * levels).round() / levels if levels else shown).float()
    step = _FIRST_STEP * tolerance
    for _ in range(_HALVINGS):
        remainder = Remainder(
            _whole_steps(rest, step),
            _whole_steps(drawn - _padded(shown, (height, width)), step),
            step,
            (height, width),
            _hash(network),
        )
        if float((_joined(shown, remainder, precise) - image).abs().max()) <= tolerance:
            return shown, remainder
        step /= 2.0
    msg = f"the sources come back no closer than the tolerance of {tolerance:g}; give a larger one, or other weights"
    raise MedfuseError(msg)


@torch.no_grad()
def unfuse(fused: Tensor, remainder: Remainder, network: Unfusing) -> Tensor:
    """Return the two sources of a fused image.

    Args:
        fused: (N, 1, H, W), as ``fuse_reversibly`` gave it.
        remainder: the one that belongs to it.
        network: the network that fused.

    Returns:
        (N, 2, H, W) float32 in [0, 1].

    Raises:
        InputError: if fused image, remainder and network do not belong together.
    """
    if remainder.weights != _hash(network):
        msg = "the remainder is of a network with other weights; build the one that fused"
        raise InputError(msg)
    if tuple(fused.shape) != (remainder.rest.shape[0], 1, *remainder.size):
        sizes = f"the fused image is {tuple(fused.shape)}, the remainder of {remainder.size}"
        msg = f"{sizes}; give those that belong together"
        raise InputError(msg)
    return _joined(fused, remainder, _in_double(network, fused)).clamp(0.0, 1.0).float()


@torch.no_grad()
def possible_sources(fused: Tensor, network: Unfusing, draws: int = 32, seed: int = 0) -> PossibleSources:
    """Draw sources that a fused image allows, without its remainder.

    Args:
        fused: (N, 1, H, W) in [0, 1], of any size.
        network: the network that fused.
        draws: how many, at least 2.
        seed: of the latents.

    Returns:
        Mean and deviation of the draws.
    """
    height, width = fused.shape[-2], fused.shape[-1]
    even = functional.pad(fused, [0, width % 2, 0, height % 2], mode="replicate")
    generator = torch.Generator(fused.device).manual_seed(seed)
    total, squares = (fused.new_zeros(fused.shape[0], 2, height, width, dtype=torch.float64) for _ in range(2))
    for _ in range(draws):
        drawn = network.draw(even, generator)[..., :height, :width].double()
        total += drawn
        squares += drawn.square()
    mean = total / draws
    variance = (squares / draws - mean.square()).clamp_min(0.0) * draws / (draws - 1)
    return PossibleSources(mean.to(fused.dtype), variance.sqrt().to(fused.dtype))


def _joined(fused: Tensor, remainder: Remainder, network: Unfusing) -> Tensor:
    """Return the sources, (N, 2, H, W) float64."""
    rest, beyond = (
        torch.from_numpy(values).to(fused.device, torch.float64) * remainder.step
        for values in (remainder.rest, remainder.beyond)
    )
    height, width = remainder.size
    return network.join(_padded(fused, remainder.size) + beyond, rest)[..., :height, :width]


def _padded(shown: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.pad(shown.double(), [0, size[1] % 2, 0, size[0] % 2], mode="replicate")


def _whole_steps(values: Tensor, step: float) -> Any:
    return (values / step).round().to(torch.int32).cpu().numpy()


def _in_double(network: Unfusing, like: Tensor) -> Unfusing:
    """Return a copy in float64: what float32 rounds here must be the same there, on another machine too."""
    precise = Unfusing(network.config)
    precise.load_state_dict(network.state_dict())
    return precise.double().to(like.device).eval()


def _hash(network: Unfusing) -> str:
    """Return a hash of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
