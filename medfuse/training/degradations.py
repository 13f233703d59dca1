"""Training: how scanners spoil a picture, as far as a restorer is to undo it.

Each degradation has one level, whose unit says what it means at the scanner; the restorer is never told the level.
Pictures are in the units of ``medfuse.transforms.restored``: 0 to 1 over what the restorer looks at.

- CT: the noise of filtered back projection. Riederer, Pelc and Chesler, "The noise power spectrum in computed X-ray
  tomography", Physics in Medicine and Biology 23 (1978): its power rises with the frequency, up to the kernel's end.
- MR: magnitudes of complex Gaussian noise. Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", Magnetic
  Resonance in Medicine 34 (1995).
- PET and SPECT: counts of a blurred activity. Shepp and Vardi, "Maximum likelihood reconstruction for emission
  tomography", IEEE Transactions on Medical Imaging 1 (1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from medfuse.transforms.restoration_scale import CT_WINDOW_HU

Picture = npt.NDArray[np.float32]

KERNEL_CUTOFF = 0.5  # of the reconstruction of CT, in cycles a pixel: where its apodization ends
POINT_SPREAD_FWHM = 1.5  # of PET and SPECT beyond what the clean picture has, in pixels
_CUTOFFS = (0.35, 0.7)
_POINT_SPREADS = (0.0, 2.0)
_COARSER_SHARE = 0.5
_COARSER_FWHM = (1.0, 6.0)
_FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class Degradation:
    """What one modality suffers.

    Attributes:
        unit: of the level.
        levels: least and largest level that training draws from.
        judged: three levels, from mild to severe, at which restorers are compared.
        apply: maps a clean picture (H, W), a level, the shape of kernel or point spread, and random numbers to the
            degraded one.
        shapes: range of the kernel's cutoff or of the point spread.
        shape: the one at which restorers are compared.
    """

    unit: str
    levels: tuple[float, float]
    judged: tuple[float, float, float]
    apply: Callable[[Picture, float, float, np.random.Generator], Picture]
    shapes: tuple[float, float]
    shape: float


def low_dose(image: Picture, sigma_hu: float, cutoff: float, random: np.random.Generator) -> Picture:
    """Add the noise of CT reconstructed by filtered back projection.

    Args:
        image: (H, W), 0 to 1 over ``CT_WINDOW_HU``.
        sigma_hu: standard deviation of the noise, in HU, at least 0.
        cutoff: frequency at which the kernel ends, in cycles a pixel.
        random: where the noise comes from.

    Returns:
        (H, W), not clipped.
    """
    height, width = image.shape
    gain = _ramp_gain(height, width, cutoff)
    white = np.fft.rfft2(random.standard_normal(image.shape))
    noise = np.fft.irfft2(white * gain, s=image.shape)
    sigma = sigma_hu / (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])
    return np.asarray(image + sigma * noise, dtype=np.float32)


def _ramp_gain(height: int, width: int, cutoff: float) -> npt.NDArray[np.float64]:
    """Return the gain of white noise at each frequency, for a standard deviation of 1: ramp power under a cosine."""
    down, right = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    frequency = np.hypot(down, right)
    power = frequency * np.cos(0.5 * np.pi * np.minimum(frequency / cutoff, 1.0)) ** 2
    gain = np.sqrt(power / power.mean())
    return np.asarray(gain[:, : width // 2 + 1])


def rician(image: Picture, percent: float, _shape: float, random: np.random.Generator) -> Picture:
    """Return the magnitude of an MR picture with complex noise.

    Args:
        image: (H, W), at least 0.
        percent: standard deviation of the real and of the imaginary noise, in percent of the value 1.
        random: where the noise comes from.

    Returns:
        (H, W), at least 0.
    """
    real, imaginary = percent / 100.0 * random.standard_normal((2, *image.shape))
    return np.asarray(np.hypot(image + real, imaginary), dtype=np.float32)


def low_count(image: Picture, counts: float, fwhm: float, random: np.random.Generator) -> Picture:
    """Return a picture of few counts of a blurred activity.

    Args:
        image: (H, W), at least 0.
        counts: expected counts of a pixel of value 1.
        fwhm: width of the point spread at half its height, in pixels.
        random: where the counts come from.

    Returns:
        (H, W), counts divided by those of a pixel of value 1.
    """
    seen = gaussian_filter(image.astype(np.float64), fwhm / _FWHM_OF_SIGMA, mode="nearest")
    return np.asarray(random.poisson(counts * seen) / counts, dtype=np.float32)


_FEW_COUNTS = Degradation("counts", (5.0, 3000.0), (100.0, 30.0, 10.0), low_count, _POINT_SPREADS, POINT_SPREAD_FWHM)
DEGRADATIONS = {
    "MR": Degradation("%", (0.5, 15.0), (3.0, 6.0, 12.0), rician, (0.0, 0.0), 0.0),
    "CT": Degradation("HU", (2.0, 50.0), (10.0, 20.0, 40.0), low_dose, _CUTOFFS, KERNEL_CUTOFF),
    "PT": _FEW_COUNTS,
    "NM": _FEW_COUNTS,
}


def coarser(image: Picture, modality: str, random: np.random.Generator) -> Picture:
    """Make half of the clean PET and SPECT pictures as coarse as those of other scanners, and leave all else.

    Without it a restorer would take every smooth edge for one to sharpen.

    Args:
        image: (H, W).
        modality: MR, CT, PT or NM.
        random: where the chance and the width come from.
    """
    if modality not in ("PT", "NM") or random.random() >= _COARSER_SHARE:
        return image
    fwhm = random.uniform(*_COARSER_FWHM)
    return np.asarray(gaussian_filter(image, fwhm / _FWHM_OF_SIGMA, mode="nearest"), dtype=np.float32)


def degrade(image: Picture, modality: str, random: np.random.Generator) -> Picture:
    """Degrade a picture by a level and a shape that are drawn at random: levels evenly on a logarithmic scale.

    Args:
        image: (H, W), 0 to 1.
        modality: MR, CT, PT or NM.
        random: where all chance comes from.
    """
    degradation = DEGRADATIONS[modality]
    least, largest = (math.log(each) for each in degradation.levels)
    level = math.exp(random.uniform(least, largest))
    return degradation.apply(image, level, random.uniform(*degradation.shapes), random)


def degrade_at(image: Picture, modality: str, level: float, random: np.random.Generator) -> Picture:
    """Degrade a picture by a known level and the shape at which restorers are compared; see ``degrade``."""
    degradation = DEGRADATIONS[modality]
    return degradation.apply(image, level, degradation.shape, random)
