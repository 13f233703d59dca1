"""Step 5 of 8, network: CDDFuse-fast, the same decomposition for a computer without a GPU.

A shared encoder splits each modality into base and detail features, base is fused with base and detail with detail,
and one decoder draws the result, as in CDDFuse (Zhao et al., CVPR 2023). What differs: plain convolutions at half
resolution, base features at an eighth, and the drawing is a correction of the brighter source.

No layer adds an offset (Mohan et al., "Robust and interpretable blind image denoising via bias-free convolutional
neural networks", ICLR 2020). So black stays black, and sources of half the brightness give the same picture at half
the brightness.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.networks.cddfuse import Features

_SLOPE = 0.1  # of the activations, below 0
_SHRINK = 2  # the features' grid, in pixels of the image
_BASE_SHRINK = 4  # the base features' grid, in that of the others


@dataclass(frozen=True)
class CDDFuseFastConfig:
    """Numbers of CDDFuse-fast; with the defaults it has 135,104 parameters.

    Attributes:
        channels: feature channels C.
        encoder_blocks: residual blocks of the shared encoder.
        base_blocks: residual blocks of the base branch.
        decoder_blocks: residual blocks of the decoder.
        drawing_channels: channels at full resolution.

    Raises:
        OptionError: if the numbers make no network.
    """

    channels: int = 32
    encoder_blocks: int = 1
    base_blocks: int = 2
    decoder_blocks: int = 2
    drawing_channels: int = 16

    def __post_init__(self) -> None:
        for name in ("channels", "drawing_channels"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least 1"
                raise OptionError(msg)
        for name in ("encoder_blocks", "base_blocks", "decoder_blocks"):
            if getattr(self, name) < 0:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least 0"
                raise OptionError(msg)


class ResidualBlock(nn.Module):
    """x + 1x1(leaky ReLU(3x3(x))); an identity before training.

    Args:
        channels: number of input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = _convolution(channels, 2 * channels, 3)
        self.narrow = _convolution(2 * channels, channels, 1)
        self.activation = nn.LeakyReLU(_SLOPE)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        refined: Tensor = x + self.narrow(self.activation(self.widen(x)))
        return refined


class BaseBranch(nn.Module):
    """Residual blocks on a coarser grid: what is large in the picture."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.coarser = nn.AvgPool2d(_BASE_SHRINK)
        self.blocks = _residual_blocks(channels, blocks)
        self.finer = nn.Upsample(scale_factor=float(_BASE_SHRINK), mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W multiples of 4."""
        base: Tensor = self.finer(self.blocks(self.coarser(x)))  # (B, C, H/4, W/4) between them
        return base


class FastEncoder(nn.Module):
    """The encoder that both modalities go through."""

    def __init__(self, config: CDDFuseFastConfig) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(_SHRINK)
        self.embedding = _convolution(_SHRINK**2, config.channels, 3)
        self.activation = nn.LeakyReLU(_SLOPE)
        self.blocks = _residual_blocks(config.channels, config.encoder_blocks)
        self.base_branch = BaseBranch(config.channels, config.base_blocks)
        self.detail_branch = ResidualBlock(config.channels)

    def forward(self, image: Tensor) -> Features:
        """Split an image (B, 1, H, W) into its features, each (B, C, H/2, W/2)."""
        shared = self.blocks(self.activation(self.embedding(self.unshuffle(image))))
        return Features(self.base_branch(shared), self.detail_branch(shared), shared)


class FastDecoder(nn.Module):
    """Draw what the fused image has beyond the brighter source."""

    def __init__(self, config: CDDFuseFastConfig) -> None:
        super().__init__()
        drawing = config.drawing_channels
        self.reduce = _convolution(2 * config.channels, config.channels, 1)
        self.blocks = _residual_blocks(config.channels, config.decoder_blocks)
        self.enlarge = _convolution(config.channels, _SHRINK**2 * drawing, 1)
        self.shuffle = nn.PixelShuffle(_SHRINK)
        self.refine = _convolution(drawing + 3, drawing, 3)
        self.activation = nn.LeakyReLU(_SLOPE)
        self.output = _convolution(drawing, 1, 3)
        nn.init.zeros_(self.output.weight)

    def forward(self, base: Tensor, detail: Tensor, images: Tensor) -> Tensor:
        """Map features, each (B, C, H/2, W/2), and three images (B, 3, H, W) to (B, 1, H, W)."""
        features = self.blocks(self.reduce(torch.cat([base, detail], dim=1)))
        drawing = self.shuffle(self.enlarge(features))  # (B, drawing channels, H, W)
        correction: Tensor = self.output(self.activation(self.refine(torch.cat([drawing, images], dim=1))))
        return correction


class CDDFuseFast(nn.Module):
    """Fuse two co-registered images of different modality into one, with little arithmetic.

    Args:
        config: the numbers.
    """

    def __init__(self, config: CDDFuseFastConfig) -> None:
        super().__init__()
        self.config = config
        self.side_multiple = _SHRINK * _BASE_SHRINK
        self.encoder = FastEncoder(config)
        self.base_fusion = _convolution(2 * config.channels, config.channels, 1)
        self.detail_fusion = _convolution(2 * config.channels, config.channels, 1)
        self.decoder = FastDecoder(config)

    def forward(self, image: Tensor) -> Tensor:
        """Fuse two modalities.

        Args:
            image: (N, 2, H, W) in [0, 1], H and W at least 1; MR in channel 0, the other in channel 1.

        Returns:
            (N, 1, H, W) in [0, 1].
        """
        return self.decompose_and_fuse(image)[0].clamp(0.0, 1.0)

    def decompose_and_fuse(self, image: Tensor) -> tuple[Tensor, Features, Features]:
        """Fuse two modalities, and return their features beside the fused image.

        Args:
            image: as for ``forward``.

        Returns:
            The fused image (N, 1, H, W), not yet cut off at 0 and 1, the features of the first modality and those of
            the second, on a grid of half the resolution.
        """
        height, width = image.shape[-2], image.shape[-1]
        padded = F.pad(image, [0, -width % self.side_multiple, 0, -height % self.side_multiple], mode="replicate")
        brighter = padded.amax(dim=1, keepdim=True)
        both = self.encoder(torch.cat(padded.chunk(2, dim=1)))  # both modalities in one batch of 2N
        base_first, base_second = both.base.chunk(2)
        detail_first, detail_second = both.detail.chunk(2)
        shared_first, shared_second = both.shared.chunk(2)
        base = self.base_fusion(torch.cat([base_first, base_second], dim=1))
        detail = self.detail_fusion(torch.cat([detail_first, detail_second], dim=1))
        fused = brighter + self.decoder(base, detail, torch.cat([padded, brighter], dim=1))
        features_first = Features(base_first, detail_first, shared_first)
        features_second = Features(base_second, detail_second, shared_second)
        return fused[..., :height, :width], features_first, features_second


def _convolution(inputs: int, outputs: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)


def _residual_blocks(channels: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(number)))
