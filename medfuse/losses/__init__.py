"""Losses of the two training stages, on tensors only."""

from medfuse.losses.decomposition import correlation, decomposition_loss
from medfuse.losses.fidelity import edge_loss, worst_source_loss
from medfuse.losses.fusion import gradient_loss, intensity_loss, sobel_magnitude
from medfuse.losses.reconstruction import gradient_difference, reconstruction_loss, ssim_loss

__all__ = [
    "correlation",
    "decomposition_loss",
    "edge_loss",
    "gradient_difference",
    "gradient_loss",
    "intensity_loss",
    "reconstruction_loss",
    "sobel_magnitude",
    "ssim_loss",
    "worst_source_loss",
]
