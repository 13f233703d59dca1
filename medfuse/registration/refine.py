"""From a rough pose to a precise one: a local search for the most mutual information."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from medfuse.geometry import Matrix, Points
from medfuse.registration.images import Image, rigid_matrix, to_transform
from medfuse.registration.presets import Level

_RELAXATION = 0.6
_MOST_SEEDS = 2**31  # ITK takes an unsigned number, and 0 for the clock
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """The two scans on one level of the pyramid.

    Attributes:
        fixed: the fixed scan.
        mask: where it is compared, on its grid.
        moving: the moving scan.
        center_mm: (3,) middle of the fixed head in RAS mm; the search turns about it.
        radius_mm: root mean square distance of the head's voxels from it.
    """

    fixed: Image
    mask: Image
    moving: Image
    center_mm: Points
    radius_mm: float


def refine(pair: Pair, start_ras: Matrix, level: Level, bins: int, seed: int) -> Matrix:
    """Climb from a pose to the nearest optimum of Mattes' mutual information.

    The regular-step optimizer works on three angles, scaled by the head's radius so that a step turns the
    head as far as it shifts it, and three millimetres. One work unit only: with more, the order in which
    threads add up the derivatives would change the last bits of the result.

    Args:
        pair: the two scans.
        start_ras: (4, 4) transform of RAS points to start from.
        level: numbers of samples and steps.
        bins: histogram bins per scan.
        seed: seed of the sampled points, at least 0.

    Returns:
        The refined transform of RAS points, (4, 4); the start itself where the two scans do not meet.
    """
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(bins)
    _sample(method, pair, level.samples, seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        level.first_step_mm, level.last_step_mm, level.iterations, _RELAXATION
    )
    method.SetOptimizerScales([pair.radius_mm**2] * 3 + [1.0] * 3)
    method.SetMovingInitialTransform(to_transform(start_ras))
    change = sitk.Euler3DTransform()
    change.SetCenter((pair.center_mm * _RAS_TO_LPS).tolist())
    method.SetInitialTransform(change, True)
    try:
        method.Execute(pair.fixed, pair.moving)
    except RuntimeError:
        _log.debug("a start was given up: its samples fall outside the moving scan")
        return start_ras
    return np.asarray(start_ras @ rigid_matrix(change), dtype=np.float64)


def _sample(method: Any, pair: Pair, samples: int, seed: int) -> None:
    """Compare about this many points of the mask: evenly spread, each shaken within its voxel."""
    available = int((sitk.GetArrayViewFromImage(pair.mask) > 0).sum())
    method.SetMetricFixedMask(pair.mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(1.0, samples / max(available, 1)), 1 + seed % _MOST_SEEDS)
