"""Where a registration of a planted case ends."""

from __future__ import annotations

import numpy as np
from verdict_patients import Scan, cache_folder
from verdict_recipes import Recipe

from medfuse.geometry import Matrix
from medfuse.options import RegistrationOptions
from medfuse.registration.peak import Lever, climb_to_peak
from medfuse.registration.presets import load_preset
from medfuse.registration.rigid import register_rigid
from medfuse.registration.scans import prepare, slope_of


def climbed(fixed: Scan, moving: Scan, start: Matrix) -> Matrix:
    """Refine from near the truth: where a search that was not trapped ends."""
    preset = load_preset("head")
    scans = prepare(fixed.volume, fixed.affine_ras, moving.volume, moving.affine_ras, preset)
    lever = Lever(scans.pairs[-1].center_mm, scans.pairs[-1].radius_mm)
    for number in (-2, -1):
        slope = slope_of(scans, number, preset.slope_bins[number], preset.levels[number].samples)
        start = climb_to_peak(slope, start, lever, preset.levels[number])
    return start


def searched(recipe: Recipe, fixed: Scan, moving: Scan) -> Matrix:
    """Register with the product's own search; remembered on disk."""
    path = cache_folder() / f"search_{recipe.kind.replace(' ', '_')}_{recipe.key}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float64)
    found = register_rigid(
        fixed.volume, fixed.affine_ras, moving.volume, moving.affine_ras, RegistrationOptions()
    ).fixed_to_moving_ras
    np.save(path, found)
    return found
