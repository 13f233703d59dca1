"""Seeded randomness: one independent stream per name, and smooth random fields in space."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import torch

from medfuse.phantom.shapes import Coordinates, Field


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream that belongs to a name, so that no stream depends on what else is drawn."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class SmoothNoise:
    """A random field with unit variance and one dominant wavelength, periodic in a large cube.

    White noise is band-passed in the Fourier domain on a coarse lattice and interpolated linearly, after
    J. P. Lewis, "Algorithms for solid noise synthesis", SIGGRAPH 1989.

    Args:
        random: where the white noise comes from.
        wavelength_mm: dominant wavelength.
        period_mm: edge of the cube after which the field repeats.
        bandwidth: relative width of the pass band; small is regular, large is ragged.
    """

    def __init__(
        self,
        random: np.random.Generator,
        wavelength_mm: float,
        period_mm: float = 288.0,
        bandwidth: float = 0.25,
    ) -> None:
        self._size = int(np.clip(np.ceil(period_mm * 8 / wavelength_mm), 16, 112))
        self._step_mm = period_mm / self._size
        white = random.standard_normal((self._size, self._size, self._size), dtype=np.float32)
        spectrum = np.fft.rfftn(white) * self._pass_band(wavelength_mm, bandwidth)
        lattice = np.fft.irfftn(spectrum, s=white.shape, axes=(0, 1, 2))
        lattice /= lattice.std()
        # One extra layer on the far sides lets the interpolation cross the seam.
        self._lattice = torch.from_numpy(np.pad(lattice, (0, 1), mode="wrap").astype(np.float32))

    def _pass_band(self, wavelength_mm: float, bandwidth: float) -> npt.NDArray[np.float64]:
        full = np.fft.fftfreq(self._size, self._step_mm)
        half = np.fft.rfftfreq(self._size, self._step_mm)
        frequency = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2)
        off_center = (frequency * wavelength_mm - 1) / bandwidth
        band = np.exp(-0.5 * off_center**2)
        band[0, 0, 0] = 0
        return np.asarray(band, dtype=np.float64)

    def __call__(self, at: Coordinates) -> Field:
        """Return the field at points given in mm."""
        x, y, z = np.broadcast_arrays(*at)
        grid = np.empty((*x.shape, 3), dtype=np.float32)
        for axis, values in enumerate((z, y, x)):
            wrapped = np.mod(values / np.float32(self._step_mm), np.float32(self._size))
            grid[..., axis] = wrapped * np.float32(2 / self._size) - 1
        points = torch.from_numpy(grid).reshape(1, -1, 1, 1, 3)
        sampled = torch.nn.functional.grid_sample(
            self._lattice[None, None], points, mode="bilinear", padding_mode="border", align_corners=True
        )
        return np.asarray(sampled.reshape(x.shape).numpy(), dtype=np.float32)
