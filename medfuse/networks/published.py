"""Step 5 of 8, network: the names that tensors have in published CDDFuse checkpoints.

Such a file holds four parts, ``DIDF_Encoder``, ``DIDF_Decoder``, ``BaseFuseLayer`` and ``DetailFuseLayer``,
whose tensors are named, mostly behind ``module.``, as the original authors named their layers.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

PARTS = ("DIDF_Encoder", "DIDF_Decoder", "BaseFuseLayer", "DetailFuseLayer")

_WRAPPER = "module."
_STARTS = (
    ("DIDF_Encoder/patch_embed.", "encoder.patch_embedding."),
    ("DIDF_Encoder/encoder_level1.", "encoder.blocks."),
    ("DIDF_Encoder/baseFeature.", "encoder.base_branch."),
    ("DIDF_Encoder/detailFeature.net.", "encoder.detail_branch."),
    ("BaseFuseLayer/", "base_fusion."),
    ("DetailFuseLayer/net.", "detail_fusion."),
    ("DIDF_Decoder/reduce_channel.", "decoder.reduce."),
    ("DIDF_Decoder/encoder_level2.", "decoder.blocks."),
    ("DIDF_Decoder/output.", "decoder.output."),
)
_INSIDE = (
    (".theta_phi.bottleneckBlock.", ".phi.layers."),
    (".theta_rho.bottleneckBlock.", ".rho.layers."),
    (".theta_eta.bottleneckBlock.", ".eta.layers."),
    (".shffleconv.", ".mix."),
)


def from_published(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Give the tensors of a published checkpoint medfuse's names.

    Args:
        parts: the tensors of each of ``PARTS``, by name.

    Returns:
        The tensors by medfuse's name; one that medfuse does not know keeps its own, as ``PART/name``.
    """
    return {
        _renamed(f"{part}/{key.removeprefix(_WRAPPER)}"): tensor
        for part, tensors in parts.items()
        for key, tensor in tensors.items()
    }


def published_name(name: str) -> str:
    """Return the published name, ``PART/name``, of a tensor of ``CDDFuse``."""
    for published, own in _STARTS:
        if name.startswith(own):
            name = published + name.removeprefix(own)
    for published, own in _INSIDE:
        name = name.replace(own, published)
    return name


def _renamed(name: str) -> str:
    for published, own in _STARTS:
        if name.startswith(published):
            name = own + name.removeprefix(published)
    for published, own in _INSIDE:
        name = name.replace(published, own)
    return name
