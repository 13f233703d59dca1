"""New values on the grid of another volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.data import MetaTensor
from torch import Tensor

NORMALIZED = "normalized"


def on_grid_of(reference: MetaTensor, values: Tensor, changes: Mapping[str, Any] | None = None) -> MetaTensor:
    """Return values with the affine and metadata of a volume on the same grid.

    Args:
        reference: the volume whose grid it is.
        values: (C, X, Y, Z).
        changes: metadata to add or replace.
    """
    kept = {key: value for key, value in reference.meta.items() if key != "affine"}
    return MetaTensor(values, affine=reference.affine.clone(), meta={**kept, **(changes or {})})
