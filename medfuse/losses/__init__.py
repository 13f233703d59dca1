"""Losses of the two training stages, on tensors only."""

from medfuse.losses.decomposition import correlation, decomposition_loss
from medfuse.losses.distillation import distillation_loss
from medfuse.losses.entropy import soft_entropy
from medfuse.losses.fusion import gradient_loss, intensity_loss, sobel_magnitude
from medfuse.losses.latent import maximum_mean_discrepancy, normality_loss
from medfuse.losses.reconstruction import gradient_difference, reconstruction_loss, ssim_loss
from medfuse.losses.structure import invented_loss, lost_loss
from medfuse.losses.surpass import MEASURES, Goal, surpass_losses

__all__ = [
    "MEASURES",
    "Goal",
    "correlation",
    "decomposition_loss",
    "distillation_loss",
    "gradient_difference",
    "gradient_loss",
    "intensity_loss",
    "invented_loss",
    "lost_loss",
    "maximum_mean_discrepancy",
    "normality_loss",
    "reconstruction_loss",
    "sobel_magnitude",
    "soft_entropy",
    "ssim_loss",
    "surpass_losses",
]
