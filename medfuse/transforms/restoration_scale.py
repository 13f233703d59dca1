"""Before step 3 of 8, restore: the scale on which a restorer looks at values, found by rule and undone exactly.

What a restorer changes is added to the values as they are, and only where it knows the kind of tissue: all else keeps
its values, so that neither HU nor SUV drift where there is nothing to restore.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from medfuse.errors import IntensityError
from medfuse.transforms.ct_units import HOUNSFIELD, FloatArray, ct_units, from_hounsfield, to_hounsfield

CT_WINDOW_HU = (-50.0, 150.0)  # soft tissue; fat, air and bone lie outside and are kept as they are
_NEIGHBORHOOD = 3  # voxels a side: the mean over them tells the tissue, which a noisy voxel does not


@dataclass(frozen=True)
class RestorationScale:
    """The linear map of a whole volume to what a restorer looks at, 0 to 1.

    Attributes:
        lower: value that becomes 0.
        upper: value that becomes 1.
        signed: whether values below 0 mean anything.
        stored_as: for CT, the scale of ``ct_units`` that the stored values are on; lower and upper are in HU.
    """

    lower: float
    upper: float
    signed: bool
    stored_as: str = HOUNSFIELD

    def apply(self, values: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return what the restorer looks at, and where it may change anything.

        Args:
            values: (X, Y, Z) as they are stored.

        Returns:
            float32: not clipped where it may change something, as noise must not be cut off on one side; elsewhere
            in [0, 1]. And bool: where the mean of the neighboring voxels lies between lower and upper.
        """
        scaled = (to_hounsfield(values, self.stored_as) - np.float32(self.lower)) / np.float32(self.upper - self.lower)
        means = uniform_filter(scaled, _NEIGHBORHOOD, mode="nearest")
        inside = (means >= 0.0) & (means <= 1.0)
        return np.where(inside, scaled, np.clip(scaled, 0.0, 1.0)).astype(np.float32), inside

    def undo(self, values: FloatArray, change: FloatArray) -> FloatArray:
        """Return values to which a change is added.

        Args:
            values: as they are stored, any shape.
            change: what the restorer changed, in units of what it looked at, same shape.

        Returns:
            float32, same shape; values without a change bit for bit. What cannot be negative falls to 0 at most.
        """
        added = change * np.float32(self.upper - self.lower)
        if self.stored_as == HOUNSFIELD:
            changed = values + added
        else:
            changed = from_hounsfield(to_hounsfield(values, self.stored_as) + added, self.stored_as)
        if not self.signed:
            changed = np.maximum(changed, np.minimum(values, 0.0))
        return np.asarray(np.where(change == 0.0, values, changed), dtype=np.float32)


def restoration_scale(values: FloatArray, modality: str) -> RestorationScale:
    """Return the scale of a volume: soft tissue for CT, else from 0 to the largest mean of neighboring voxels.

    A single voxel does not set the scale, as the noise would; a hot lesion of a few voxels does.

    Args:
        values: (X, Y, Z) as they are stored.
        modality: MR, CT, PT or NM.

    Raises:
        IntensityError: if a volume other than CT has nothing above 0.
    """
    if modality == "CT":
        return RestorationScale(*CT_WINDOW_HU, signed=True, stored_as=ct_units(values))
    upper = float(uniform_filter(values, _NEIGHBORHOOD, mode="nearest").max())
    if not upper > 0.0:
        msg = f"the {modality} volume has nothing above 0; there is nothing to restore"
        raise IntensityError(msg)
    return RestorationScale(0.0, upper, signed=False)
