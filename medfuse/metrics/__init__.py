"""Measures of fusion and of alignment, as plain functions on arrays."""

from medfuse.metrics.alignment import (
    AlignmentError,
    rotation_error_degrees,
    target_registration_error_mm,
    translation_error_mm,
)
from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.gradient import edge_transfer, source_edge_transfer

__all__ = [
    "AlignmentError",
    "edge_transfer",
    "rotation_error_degrees",
    "source_edge_transfer",
    "target_registration_error_mm",
    "translation_error_mm",
    "visual_information_fidelity",
]
