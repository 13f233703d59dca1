"""What each scanner does to the signal: bias field and Rician noise, Hounsfield noise, Poisson noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medfuse.geometry import spacing_mm
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.sampling import blurred
from medfuse.phantom.scanners import SCANNERS, Grid
from medfuse.phantom.shapes import Coordinates, Field

_MR_NOISE = 16.0
_CT_NOISE_HU = 6.0
_LOWEST_HU = -1024.0
_BIAS = 0.13
# Events per unit of the volume: (8 SUV, 100 counts) become about 70 and 35 events in a voxel.
_EVENTS_PER_UNIT = {"PT": 9.0, "NM": 0.35}
_BACKGROUND = {"PT": 0.03, "NM": 0.8}
_COUCH_CENTER_MM = (0.0, 24.0)
_COUCH_RADIUS_MM = 146.0


def world_coordinates(grid: Grid) -> Coordinates:
    """Return x, y and z in the scanner's mm of every voxel, each of the grid's shape."""
    i, j, k = np.ogrid[tuple(slice(n) for n in grid.shape)]
    x, y, z = (np.asarray(a * i + b * j + c * k + d, dtype=np.float32) for a, b, c, d in grid.affine_ras[:3])
    return x, y, z


def add_magnetic(signal: Field, grid: Grid, name: str, seed: int, noise: float) -> Field:
    """Shade a signal by the coil's bias field and take the magnitude of complex Gaussian noise.

    The noise is Rician: H. Gudbjartsson and S. Patz, "The Rician distribution of noisy MRI data", Magnetic
    Resonance in Medicine 34 (1995).

    Returns:
        Values above zero everywhere that there is noise, also in air.
    """
    shading = SmoothNoise(stream(seed, f"bias {name}"), 240.0, period_mm=480.0)(world_coordinates(grid))
    shaded = signal * np.exp(np.float32(_BIAS) * np.clip(shading, -2.2, 2.2))
    random = stream(seed, f"noise {name}")
    real, imaginary = (
        random.standard_normal(grid.shape, dtype=np.float32) * np.float32(_MR_NOISE * noise) for _ in range(2)
    )
    return np.asarray(np.hypot(shaded + real, imaginary), dtype=np.float32)


def add_computed(signal: Field, grid: Grid, name: str, seed: int, noise: float) -> Field:
    """Add the noise of a reconstructed CT: Gaussian, correlated between neighbors of one slice."""
    white = stream(seed, f"noise {name}").standard_normal(grid.shape, dtype=np.float32)
    grains = blurred(white, (1.5, 1.5, 0.0))
    grains *= np.float32(_CT_NOISE_HU * noise / grains.std(dtype=np.float64))
    return np.asarray(np.maximum(signal + grains, _LOWEST_HU), dtype=np.float32)


def couch(grid: Grid) -> tuple[Field, Field]:
    """Return how much of each voxel the head rest's shell and its foam fill, each 0 to 1."""
    x, y, _ = world_coordinates(grid)
    depth = np.hypot(x - _COUCH_CENTER_MM[0], y - _COUCH_CENTER_MM[1]) - _COUCH_RADIUS_MM
    voxel = float(spacing_mm(grid.affine_ras)[:2].mean())
    below = np.clip((-y - 20) / voxel, 0, 1)
    shell = np.clip((1.5 - np.abs(depth - 6)) / voxel + 0.5, 0, 1) * below
    foam = np.clip((3.0 - np.abs(depth - 1)) / voxel + 0.5, 0, 1) * below
    return np.asarray(shell, dtype=np.float32), np.asarray(foam, dtype=np.float32)


def add_emission(signal: Field, grid: Grid, name: str, seed: int, noise: float) -> Field:
    """Count photons and smooth, as a reconstruction of PET or SPECT with a post-filter does.

    Returns:
        Values of at least zero, in the units of the signal.
    """
    expected = np.maximum(signal + np.float32(_BACKGROUND[name]), 0)
    after = SCANNERS[name].fwhm_mm[1] / spacing_mm(grid.affine_ras)
    if noise > 0:
        per_unit = _EVENTS_PER_UNIT[name] / noise**2
        events: npt.NDArray[np.int64] = stream(seed, f"noise {name}").poisson(expected * per_unit)
        expected = events.astype(np.float32) / np.float32(per_unit)
    return blurred(np.asarray(expected, dtype=np.float32), (float(after[0]), float(after[1]), float(after[2])))
