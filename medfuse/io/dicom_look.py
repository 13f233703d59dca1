"""Step 7 of 8, write: how gray values are stored, what they mean, and how they are first shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from medfuse.errors import IntensityError
from medfuse.io.dicom_derived import DISCLAIMER, Derivation, day_and_time
from medfuse.io.dicom_elements import code, decimal

_LARGEST = 32767
_CODES = {
    "max": ("113048", "DCM", "Pixel by pixel Maximum"),
    "average": ("113049", "DCM", "Pixel by pixel mean"),
}
_FUSION = ("FUSION", "99MEDFUSE", "Image fusion")
_RESAMPLING = ("113085", "DCM", "Spatial resampling")
_SHADES = "Values are shades from 0 to 1, not Hounsfield or other physical units"


@dataclass(frozen=True)
class GrayLook:
    """How values are stored and first shown.

    Attributes:
        units: ``RescaleType`` of what is stored: "US" for none, "HU", ...
        low: the value shown black.
        high: the value shown white.
    """

    units: str
    low: float
    high: float


SHADES = GrayLook("US", 0.0, 1.0)


@dataclass(frozen=True)
class Scaling:
    """Real value = ``slope`` times the stored 16-bit integer + ``intercept``, both as the header writes them."""

    slope: str
    intercept: str

    def stored(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
        """Return the nearest stored values."""
        scaled = (np.asarray(values, dtype=np.float64) - float(self.intercept)) / float(self.slope)
        return np.clip(np.rint(scaled), -_LARGEST - 1, _LARGEST).astype(np.int16)


def scaling_of(array: npt.NDArray[np.floating], look: GrayLook, modality: str) -> Scaling:
    """Choose a scaling that spends 16 bits on the values of a volume; for shades always the same one.

    Args:
        array: the values.
        look: their units and window.
        modality: for PT the intercept is 0, as its class demands.

    Raises:
        IntensityError: if values are not finite.
    """
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        msg = "the volume to write holds values that are NaN or infinite; replace them, for example by 0"
        raise IntensityError(msg)
    if look == SHADES:
        low, high = min(low, 0.0), max(high, 1.0)
    return spread(low, high, through_zero=modality == "PT" or 0.0 <= low < high / 2)


def spread(low: float, high: float, *, through_zero: bool) -> Scaling:
    """Spread the stored integers over a range, symmetrically around its middle or around 0."""
    middle = 0.0 if through_zero else (low + high) / 2.0
    reach = max(high - middle, middle - low)
    return Scaling(decimal(reach / _LARGEST if reach > 0 else 1.0), decimal(middle))


def describe(dataset: Dataset, run: Derivation, purpose: str) -> None:
    """Say in words and codes what the images are."""
    told = run.description
    dataset.ContentDate, dataset.ContentTime = day_and_time(run)
    if purpose == "moving":
        dataset.SeriesDescription = f"{told.moving_modality} on {told.fixed_modality} grid ({told.use})"
        dataset.DerivationDescription = (
            f"{told.moving_modality} resampled onto the grid of the fixed series; {told.verdict}. {DISCLAIMER}"
        )
        dataset.DerivationCodeSequence = [code(*_RESAMPLING)]
        return
    dataset.SeriesDescription = f"Fused {told.fixed_modality} + {told.moving_modality} ({told.use})"
    dataset.DerivationDescription = f"{told.text}. {_SHADES}. {DISCLAIMER}"
    dataset.DerivationCodeSequence = [code(*_RESAMPLING), code(*_CODES.get(told.method, _FUSION))]


def add_pixels(dataset: Dataset, stored: npt.NDArray[np.int16]) -> None:
    """Put in the pixels, (rows, columns) or (frames, rows, columns)."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.PixelData = stored.astype("<i2", copy=False).tobytes()


def add_look(dataset: Dataset, chosen: Scaling, look: GrayLook, modality: str) -> None:
    """Say what the stored values mean, and which of them to show first.

    The default function of a window is off by a half and needs a width above 1, useless for values from 0 to 1, so
    the exact one is named. Viewers that do not know it mostly fall back to the same where the width is below 1.
    """
    dataset.RescaleIntercept, dataset.RescaleSlope = chosen.intercept, chosen.slope
    if modality != "PT":
        dataset.RescaleType = look.units
    elif look.units == "SUV":  # there the attribute Units takes the place of RescaleType
        dataset.Units, dataset.SUVType = "GML", "BW"
    width = look.high - look.low
    dataset.WindowCenter = decimal((look.low + look.high) / 2.0)
    dataset.WindowWidth = decimal(0.9999 if width == 1.0 else width)
    dataset.VOILUTFunction = "LINEAR_EXACT"
