"""Step 5 of 8, network: CDDFuse, the fusion network that everything else serves.

Zhao et al., "CDDFuse: Correlation-Driven Dual-Branch Feature Decomposition for Multi-Modality Image Fusion",
CVPR 2023. ``CDDFuse.forward`` is the paper's figure 2: one shared encoder splits each modality into base and
detail features, two small layers fuse base with base and detail with detail, one decoder draws the result.

The paper calls the base branch a Lite Transformer; the network whose weights were published computes channel
attention there, and so does this one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.errors import OptionError
from medfuse.networks.invertible import MIXINGS, InvertibleNode
from medfuse.networks.recomputing import recompute_inside
from medfuse.networks.restormer import GDFN, ChannelNorm, PatchEmbedding, RestormerBlock, attend
from medfuse.networks.reversible import InvertibleSequence
from medfuse.networks.two_pass import BlockParts, TwoPassBlock

SKIPS = ("none", "sum", "first")
MEMORIES = ("recorded", "reversible", "recomputed")
_ANCHORED = {"free": 1, "orthogonal": 64}  # layers between exact inputs: free mixing is too ill-conditioned to undo


@dataclass(frozen=True)
class CDDFuseConfig:
    """Numbers of CDDFuse; the defaults are the published ones (1,188,272 parameters).

    Attributes:
        channels: feature channels C.
        heads: attention heads, a divisor of C.
        blocks: Restormer blocks in the encoder, and again in the decoder.
        detail_nodes: invertible nodes in the detail branch.
        expansion: hidden width of the Restormer blocks' feed-forward parts, as a multiple of C.
        scale_clamp: bound of the detail branch's exponents; 0 for none, as published.
        mixing: of the invertible nodes, ``"free"`` as published, or ``"orthogonal"``, which many nodes need.
        memory: of training. ``"recorded"`` keeps all activations; ``"reversible"`` keeps none inside the detail branch
            and computes them again from its output; ``"recomputed"`` keeps only what goes into each block and node
            (Chen et al., "Training deep nets with sublinear memory cost", 2016).
        skip: what is added to the decoder's drawing before the sigmoid: ``"none"`` (the published medical
            weights), ``"sum"`` of both inputs (the published infrared-visible ones), or the ``"first"`` one.

    Raises:
        OptionError: if the numbers make no network.
    """

    channels: int = 64
    heads: int = 8
    blocks: int = 4
    detail_nodes: int = 3
    expansion: float = 2.0
    scale_clamp: float = 0.0
    mixing: str = "free"
    memory: str = "recorded"
    skip: str = "none"

    def __post_init__(self) -> None:
        for name, allowed in (("skip", SKIPS), ("mixing", MIXINGS), ("memory", MEMORIES)):
            value = getattr(self, name)
            if value not in allowed:
                msg = f"{name} is {value!r}; choose one of {', '.join(allowed)}"
                raise OptionError(msg)
        if self.channels < 2 or self.channels % 2 or self.heads < 1 or self.channels % self.heads:
            msg = f"channels is {self.channels} and heads {self.heads}; give even channels that heads divides"
            raise OptionError(msg)
        if self.blocks < 0 or self.detail_nodes < 0 or self.scale_clamp < 0 or self.channels * self.expansion < 1:
            msg = "blocks, detail_nodes and scale_clamp must be at least 0, and channels x expansion at least 1"
            raise OptionError(msg)


class Features(NamedTuple):  # TorchScript reads its annotations, so this file does not postpone them
    """What the encoder finds in an image, each (B, C, H, W)."""

    base: Tensor
    detail: Tensor
    shared: Tensor


class BaseAttention(nn.Module):
    """Channel attention whose queries, keys and values come from a 1x1 and then a dense 3x3 convolution."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv1 = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv2 = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        projected: Tensor = self.proj(attend(self.project(x, 0, self.qkv2.weight.shape[0]), self.scale))
        return projected

    def project(self, x: Tensor, first: int, end: int) -> Tensor:
        """Map (B, C, H, W) to some of the 3C channels of queries, keys and values, (B, end - first, H, W)."""
        # Two bias-free linear maps in a row are one: a dense 3x3 from C to 3C costs a third of 3C to 3C.
        kernel = torch.einsum("omhw,mi->oihw", self.qkv2.weight[first:end], self.qkv1.weight[:, :, 0, 0])
        return torch.conv2d(x, kernel, padding=1)


class BaseBlock(TwoPassBlock):
    """x + attention(norm(x)), then x + feed-forward(norm(x)): low-frequency structure."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.attn = BaseAttention(channels, heads)
        self.norm2 = ChannelNorm(channels)
        self.mlp = GDFN(channels, channels, groups=channels)

    def _compute(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        refined: Tensor = x + self.mlp(self.norm2(x))
        return refined

    @torch.jit.unused
    def parts(self) -> BlockParts:
        """Return what the block is made of."""
        attn = self.attn
        projection = (attn.qkv1, attn.qkv2, attn.project, attn.scale, attn.proj)
        return BlockParts(self.norm1, *projection, self.norm2, self.mlp)


class SharedEncoder(nn.Module):
    """The encoder that both modalities go through."""

    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        self.patch_embedding = PatchEmbedding(1, config.channels)
        self.blocks = _restormer_blocks(config)
        self.base_branch = BaseBlock(config.channels, config.heads)
        self.detail_branch = _invertible_nodes(config, config.detail_nodes)

    def forward(self, image: Tensor) -> Features:
        """Split an image (B, 1, H, W) in [0, 1] into its features."""
        # Under autocast too, what blocks add to keeps the digits of the image.
        shared = self.blocks(self.patch_embedding(image).to(image.dtype))
        return Features(self.base_branch(shared), self.detail_branch(shared), shared)


class Decoder(nn.Module):
    """Draw an image from base and detail features."""

    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        half = config.channels // 2
        self.reduce = nn.Conv2d(2 * config.channels, config.channels, 1, bias=False)
        self.blocks = _restormer_blocks(config)
        self.output = nn.Sequential(
            nn.Conv2d(config.channels, half, 3, padding=1, bias=False),
            nn.LeakyReLU(0.01),
            nn.Conv2d(half, 1, 3, padding=1, bias=False),
        )

    def forward(self, base: Tensor, detail: Tensor) -> Tensor:
        """Map features, each (B, C, H, W), to logits (B, 1, H, W)."""
        reduced = self.reduce(torch.cat([base, detail], dim=1)).to(base.dtype)
        logits: Tensor = self.output(self.blocks(reduced))
        return logits


class CDDFuse(nn.Module):
    """Fuse two co-registered images of different modality into one.

    Args:
        config: the numbers.
    """

    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        self.config = config
        self.skip = config.skip
        self.encoder = SharedEncoder(config)
        self.base_fusion = BaseBlock(config.channels, config.heads)
        self.detail_fusion = _invertible_nodes(config, 1)
        self.decoder = Decoder(config)
        if config.memory == "recomputed":
            recompute_inside(self)

    def forward(self, image: Tensor) -> Tensor:
        """Fuse two modalities.

        Args:
            image: (N, 2, H, W) in [0, 1], H and W at least 2; MR in channel 0, the other in channel 1.

        Returns:
            (N, 1, H, W) in (0, 1).
        """
        return self.decompose_and_fuse(image)[0]

    def decompose_and_fuse(self, image: Tensor) -> tuple[Tensor, Features, Features]:
        """Fuse two modalities, and return their features beside the fused image.

        Args:
            image: as for ``forward``.

        Returns:
            The fused image (N, 1, H, W), the features of the first modality and those of the second.
        """
        first, second = image.chunk(2, dim=1)
        both = self.encoder(torch.cat([first, second]))  # both modalities in one batch of 2N
        base_first, base_second = both.base.unflatten(0, (2, -1)).unbind(0)
        detail_first, detail_second = both.detail.unflatten(0, (2, -1)).unbind(0)
        shared_first, shared_second = both.shared.unflatten(0, (2, -1)).unbind(0)
        base = self.base_fusion(base_first + base_second)
        detail = self.detail_fusion(detail_first + detail_second)
        logits: Tensor = self.decoder(base, detail)
        if self.skip == "sum":
            logits = logits + first + second
        elif self.skip == "first":
            logits = logits + first
        features_first = Features(base_first, detail_first, shared_first)
        features_second = Features(base_second, detail_second, shared_second)
        return torch.sigmoid(logits.to(image.dtype)), features_first, features_second

    @torch.jit.unused
    def reconstruct(self, image: Tensor, skip: bool = True) -> tuple[Tensor, Features]:
        """Encode one modality and draw it again from its own features (stage I of training).

        Args:
            image: (B, 1, H, W) in [0, 1].
            skip: add the image itself before the sigmoid, as the published recipe does.

        Returns:
            The reconstruction, (B, 1, H, W), and the features.
        """
        features: Features = self.encoder(image)
        logits: Tensor = self.decoder(features.base, features.detail)
        return torch.sigmoid(logits + image if skip else logits), features


def _restormer_blocks(config: CDDFuseConfig) -> nn.Sequential:
    return nn.Sequential(
        *(RestormerBlock(config.channels, config.heads, config.expansion) for _ in range(config.blocks))
    )


def _invertible_nodes(config: CDDFuseConfig, number: int) -> nn.Sequential:
    nodes = [InvertibleNode(config.channels, config.scale_clamp, config.mixing) for _ in range(number)]
    if config.memory == "reversible":
        return InvertibleSequence(nodes, anchor_every=_ANCHORED[config.mixing])
    return nn.Sequential(*nodes)
