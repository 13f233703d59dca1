"""Step 5 of 8, network: the Restormer block, and the whole four-level Restormer.

Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022. Attention
runs across channels, so its cost is linear in pixels. The modules are named as in the published checkpoints;
such a file loads as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.networks.two_pass import BlockParts, TwoPassBlock

_LAYER_NORM_EPS = 1e-5
_SIDE_MULTIPLE = 8


class BiasFreeNorm(nn.Module):
    """Divide each pixel by the deviation of its channels, keeping the mean.

    Args:
        channels: number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = _LAYER_NORM_EPS

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        variance = x.var(dim=-1, unbiased=False, keepdim=True)
        return x * torch.rsqrt(variance + self.eps) * self.weight


class ChannelNorm(nn.Module):
    """Normalize each pixel over its channels (LayerNorm, not InstanceNorm).

    Args:
        channels: number of channels C.
        bias: subtract the mean and add a learned bias; without it only the scale is normalized.
    """

    def __init__(self, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels, eps=_LAYER_NORM_EPS) if bias else BiasFreeNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        normalized: Tensor = self.body(x.permute(0, 2, 3, 1))  # (B, H, W, C)
        return normalized.permute(0, 3, 1, 2)


def channel_attention(q: Tensor, k: Tensor, temperature: Tensor, eps: float = 1e-12) -> Tensor:
    """Return the softmax attention between the channels of each head.

    q and k are normalized along the pixels by scaling the small attention matrix with their norms, which is the same as
    scaling every pixel, and cheaper. The statistics are global over the image.

    Args:
        q: queries, (B, H*W, C).
        k: keys, same shape.
        temperature: (heads, 1, 1).
        eps: least norm, so that a blank channel divides by something.

    Returns:
        (B, C, C), block-diagonal with a block for each head; each row sums to 1.
    """
    channels, heads = q.shape[2], temperature.shape[0]
    # A sum in steps: torch's norm adds one pixel after the other here, and loses two digits on a large image.
    q_norm, k_norm = (x.square().sum(dim=1).clamp_min(eps**2).sqrt() for x in (q, k))  # each (B, C)
    products = q.transpose(1, 2) @ k  # (B, C, C)
    cosines = products / (q_norm[:, :, None] * k_norm[:, None, :])
    head = torch.arange(channels, device=q.device) // (channels // heads)  # (C,)
    scaled: Tensor = cosines * temperature[head, :, 0]
    return scaled.masked_fill(head[:, None] != head, float("-inf")).softmax(dim=-1)


def attend(qkv: Tensor, temperature: Tensor) -> Tensor:
    """Apply multi-head channel attention to stacked queries, keys and values.

    The heads share one product over all channels: the few more multiplications cost less than cutting the maps apart.

    Args:
        qkv: (B, 3C, H, W).
        temperature: (heads, 1, 1).

    Returns:
        (B, C, H, W).
    """
    batch, channels, height, width = qkv.shape
    pixels = qkv.permute(0, 2, 3, 1).reshape(batch, height * width, channels)  # (B, H*W, 3C)
    q, k, v = pixels.chunk(3, dim=2)
    mixed = v @ channel_attention(q, k, temperature).to(v.dtype).transpose(1, 2)  # (B, H*W, C)
    return mixed.reshape(batch, height, width, channels // 3).permute(0, 3, 1, 2)


class MDTA(nn.Module):
    """Multi-Dconv head transposed attention (section 3.1 of the paper).

    Args:
        channels: number of channels C.
        heads: number of attention heads, a divisor of C.
        bias: give the convolutions a bias.
    """

    def __init__(self, channels: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        projected: Tensor = self.project_out(attend(self.qkv_dwconv(self.qkv(x)), self.temperature))
        return projected

    @torch.jit.unused
    def project(self, x: Tensor, first: int, end: int) -> Tensor:
        """Map (B, C, H, W) to some of the 3C channels of queries, keys and values, (B, end - first, H, W)."""
        spread, inner, outer = self.qkv_dwconv, self.qkv.bias, self.qkv_dwconv.bias
        made = torch.conv2d(x, self.qkv.weight[first:end], None if inner is None else inner[first:end])
        bias = None if outer is None else outer[first:end]
        return torch.conv2d(made, spread.weight[first:end], bias, padding=1, groups=end - first)


class GDFN(nn.Module):
    """Gated-Dconv feed-forward network (section 3.2 of the paper).

    Args:
        channels: number of channels C.
        hidden: width of the hidden maps.
        groups: groups of the 3x3 convolution over the 2 x hidden maps; None for one group a map (depthwise).
        bias: give the convolutions a bias.
    """

    def __init__(self, channels: int, hidden: int, groups: int | None = None, bias: bool = False) -> None:
        super().__init__()
        groups = 2 * hidden if groups is None else groups
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=groups, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)  # each (B, hidden, H, W)
        projected: Tensor = self.project_out(F.gelu(gate) * value)
        return projected


class RestormerBlock(TwoPassBlock):
    """x + MDTA(norm(x)), then x + GDFN(norm(x)).

    Args:
        channels: number of channels C.
        heads: number of attention heads.
        expansion: hidden width of the feed-forward part, as a multiple of C (rounded down).
        bias: give the convolutions a bias.
        norm_bias: use the LayerNorm with mean and bias.
    """

    def __init__(self, channels: int, heads: int, expansion: float, bias: bool = False, norm_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels, norm_bias)
        self.attn = MDTA(channels, heads, bias)
        self.norm2 = ChannelNorm(channels, norm_bias)
        self.ffn = GDFN(channels, int(channels * expansion), bias=bias)

    def _compute(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        refined: Tensor = x + self.ffn(self.norm2(x))
        return refined

    @torch.jit.unused
    def parts(self) -> BlockParts:
        """Return what the block is made of."""
        attn = self.attn
        projection = (attn.qkv, attn.qkv_dwconv, attn.project, attn.temperature, attn.project_out)
        return BlockParts(self.norm1, *projection, self.norm2, self.ffn)


class PatchEmbedding(nn.Module):
    """Overlapping 3x3 embedding of the image into C channels."""

    def __init__(self, in_channels: int, channels: int, bias: bool = False) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, C, H, W)."""
        embedded: Tensor = self.proj(x)
        return embedded


class Downsample(nn.Module):
    """Halve the sides and double the channels (3x3 convolution, then pixel-unshuffle)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 2C, H/2, W/2)."""
        smaller: Tensor = self.body(x)
        return smaller


class Upsample(nn.Module):
    """Double the sides and halve the channels (3x3 convolution, then pixel-shuffle)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C/2, 2H, 2W)."""
        larger: Tensor = self.body(x)
        return larger


@dataclass(frozen=True)
class RestormerConfig:
    """Numbers of the whole Restormer; the defaults are the paper's (26.1 M parameters).

    Attributes:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        channels: width of level 1; each level below doubles it.
        blocks: blocks at levels 1 to 4.
        refinement_blocks: blocks after the last decoder level.
        heads: attention heads at levels 1 to 4.
        expansion: hidden width of the feed-forward parts, as a multiple of their channels.
        bias: give the convolutions a bias.
        norm_bias: use the LayerNorm with mean and bias, else the bias-free one.
        dual_pixel: add the embedding to the refined features, not the input to the output.

    Raises:
        OptionError: if the numbers make no network.
    """

    in_channels: int = 3
    out_channels: int = 3
    channels: int = 48
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    refinement_blocks: int = 4
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    expansion: float = 2.66
    bias: bool = False
    norm_bias: bool = True
    dual_pixel: bool = False

    def __post_init__(self) -> None:
        undivided = any(h < 1 or self.channels * 2**level % h for level, h in enumerate(self.heads))
        if self.channels < 2 or self.channels % 2 or undivided:
            msg = f"channels is {self.channels} and heads {self.heads}; give even channels that heads divide"
            raise OptionError(msg)
        if min(*self.blocks, self.refinement_blocks) < 0 or self.channels * self.expansion < 1:
            msg = "blocks and refinement_blocks must be at least 0, and channels x expansion at least 1"
            raise OptionError(msg)
        if self.in_channels < 1 or not (self.dual_pixel or self.out_channels == self.in_channels):
            msg = "in_channels must be at least 1 and, as the input is added to the output, equal out_channels"
            raise OptionError(msg)


class Restormer(nn.Module):
    """The four-level encoder-decoder of the paper, for images of any size.

    Args:
        config: the numbers.
    """

    def __init__(self, config: RestormerConfig) -> None:
        super().__init__()
        self.config = config
        self.dual_pixel = config.dual_pixel
        self.side_multiple = _SIDE_MULTIPLE
        width = config.channels
        self.patch_embed = PatchEmbedding(config.in_channels, width)
        self.encoder_level1 = self._level(0, width, config.blocks[0])
        self.down1_2 = Downsample(width)
        self.encoder_level2 = self._level(1, 2 * width, config.blocks[1])
        self.down2_3 = Downsample(2 * width)
        self.encoder_level3 = self._level(2, 4 * width, config.blocks[2])
        self.down3_4 = Downsample(4 * width)
        self.latent = self._level(3, 8 * width, config.blocks[3])
        self.up4_3 = Upsample(8 * width)
        self.reduce_chan_level3 = nn.Conv2d(8 * width, 4 * width, 1, bias=config.bias)
        self.decoder_level3 = self._level(2, 4 * width, config.blocks[2])
        self.up3_2 = Upsample(4 * width)
        self.reduce_chan_level2 = nn.Conv2d(4 * width, 2 * width, 1, bias=config.bias)
        self.decoder_level2 = self._level(1, 2 * width, config.blocks[1])
        self.up2_1 = Upsample(2 * width)
        self.decoder_level1 = self._level(0, 2 * width, config.blocks[0])  # not reduced: stays 2C wide
        self.refinement = self._level(0, 2 * width, config.refinement_blocks)
        self.skip_conv = nn.Conv2d(width, 2 * width, 1, bias=config.bias) if self.dual_pixel else nn.Identity()
        self.output = nn.Conv2d(2 * width, config.out_channels, 3, padding=1, bias=config.bias)

    def _level(self, level: int, channels: int, blocks: int) -> nn.Sequential:
        config = self.config
        return nn.Sequential(
            *(
                RestormerBlock(channels, config.heads[level], config.expansion, config.bias, config.norm_bias)
                for _ in range(blocks)
            )
        )

    def forward(self, image: Tensor) -> Tensor:
        """Restore an image.

        Args:
            image: (B, in_channels, H, W); any H and W.

        Returns:
            (B, out_channels, H, W).
        """
        height, width = image.shape[-2:]
        padded = pad_to_multiple(image, self.side_multiple)
        embedded = self.patch_embed(padded)
        level1 = self.encoder_level1(embedded)
        level2 = self.encoder_level2(self.down1_2(level1))
        level3 = self.encoder_level3(self.down2_3(level2))
        latent = self.latent(self.down3_4(level3))
        up3 = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(latent), level3], dim=1)))
        up2 = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(up3), level2], dim=1)))
        up1 = self.refinement(self.decoder_level1(torch.cat([self.up2_1(up2), level1], dim=1)))
        if self.dual_pixel:
            restored: Tensor = self.output(up1 + self.skip_conv(embedded))
        else:
            restored = self.output(up1) + padded
        return restored[..., :height, :width]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad the right and bottom by reflection until both sides are multiples of a number.

    Args:
        image: (B, C, H, W).
        multiple: what the sides shall be multiples of.

    Returns:
        (B, C, H', W'). Sides too short to reflect are repeated at the edge.
    """
    down = -image.shape[-2] % multiple
    right = -image.shape[-1] % multiple
    mode = "reflect" if down < image.shape[-2] and right < image.shape[-1] else "replicate"
    return F.pad(image, [0, right, 0, down], mode=mode)
