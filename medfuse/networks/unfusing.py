"""Step 5 of 8, network: a fusion that can be undone, (first, second) <-> (fused, z).

Its first part is a bijection that starts as the brighter-pixel rule with the signed difference beside it: with the
mean ``m = (a + b) / 2`` and ``d = a - b``, ``max(a, b) = m + |d| / 2``. Couplings on a Haar wavelet grid move it from
there. Its second part is a conditional flow, which turns what the fused image lacks into a latent ``z ~ N(0, I)``,
given the fused image. Ardizzone et al., "Analyzing Inverse Problems with Invertible Neural Networks", ICLR 2019, and
"Guided Image Generation with Conditional Invertible Neural Networks", 2019.

With z both sources come back. Without it, every z drawn from N(0, I) gives sources that the fused image allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.networks.invertible import InvertibleNode, OrthogonalMixing
from medfuse.networks.latent_flow import LatentFlow, silent
from medfuse.networks.reversible import InvertibleSequence
from medfuse.networks.wavelet import BANDS, haar, unhaar

_SLOPE = 0.1
_COARSER = 4
_GRAY_STEP = 1.0 / 255.0
WIDENED_FOR = ("", "CT", "PT", "NM")  # the other modality; "" for any


@dataclass(frozen=True)
class UnfusingConfig:
    """Numbers of the invertible fusion network; with the defaults it has 221,900 parameters.

    Attributes:
        fusing_nodes: couplings between fused image and remainder.
        latent_nodes: couplings between remainder and latent.
        hidden: channels inside the couplings.
        fusing_clamp: bound of the exponents of the former.
        latent_clamp: bound of the exponent that first scales the remainder; the other ones are bounded by 1.
        widening: factors on the distance of drawn sources from their mean, MR and the other for each of
            ``WIDENED_FOR``: what is learned is too sure of itself, and a fit to slices with known sources says by how
            much. Laves et al., "Well-Calibrated Regression Uncertainty in Medical Imaging with Deep Learning",
            MIDL 2020.

    Raises:
        OptionError: if the numbers make no network.
    """

    fusing_nodes: int = 3
    latent_nodes: int = 3
    hidden: int = 24
    fusing_clamp: float = 0.5
    latent_clamp: float = 4.0
    widening: tuple[float, ...] = (1.0,) * 2 * len(WIDENED_FOR)

    def __post_init__(self) -> None:
        for name, least in (("fusing_nodes", 0), ("latent_nodes", 0), ("hidden", 1)):
            if getattr(self, name) < least:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least {least}"
                raise OptionError(msg)
        for name in ("fusing_clamp", "latent_clamp"):
            if not getattr(self, name) > 0.0:
                msg = f"{name} is {getattr(self, name)}; give a number above 0, or the map cannot be undone"
                raise OptionError(msg)
        if len(self.widening) != 2 * len(WIDENED_FOR) or not min(self.widening) > 0.0:
            msg = f"widening is {self.widening}; give {2 * len(WIDENED_FOR)} numbers above 0"
            raise OptionError(msg)


class Split(NamedTuple):
    """A pair of sources in another form.

    Attributes:
        fused: (N, 1, H, W); not cut off at 0 and 1.
        latent: (N, 4, H/2, W/2), the z that the fused image lacks.
        log_determinant: (N,), of the map from remainder to latent.
    """

    fused: Tensor
    latent: Tensor
    log_determinant: Tensor


class Unfusing(nn.Module):
    """Fuse two co-registered images so that it can be undone.

    Args:
        config: the numbers.
    """

    def __init__(self, config: UnfusingConfig) -> None:
        super().__init__()
        self.config = config
        self.fusing = InvertibleSequence(_fusing_layers(config))
        self.latent = LatentFlow(config.latent_nodes, config.hidden, config.latent_clamp)

    def forward(self, image: Tensor) -> Tensor:
        """Fuse two modalities, as other networks do.

        Args:
            image: (N, 2, H, W) in [0, 1]; MR in channel 0, the other in channel 1.

        Returns:
            (N, 1, H, W) in [0, 1].
        """
        height, width = image.shape[-2], image.shape[-1]
        even = F.pad(image, [0, width % 2, 0, height % 2], mode="replicate")
        bands = self.fusing(haar(brighter_first(even)))
        return unhaar(bands[:, :BANDS])[..., :height, :width].clamp(0.0, 1.0)

    def separate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map two sources to the fused image and what it lacks.

        Args:
            image: (N, 2, H, W) in [0, 1], H and W even.

        Returns:
            The fused image, (N, 1, H, W), not cut off at 0 and 1, and the remainder, (N, 4, H/2, W/2); black sources
            leave 0.

        Raises:
            OptionError: if a side is odd.
        """
        _check_even(image)
        fused, rest = self.fusing(haar(brighter_first(image))).chunk(2, dim=1)
        return unhaar(fused), rest

    def join(self, fused: Tensor, rest: Tensor) -> Tensor:
        """Map a fused image and a remainder back to two sources, (N, 2, H, W).

        Raises:
            OptionError: if a side is odd.
        """
        _check_even(fused)
        return undo_brighter_first(unhaar(self.fusing.inverse(torch.cat([haar(fused), rest], dim=1))))

    def split(self, image: Tensor) -> Split:
        """Map two sources to the fused image and the latent.

        Args:
            image: (N, 2, H, W) in [0, 1], H and W even.

        Returns:
            The three tensors of ``Split``.

        Raises:
            OptionError: if a side is odd.
        """
        fused, rest = self.separate(image)
        return Split(fused, *self.latent(rest, haar(fused)))

    def split_for_training(self, image: Tensor) -> Split:
        """Do as ``split``, with noise of one gray level on the remainder, and no gradient from latent to fusion.

        A remainder of whole gray levels would be found ever more likely by ever narrower distributions around
        them; noise forbids that. The fused image has none of it.
        """
        fused, rest = self.separate(image)
        blurred = rest.detach() + _GRAY_STEP * (torch.rand_like(rest) - 0.5)
        return Split(fused, *self.latent(blurred, haar(fused.detach())))

    def inverse(self, fused: Tensor, latent: Tensor) -> Tensor:
        """Map a fused image and a latent to two sources.

        Args:
            fused: (N, 1, H, W), as ``split`` gives it, H and W even.
            latent: (N, 4, H/2, W/2): that of ``split`` for the sources that were fused, or any other for
                sources that the fused image allows.

        Returns:
            (N, 2, H, W); not cut off at 0 and 1.

        Raises:
            OptionError: if a side is odd.
        """
        _check_even(fused)
        return self.join(fused, self.latent.inverse(latent, haar(fused)))

    def widening(self, modality: str = "") -> Tensor:
        """Return the factors, (2, 1, 1), that the distance of drawn sources from their mean is to be widened by.

        Args:
            modality: of the other source, as DICOM writes it; one that has no factors of its own gets those of any.
        """
        row = WIDENED_FOR.index(modality) if modality in WIDENED_FOR else 0
        return torch.tensor(self.config.widening[2 * row : 2 * row + 2])[:, None, None]

    def draw(self, fused: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one pair of sources that the fused image allows.

        Args:
            fused: (N, 1, H, W), H and W even.
            generator: of the random numbers.

        Returns:
            (N, 2, H, W) in [0, 1].
        """
        shape = (fused.shape[0], BANDS, fused.shape[2] // 2, fused.shape[3] // 2)
        latent = torch.randn(shape, generator=generator, device=fused.device, dtype=fused.dtype)
        return self.inverse(fused, latent).clamp(0.0, 1.0)


class FusingNode(InvertibleNode):
    """A coupling of 8 wavelet bands that begins as the identity and has no offsets: black stays black.

    Args:
        config: the numbers of the network.
    """

    def __init__(self, config: UnfusingConfig) -> None:
        super().__init__(2 * BANDS, config.fusing_clamp, "orthogonal")
        for name in ("phi", "rho", "eta"):  # in place of the small networks of the published form
            setattr(self, name, TwoScales(BANDS, BANDS, config.hidden, bias=False))
        if isinstance(self.mix, OrthogonalMixing):
            nn.init.zeros_(self.mix.generator)
            self.mix.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8, H, W) to the same shape."""
        return self._couple(x)[0]


class TwoScales(nn.Module):
    """What is inside a fusing coupling: convolutions on the wavelet grid and on one four times as coarse.

    It begins as 0.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        hidden: number of channels inside.
        bias: add offsets.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, hidden, 3, padding=1, bias=bias)
        self.coarse = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1, bias=bias) for _ in range(2))
        self.fine = nn.Conv2d(hidden, hidden, 3, padding=1, bias=bias)
        self.leave = silent(nn.Conv2d(hidden, outputs, 3, padding=1, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        seen = F.leaky_relu(self.enter(x), _SLOPE)
        coarse = F.avg_pool2d(seen, _COARSER, ceil_mode=True)
        first, second = self.coarse
        coarse = F.leaky_relu(first(coarse), _SLOPE)
        coarse = coarse + F.leaky_relu(second(coarse), _SLOPE)
        seen = seen + F.interpolate(coarse, size=seen.shape[-2:], mode="bilinear", align_corners=False)
        left: Tensor = self.leave(seen + F.leaky_relu(self.fine(seen), _SLOPE))
        return left


class Interleave(nn.Module):
    """Exchange every second band of one half with that of the other; done twice it is undone."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8, H, W) to the same shape."""
        first, second = x.chunk(2, dim=1)
        order = torch.arange(BANDS, device=x.device)[None, :, None, None] % 2 == 1
        return torch.cat([torch.where(order, second, first), torch.where(order, first, second)], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (N, 8, H, W) back."""
        undone: Tensor = self(y)
        return undone

    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 8, H, W) to the same shape, and return the log-determinant, 0 for each image."""
        return self(x), x.new_zeros(x.shape[0])


def brighter_first(image: Tensor) -> Tensor:
    """Map two sources (N, 2, H, W) to the brighter value and the signed difference, same shape."""
    first, second = image.chunk(2, dim=1)
    return torch.cat([torch.maximum(first, second), first - second], dim=1)


def undo_brighter_first(x: Tensor) -> Tensor:
    """Map the brighter value and the signed difference, (N, 2, H, W), back to two sources."""
    brighter, difference = x.chunk(2, dim=1)
    return torch.cat([brighter + difference.clamp_max(0.0), brighter - difference.clamp_min(0.0)], dim=1)


def _fusing_layers(config: UnfusingConfig) -> list[nn.Module]:
    """Return the couplings; every second one splits the bands in another way."""
    layers: list[nn.Module] = []
    for number in range(config.fusing_nodes):
        node = FusingNode(config)
        layers += [node] if number % 2 == 0 else [Interleave(), node, Interleave()]
    return layers


def _check_even(image: Tensor) -> None:
    if image.shape[-2] % 2 or image.shape[-1] % 2:
        msg = f"the image is {image.shape[-2]} x {image.shape[-1]}; pad it to even sides, or it cannot be split"
        raise OptionError(msg)
