"""Step 2 of 8, register: the moving volume on the grid of the fixed one."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix
from medfuse.io.nifti import DESCRIPTION_KEY
from medfuse.options import RegistrationOptions
from medfuse.progress import Progress
from medfuse.registration.register import Registration, register
from medfuse.registration.resample import resample_to
from medfuse.transforms.bring_back import LINEAR, NEAREST, WayBack, bring_back
from medfuse.transforms.registration_cache import RegistrationCache, registration_key
from medfuse.transforms.registration_start import given_start, share_frame
from medfuse.transforms.volumes import meanings_of, on_grid_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """The moving volume as seen from the fixed grid.

    Attributes:
        moving: (1, X, Y, Z) on the fixed grid, in the moving volume's own units.
        inside: (1, X, Y, Z) bool, where the moving scan has seen; elsewhere ``moving`` is its smallest value.
        registration: the transform, and the verdict on it.
        notes: what the user should know about the files that the registration set out from.
    """

    moving: MetaTensor
    inside: MetaTensor
    registration: Registration
    notes: tuple[str, ...] = ()


def register_to_fixed(
    fixed: MetaTensor,
    moving: MetaTensor,
    options: RegistrationOptions,
    progress: Progress | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Registered:
    """Register the moving volume and resample it onto the fixed grid.

    Two volumes that state one frame of reference are taken to lie right, unless moving one gains clearly.

    Args:
        fixed: (1, X, Y, Z).
        moving: (1, X', Y', Z').
        options: how to register.
        progress: who is told how far the search is.
        cache_dir: folder of transforms found before, by content; None to search in any case.

    Raises:
        OverlapError: if the two volumes do not meet and nothing was to be moved.
        RegistrationError: if no pose brings the two together.
        InputError: if a file that the options name gives no transform between these volumes.
    """
    start = given_start(fixed, moving, options)
    cache = None if cache_dir is None else RegistrationCache(cache_dir)
    found = _find(fixed, moving, options, start.fixed_to_moving_ras, progress, cache)
    resampled, inside = on_fixed_grid(fixed, moving, found)
    return Registered(resampled, inside, found, start.notes)


def on_fixed_grid(fixed: MetaTensor, moving: MetaTensor, found: Registration) -> tuple[MetaTensor, MetaTensor]:
    """Resample a moving volume by a transform that is known.

    Args:
        fixed: (1, X, Y, Z), whose grid it is.
        moving: (1, X', Y', Z').
        found: the transform.

    Returns:
        ``moving`` and ``inside`` of ``Registered``.
    """
    resampled, inside = resample_to(
        moving.as_tensor()[0],
        moving.affine.numpy(),
        (fixed.shape[1], fixed.shape[2], fixed.shape[3]),
        fixed.affine.numpy(),
        found.fixed_to_moving_ras,
        found.displacement,
    )
    return (
        on_grid_of(fixed, resampled[None], {**meanings_of(moving), DESCRIPTION_KEY: found.in_words}),
        on_grid_of(fixed, inside[None], {"units": "inside the moving scan"}),
    )


def _find(
    fixed: MetaTensor,
    moving: MetaTensor,
    options: RegistrationOptions,
    start_ras: Matrix | None,
    progress: Progress | None,
    cache: RegistrationCache | None,
) -> Registration:
    """Find the transform, in the cache if it has it."""
    same_frame = share_frame(fixed, moving)
    key = "" if cache is None else registration_key(fixed, moving, options, start_ras, same_frame)
    known = None if cache is None else cache.load(key)
    if known is not None:
        return known
    found = register(
        fixed.as_tensor()[0],
        fixed.affine.numpy(),
        moving.as_tensor()[0],
        moving.affine.numpy(),
        options,
        progress,
        start_ras=start_ras,
        same_frame=same_frame,
    )
    if cache is not None:
        cache.store(key, found)
    return found


class RegisterToFixedd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Replace the moving volume by itself on the fixed grid; see ``register_to_fixed``.

    Its inverse, alone or by MONAI's ``Invertd``, brings whatever lies on the fixed grid back onto the grid of the
    moving volume: labels by the nearest voxel, other values linearly.

    Args:
        fixed_key: key of the fixed volume.
        moving_key: key of the moving volume.
        options: how to register; None for the defaults.
        inside_key: key under which the field-of-view mask (1, X, Y, Z) is put.
        transform_key: key under which the (4, 4) fixed-to-moving transform of RAS points in mm is put.
        cache_dir: folder of transforms found before; see ``register_to_fixed``. Worker processes may share it.
    """

    def __init__(
        self,
        fixed_key: str = "fixed",
        moving_key: str = "moving",
        options: RegistrationOptions | None = None,
        inside_key: str = "inside",
        transform_key: str = "fixed_to_moving_ras",
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__((moving_key, inside_key), allow_missing_keys=True)  # what the inverse brings back
        self.fixed_key = fixed_key
        self.moving_key = moving_key
        self.options = options or RegistrationOptions()
        self.inside_key = inside_key
        self.transform_key = transform_key
        self.cache_dir = cache_dir

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the registered volume, its mask and the transform."""
        fixed, moving = data[self.fixed_key], data[self.moving_key]
        registered = register_to_fixed(fixed, moving, self.options, cache_dir=self.cache_dir)
        for note in registered.notes:
            _log.warning(note)
        if registered.registration.failed and not self.options.accept:
            msg = f"{registered.registration.refusal}; look at both volumes, or set accept in the options"
            raise RegistrationError(msg)
        matrix = registered.registration.fixed_to_moving_ras
        way = WayBack.between(fixed, moving, matrix, registered.registration.displacement)
        return {
            **data,
            self.moving_key: self._traced(registered.moving, moving, way, LINEAR),
            self.inside_key: self._traced(registered.inside, moving, way, NEAREST),
            self.transform_key: torch.from_numpy(matrix.copy()),
        }

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with volumes on the moving grid that this transform had brought onto the fixed one."""
        inverted = dict(data)
        for key in self.key_iterator(inverted):
            way, mode = WayBack.from_noted(self.get_most_recent_transform(inverted[key])["extra_info"])
            volume = bring_back(inverted[key], way, mode)
            volume.applied_operations = list(inverted[key].applied_operations)
            self.pop_transform(volume)
            inverted[key] = volume
        return inverted

    def _traced(self, volume: MetaTensor, original: MetaTensor, way: WayBack, mode: str) -> MetaTensor:
        """Note in a volume what the inverse needs, after all that was done to the moving volume before."""
        volume.applied_operations = list(original.applied_operations)
        return self.push_transform(volume, orig_size=way.moving_shape, extra_info=way.noted(mode))
