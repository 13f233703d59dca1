"""Where a registration of a planted case ends."""

from __future__ import annotations

import numpy as np
from verdict_patients import Scan, cache_folder
from verdict_recipes import Recipe

from medfuse.geometry import Matrix
from medfuse.options import RegistrationOptions
from medfuse.registration.presets import load_preset
from medfuse.registration.refine import refine
from medfuse.registration.rigid import register_rigid
from medfuse.registration.scans import prepare


def climbed(fixed: Scan, moving: Scan, start: Matrix) -> Matrix:
    """Refine from near the truth: where a search that was not trapped ends."""
    preset = load_preset("head")
    scans = prepare(fixed.volume, fixed.affine_ras, moving.volume, moving.affine_ras, preset)
    for number in (-2, -1):
        start = refine(scans.pairs[number], start, preset.levels[number], preset.bins, 1)
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
