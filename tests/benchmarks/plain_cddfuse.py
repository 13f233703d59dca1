"""CDDFuse as one writes it down from the paper: layer after layer, one modality after the other, nothing merged.

What speed is measured against, and values too: the parameters have the names of ``medfuse.networks.CDDFuse``, so its
weights load as they are. The arithmetic is that of the published network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.networks import CDDFuse, CDDFuseConfig


class Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.ParameterDict({"weight": torch.ones(channels), "bias": torch.zeros(channels)})

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2).transpose(1, 2)  # (B, H*W, C)
        mean, variance = pixels.mean(-1, keepdim=True), pixels.var(-1, keepdim=True, unbiased=False)
        normalized = (pixels - mean) / torch.sqrt(variance + 1e-5) * self.body["weight"] + self.body["bias"]
        return normalized.transpose(1, 2).reshape(x.shape)


def attend(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    heads = scale.shape[0]
    q, k, v = (x.reshape(x.shape[0], heads, -1, x.shape[2] * x.shape[3]) for x in (q, k, v))  # (B, heads, C/heads, H*W)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    return ((q @ k.transpose(-2, -1)) * scale).softmax(dim=-1) @ v


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        return self.project_out(attend(q, k, v, self.temperature).reshape(x.shape))


class BaseAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv1 = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv2 = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv2(self.qkv1(x)).chunk(3, dim=1)
        return self.proj(attend(q, k, v, self.scale).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, channels: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=groups, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attn = Norm(channels), Attention(channels, heads)
        self.norm2, self.ffn = Norm(channels), FeedForward(channels, hidden, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class BaseBlock(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = Norm(channels), BaseAttention(channels, heads)
        self.norm2, self.mlp = Norm(channels), FeedForward(channels, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Bottleneck(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
            nn.ReLU6(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(2 * channels, 2 * channels, 3, groups=2 * channels, bias=False),
            nn.ReLU6(),
            nn.Conv2d(2 * channels, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Node(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.phi, self.rho, self.eta = (Bottleneck(channels // 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        z1, z2 = self.mix(x).chunk(2, dim=1)
        z2 = z2 + self.phi(z1)
        return torch.cat([z1 * torch.exp(self.rho(z2)) + self.eta(z2), z2], dim=1)


class Embedding(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Encoder(nn.Module):
    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        channels, heads = config.channels, config.heads
        self.patch_embedding = Embedding(channels)
        self.blocks = nn.Sequential(*(Block(channels, heads, 2 * channels) for _ in range(config.blocks)))
        self.base_branch = BaseBlock(channels, heads)
        self.detail_branch = nn.Sequential(*(Node(channels) for _ in range(config.detail_nodes)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.blocks(self.patch_embedding(image))
        return self.base_branch(shared), self.detail_branch(shared)


class Decoder(nn.Module):
    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        channels, half = config.channels, config.channels // 2
        self.reduce = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.blocks = nn.Sequential(*(Block(channels, config.heads, 2 * channels) for _ in range(config.blocks)))
        self.output = nn.Sequential(
            nn.Conv2d(channels, half, 3, padding=1, bias=False),
            nn.LeakyReLU(0.01),
            nn.Conv2d(half, 1, 3, padding=1, bias=False),
        )

    def forward(self, base: Tensor, detail: Tensor) -> Tensor:
        return self.output(self.blocks(self.reduce(torch.cat([base, detail], dim=1))))


class PlainCDDFuse(nn.Module):
    def __init__(self, config: CDDFuseConfig) -> None:
        super().__init__()
        self.skip = config.skip
        self.encoder = Encoder(config)
        self.base_fusion = BaseBlock(config.channels, config.heads)
        self.detail_fusion = nn.Sequential(Node(config.channels))
        self.decoder = Decoder(config)

    def forward(self, image: Tensor) -> Tensor:
        first, second = image.chunk(2, dim=1)
        base_first, detail_first = self.encoder(first)
        base_second, detail_second = self.encoder(second)
        logits = self.decoder(
            self.base_fusion(base_first + base_second), self.detail_fusion(detail_first + detail_second)
        )
        skips = {"none": 0.0, "first": first, "sum": first + second}
        return torch.sigmoid(logits + skips[self.skip])


def plain_form(network: CDDFuse) -> PlainCDDFuse:
    """Return the plain form of a network, with its weights."""
    plain = PlainCDDFuse(network.config)
    plain.load_state_dict(network.state_dict())
    return plain.eval()
