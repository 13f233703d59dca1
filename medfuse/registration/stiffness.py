"""What it costs to bend and to stretch a displacement, so that tissue moves as tissue does."""

from __future__ import annotations

import numpy as np

from medfuse.registration.bspline import Field

# The axes to take differences along, and how often each term counts.
_STRETCHES = (((1,), 1.0), ((2,), 1.0), ((3,), 1.0))
_BENDS = (((1, 1), 1.0), ((2, 2), 1.0), ((3, 3), 1.0), ((1, 2), 2.0), ((1, 3), 2.0), ((2, 3), 2.0))


def stretching(coefficients: Field, spacing_mm: float) -> tuple[float, Field]:
    """Return the sum over control points of the squared first derivatives, and its gradient.

    Args:
        coefficients: (3, I, J, K) B-spline coefficients in mm.
        spacing_mm: distance between the control points.

    Returns:
        The energy, without unit, and its derivative by each coefficient, in 1/mm.
    """
    return _energy(coefficients, spacing_mm, _STRETCHES)


def bending(coefficients: Field, spacing_mm: float) -> tuple[float, Field]:
    """Return the sum over control points of the squared second derivatives, in 1/mm^2, and its gradient.

    The bending energy of a thin plate in three dimensions (Rueckert et al., "Nonrigid registration using
    free-form deformations", IEEE TMI 1999), with differences of coefficients in place of derivatives. Affine
    maps cost nothing.

    Args:
        coefficients: (3, I, J, K) B-spline coefficients in mm.
        spacing_mm: distance between the control points.

    Returns:
        The energy and its derivative by each coefficient.
    """
    return _energy(coefficients, spacing_mm, _BENDS)


def _energy(
    coefficients: Field, spacing_mm: float, terms: tuple[tuple[tuple[int, ...], float], ...]
) -> tuple[float, Field]:
    total, gradient = 0.0, np.zeros_like(coefficients)
    for axes, share in terms:
        change = coefficients
        for axis in axes:
            change = np.diff(change, axis=axis) / spacing_mm
        total += share * float(np.sum(change * change))
        change = 2.0 * share * change
        for axis in axes:
            width = [(0, 0)] * 4
            width[axis] = (1, 1)
            change = -np.diff(np.pad(change, width), axis=axis) / spacing_mm
        gradient += change
    return total, gradient
