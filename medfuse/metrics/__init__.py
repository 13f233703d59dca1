"""Measures of fusion and of alignment, as plain functions on arrays."""

from medfuse.metrics.alignment import (
    AlignmentError,
    rotation_error_degrees,
    target_registration_error_mm,
    translation_error_mm,
)
from medfuse.metrics.contrast import average_gradient, spatial_frequency, standard_deviation
from medfuse.metrics.correlation import correlation, correlation_of_difference, sum_of_correlations_of_differences
from medfuse.metrics.edges import invented_structure, lost_structure
from medfuse.metrics.error import mean_squared_error, peak_signal_to_noise_ratio
from medfuse.metrics.features import feature_mutual_information
from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.flicker import flicker
from medfuse.metrics.foreground import foreground_mask
from medfuse.metrics.gradient import edge_transfer, source_edge_transfer
from medfuse.metrics.information import entropy, mutual_information, normalized_mutual_information
from medfuse.metrics.lesion import contrast_to_noise, lesion_contrast_kept
from medfuse.metrics.multiscale import multiscale_structural_similarity
from medfuse.metrics.perception import contrast_preservation, regional_difference
from medfuse.metrics.published import published_suite
from medfuse.metrics.recoverability import Recovery, recoverability
from medfuse.metrics.sound import HIGHER_IS_BETTER, sound_suite
from medfuse.metrics.structure import structural_similarity

__all__ = [
    "HIGHER_IS_BETTER",
    "AlignmentError",
    "Recovery",
    "average_gradient",
    "contrast_preservation",
    "contrast_to_noise",
    "correlation",
    "correlation_of_difference",
    "edge_transfer",
    "entropy",
    "feature_mutual_information",
    "flicker",
    "foreground_mask",
    "invented_structure",
    "lesion_contrast_kept",
    "lost_structure",
    "mean_squared_error",
    "multiscale_structural_similarity",
    "mutual_information",
    "normalized_mutual_information",
    "peak_signal_to_noise_ratio",
    "published_suite",
    "recoverability",
    "regional_difference",
    "rotation_error_degrees",
    "sound_suite",
    "source_edge_transfer",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "target_registration_error_mm",
    "translation_error_mm",
    "visual_information_fidelity",
]
