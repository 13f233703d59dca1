"""Fusion that can be undone: a fused image with a file beside it gives both sources back; without it, those possible.

``fuse_reversibly`` and ``unfuse`` are each other's inverse within a tolerance; ``possible_sources`` is what the
fused image alone determines.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medfuse.errors import InputError, OptionError
from medfuse.inferers.slices import slices_with_picture
from medfuse.io.remainder_file import Remainder
from medfuse.networks import Unfusing
from medfuse.networks.wavelet import BANDS
from medfuse.options import check_draws
from medfuse.progress import Progress, Silent, counted

TOLERANCE = 1e-4
_LEAST_TOLERANCE = 1e-6  # what float32 can keep
_STEP = 64.0  # of the tolerance; finer ones make the remainder of the network larger and the correction smaller
_FINE_STEP = 1.998  # of the tolerance: half of it and the rounding to float32 stay within
_HASHED_LEVELS = 65535  # so that reading 8 or 16 bits in another way gives the same hash


class PossibleSources(NamedTuple):
    """What a fused image alone says about its sources, each (N, 2, H, W).

    Attributes:
        mean: of the sources that were drawn.
        deviation: theirs, widened by the factors that are stored with the network: a map of what the fused image leaves
            open. A source lies within the mean and so many deviations about as often as a normal variable does.
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
        The fused image, (N, 1, H, W) float32 in [0, 1], and the remainder, with which ``unfuse`` keeps the tolerance.

    Raises:
        OptionError: if the tolerance is finer than float32.
    """
    precise = _in_double(network, image)
    shown = torch.cat([precise(image[number][None].double()) for number in range(len(image))])
    shown = ((shown * levels).round() / levels if levels else shown).float()
    return shown, keep_remainder(image, shown, network, tolerance)


@torch.no_grad()
def keep_remainder(
    image: Tensor,
    fused: Tensor,
    network: Unfusing,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Remainder:
    """Return what an image that is fused already lacks of its sources.

    Args:
        image: (N, 2, H, W) in [0, 1]; slices in which both sources are black cost nothing.
        fused: (N, 1, H, W) float32 in [0, 1], as it is shown or stored: what is left differs from what the network
            draws is kept too.
        network: the network that fused; it computes in float64 here.
        tolerance: the largest error of a source, in its range of 1.
        progress: who is told how many slices are done.

    Returns:
        The remainder, with which ``unfuse`` keeps the tolerance.

    Raises:
        OptionError: if the tolerance is finer than float32.
    """
    if not tolerance >= _LEAST_TOLERANCE:
        msg = f"the tolerance is {tolerance:g}; sources are kept in float32, give at least {_LEAST_TOLERANCE:g}"
        raise OptionError(msg)
    precise = _in_double(network, image)
    size = (image.shape[-2], image.shape[-1])
    step, fine_step = _STEP * tolerance, _FINE_STEP * tolerance
    count, even = len(image), (size[0] + size[0] % 2, size[1] + size[1] % 2)
    rest = np.zeros((count, BANDS, even[0] // 2, even[1] // 2), np.int32)
    beyond, correction = np.zeros((count, 1, *even), np.int32), np.zeros((count, 2, *size), np.int32)
    black = image == 0.0
    with_picture = slices_with_picture(image).nonzero()[:, 0].tolist()
    for number in counted(with_picture, progress or Silent()):
        one, shown = image[number][None].double(), _padded(fused[number][None].double())
        drawn, lacking = precise.separate(_padded(one))
        rest[number], beyond[number] = _whole_steps(lacking, step)[0], _whole_steps(drawn - shown, step)[0]
        nearly = _nearly(shown, rest[number], beyond[number], step, precise)[..., : size[0], : size[1]]
        left = torch.where(black[number], 0.0, one - nearly)
        correction[number] = _whole_steps(left, fine_step)[0]
    arrays = (rest, beyond, correction, black.cpu().numpy())
    return Remainder(*arrays, step, fine_step, size, _hash(network), _hash_of_image(fused))


@torch.no_grad()
def unfuse(fused: Tensor, remainder: Remainder, network: Unfusing, progress: Progress | None = None) -> Tensor:
    """Return the two sources of a fused image.

    Args:
        fused: (N, 1, H, W), as ``fuse_reversibly`` gave it.
        remainder: the one that belongs to it.
        network: the network that fused.
        progress: who is told how many slices are done.

    Returns:
        (N, 2, H, W) float32 in [0, 1].

    Raises:
        InputError: if fused image, remainder and network do not belong together.
    """
    _check_together(fused, remainder, network)
    precise = _in_double(network, fused)
    black = torch.from_numpy(remainder.black).to(fused.device)
    sources = torch.zeros(black.shape, device=fused.device)
    with_picture = (~black).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    height, width = remainder.size
    for number in counted(with_picture, progress or Silent()):
        shown = _padded(fused[number][None].double())
        steps = remainder.rest[number], remainder.beyond[number]
        nearly = _nearly(shown, *steps, remainder.step, precise)[0, :, :height, :width]
        correction = torch.from_numpy(remainder.correction[number]).to(nearly) * remainder.fine_step
        sources[number] = torch.where(black[number], 0.0, nearly + correction).clamp(0.0, 1.0).float()
    return sources


@torch.no_grad()
def possible_sources(
    fused: Tensor, network: Unfusing, draws: int = 32, seed: int = 0, modality: str = ""
) -> PossibleSources:
    """Draw sources that a fused image allows, without its remainder.

    Args:
        fused: (N, 1, H, W) in [0, 1], of any size.
        network: the network that fused.
        draws: how many, at least 2.
        seed: of the latents.
        modality: of the source that is not MR, if it is known: ``"CT"``, ``"PT"`` or ``"NM"``; it decides how much the
            deviation is widened.

    Returns:
        Mean and deviation.

    Raises:
        OptionError: if there are too few draws for a deviation.
    """
    check_draws(draws)
    height, width = fused.shape[-2], fused.shape[-1]
    even = _padded(fused)
    generator = torch.Generator(fused.device).manual_seed(seed)
    total, squares = (fused.new_zeros(fused.shape[0], 2, height, width, dtype=torch.float64) for _ in range(2))
    for _ in range(draws):
        drawn = network.draw(even, generator)[..., :height, :width].double()
        total += drawn
        squares += drawn.square()
    mean = total / draws
    variance = (squares / draws - mean.square()).clamp_min(0.0) * draws / (draws - 1)
    deviation = variance.sqrt() * network.widening(modality).to(variance)
    return PossibleSources(mean.to(fused.dtype), deviation.to(fused.dtype))


def _check_together(fused: Tensor, remainder: Remainder, network: Unfusing) -> None:
    """Refuse a remainder of another image or another network."""
    if remainder.weights != _hash(network):
        msg = "the remainder is of a network with other weights; build the one that fused"
        raise InputError(msg)
    if tuple(fused.shape) != (remainder.rest.shape[0], 1, *remainder.size):
        sizes = f"the fused image is {tuple(fused.shape)}, the remainder of {remainder.rest.shape[0]} {remainder.size}"
        msg = f"{sizes}; give those that belong together"
        raise InputError(msg)
    if remainder.fused != _hash_of_image(fused):
        msg = "the remainder is of another fused image, or this one was changed since; give those that belong together"
        raise InputError(msg)


def _nearly(shown: Tensor, rest: Any, beyond: Any, step: float, network: Unfusing) -> Tensor:
    """Return the sources before they are corrected, (1, 2, H, W) float64 in [0, 1], with H and W even."""
    lacking, added = (torch.from_numpy(steps)[None].to(shown) * step for steps in (rest, beyond))
    return network.join(shown + added, lacking).clamp(0.0, 1.0)


def _padded(image: Tensor) -> Tensor:
    """Repeat the last column and row where their number is odd."""
    return functional.pad(image, [0, image.shape[-1] % 2, 0, image.shape[-2] % 2], mode="replicate")


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


def _hash_of_image(fused: Tensor) -> str:
    levels = (fused.detach().double() * _HASHED_LEVELS).round().to(torch.int32)
    return hashlib.sha256(levels.cpu().contiguous().numpy().astype("<i4").tobytes()).hexdigest()
