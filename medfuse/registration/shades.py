"""Values made ready for a histogram of few bins, in which soft tissue must not share one bin."""

from __future__ import annotations

from typing import Any

import numpy as np

from medfuse.registration.body import Mask
from medfuse.registration.images import Values

_KNOTS = 65
_ENDS = (0.005, 0.995)


def shades(values: Values, body: Mask, bins: int, rank_share: float) -> Values:
    """Spread values over bins, partly by their rank within the body.

    Between air and bone a CT has two thousand values, and all soft tissue lies within eighty of them: bins of equal
    width would hold it in one or two. Bins of equal counts would lose a small bright lesion. Shades are the mean
    of both, and rise with the values, so that mutual information means what it did.

    Args:
        values: (X, Y, Z).
        body: (X, Y, Z) mask of the voxels whose ranks count.
        bins: number of bins.
        rank_share: 0 for bins of equal width, 1 for bins of equal counts.

    Returns:
        (X, Y, Z) float32, 0 to bins - 1.
    """
    low, high = (float(end) for end in np.quantile(values, _ENDS))
    width = max(high - low, float(np.finfo(np.float32).tiny))
    even = np.clip((values - low) / width, 0.0, 1.0)
    rank = _rank(values, np.quantile(values[body] if body.any() else values, np.linspace(0.0, 1.0, _KNOTS)))
    return np.ascontiguousarray((rank_share * rank + (1.0 - rank_share) * even) * (bins - 1), dtype=np.float32)


def _rank(values: Values, knots: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where values stand among evenly spaced quantiles, 0 to 1."""
    distinct, first = np.unique(knots, return_index=True)
    return np.interp(values, distinct, np.linspace(0.0, 1.0, len(knots))[first])
