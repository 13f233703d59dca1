"""Measures of fusion and of alignment, as plain functions on arrays."""

from medfuse.metrics.alignment import (
    AlignmentError,
    rotation_error_degrees,
    target_registration_error_mm,
    translation_error_mm,
)
from medfuse.metrics.contrast import average_gradient, spatial_frequency, standard_deviation
from medfuse.metrics.correlation import correlation, correlation_of_difference, sum_of_correlations_of_differences
from medfuse.metrics.error import mean_squared_error, peak_signal_to_noise_ratio
from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.gradient import edge_transfer, source_edge_transfer
from medfuse.metrics.information import entropy, mutual_information, normalized_mutual_information
from medfuse.metrics.published import published_suite
from medfuse.metrics.structure import structural_similarity

__all__ = [
    "AlignmentError",
    "average_gradient",
    "correlation",
    "correlation_of_difference",
    "edge_transfer",
    "entropy",
    "mean_squared_error",
    "mutual_information",
    "normalized_mutual_information",
    "peak_signal_to_noise_ratio",
    "published_suite",
    "rotation_error_degrees",
    "source_edge_transfer",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "target_registration_error_mm",
    "translation_error_mm",
    "visual_information_fidelity",
]
