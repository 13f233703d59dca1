"""Step 5 of 8, network: what the kernels have to know of a block."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class BlockWeights(NamedTuple):
    """The weights of a block as its modules hold them; no convolution has a bias.

    Attributes:
        scale1: (C,) of the first norm.
        shift1: (C,) of the first norm, or None for the norm that keeps the mean.
        qkv: (3C, C, 1, 1).
        qkv_spread: (3C, 1, 3, 3) for depthwise, or (3C, 3C, 3, 3) for a dense 3x3 convolution.
        temperature: (heads, 1, 1).
        attention_out: (C, C, 1, 1).
        scale2: (C,) of the second norm.
        shift2: as ``shift1``.
        project_in: (2 hidden, C, 1, 1).
        spread: (2 hidden, 1, 3, 3) for depthwise, or (2 hidden, 2, 3, 3) for groups of two.
        project_out: (C, hidden, 1, 1).
    """

    scale1: Tensor
    shift1: Tensor | None
    qkv: Tensor
    qkv_spread: Tensor
    temperature: Tensor
    attention_out: Tensor
    scale2: Tensor
    shift2: Tensor | None
    project_in: Tensor
    spread: Tensor
    project_out: Tensor
