"""The phantom patient: one head, seen by several scanners, with the truth about where it lay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from medfuse.geometry import Matrix, Points, apply_affine, spacing_mm
from medfuse.phantom.anatomy import paint_head
from medfuse.phantom.imaging import add_computed, add_emission, add_magnetic, couch
from medfuse.phantom.lattice import Painting
from medfuse.phantom.lesions import LesionTruth, paint_lesions
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.options import PhantomOptions
from medfuse.phantom.sampling import blurred, halved, nearest, sampled
from medfuse.phantom.scanners import PAINTING_STEP_MM, SCANNERS, Grid, grid_of, head_to_scanner
from medfuse.phantom.shapes import Field
from medfuse.phantom.tissues import Tissue, values_of
from medfuse.progress import Progress, Silent, showing

_COARSE_FROM_FWHM_MM = 4.0
# Tissue is not uniform: relative unevenness of the signal and its wavelength in mm.
_UNEVEN = {"MR_T1": (0.022, 14.0), "MR_T2": (0.03, 14.0), "PT": (0.09, 45.0), "NM": (0.09, 45.0)}


@dataclass(frozen=True)
class Phantom:
    """Volumes of one made-up patient, and the truth about them.

    Attributes:
        options: what was asked for.
        volumes: float32 (1, X, Y, Z) by name (``MR_T1``, ``MR_T2``, ``CT``, ``PT``, ``NM``), each on its own
            grid; ``meta`` has ``"modality"`` and ``"units"`` (arbitrary, HU, SUV, counts).
        labels: int16 (1, X, Y, Z) of :class:`~medfuse.phantom.tissues.Tissue` on the same grids; lesions
            count on from ``Tissue.LESION``.
        head_to_scanner_ras: (4, 4) rigid transform from the head's own space to each volume's world, RAS mm.
        lesions: where they lie, and which volumes show them.
    """

    options: PhantomOptions
    volumes: dict[str, MetaTensor]
    labels: dict[str, MetaTensor]
    head_to_scanner_ras: dict[str, Matrix]
    lesions: tuple[LesionTruth, ...]

    def fixed_to_moving_ras(self, fixed: str, moving: str) -> Matrix:
        """Return the true (4, 4) transform from the world of one volume to that of another, RAS mm."""
        back = np.linalg.inv(self.head_to_scanner_ras[fixed])
        return np.asarray(self.head_to_scanner_ras[moving] @ back, dtype=np.float64)

    def head_points_mm(self, fixed: str, count: int = 2000) -> Points:
        """Return points spread evenly over the head in a volume's world, at most ``count``, (N, 3) RAS mm."""
        labels = self.labels[fixed]
        index = np.argwhere(labels[0].numpy() > 0)
        every = max(1, int(np.ceil(len(index) / count)))
        affine = np.asarray(labels.affine.numpy(), dtype=np.float64)
        return apply_affine(affine, index[every // 2 :: every].astype(np.float64))


def make_phantom(options: PhantomOptions | None = None, progress: Progress | None = None) -> Phantom:
    """Make a phantom patient.

    Args:
        options: what to make; the standard patient by default.
        progress: told of each volume as it is made.

    Returns:
        The patient. Equal options give equal values, whatever the number of threads.
    """
    options = options or PhantomOptions()
    progress = progress or Silent()
    with showing(progress, "paint the head"):
        painting = paint_head(PAINTING_STEP_MM[options.profile] * max(options.scale, 0.8), options.seed)
        to_head = _individual(options.seed)
        lesions = paint_lesions(painting, options, to_head)
        tissue = painting.labels()
    volumes, labels, poses = {}, {}, {}
    with showing(progress, "scan the head"):
        for done, name in enumerate(options.volumes, start=1):
            poses[name] = head_to_scanner(name, options)
            grid = grid_of(name, options, poses[name])
            to_index = np.linalg.inv(poses[name] @ to_head @ painting.lattice.affine_ras) @ grid.affine_ras
            volumes[name] = _volume(_scan(name, painting, grid, to_index, options), grid, name)
            labels[name] = _volume(nearest(tissue, to_index, grid.shape), grid, name)
            progress.advance(done, len(options.volumes))
    return Phantom(options, volumes, labels, poses, lesions)


def _individual(seed: int) -> Matrix:
    """Return the (4, 4) matrix from the atlas that is painted to this patient's head.

    Beside its size, a head has a torque: the right half lies a little farther forward than the left.
    """
    shape = np.eye(4)
    shape[:3, :3] *= stream(seed, "size").uniform(0.95, 1.0, 3)
    shape[1, 0] = 0.025
    return shape


def _volume(values: npt.NDArray[Any], grid: Grid, name: str) -> MetaTensor:
    scanner = SCANNERS[name]
    meta = {"modality": scanner.modality, "units": scanner.units}
    return MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(grid.affine_ras.copy()), meta=meta)


def _scan(name: str, painting: Painting, grid: Grid, to_index: Matrix, options: PhantomOptions) -> Field:
    signal = _clean_signal(name, painting, grid, to_index, options)
    modality = SCANNERS[name].modality
    if modality == "MR":
        return add_magnetic(signal, grid, name, options.seed, options.noise)
    if modality == "CT":
        if options.couch:
            shell, foam = couch(grid)
            signal = np.maximum(signal, -1000 + 60 * foam)
            signal = np.maximum(signal, -1000 + 880 * shell)
        return add_computed(signal, grid, name, options.seed, options.noise)
    return add_emission(signal, grid, name, options.seed, options.noise)


def _clean_signal(name: str, painting: Painting, grid: Grid, to_index: Matrix, options: PhantomOptions) -> Field:
    values: dict[int, float] = {int(tissue): value for tissue, value in values_of(name).items()}
    for number, lesion in enumerate(options.lesions):
        if name in lesion.values:
            values[int(Tissue.LESION) + number] = lesion.values[name]
    head = painting.values(values)
    if name in _UNEVEN:
        amount, wavelength_mm = _UNEVEN[name]
        noise = SmoothNoise(stream(options.seed, f"uneven {name}"), wavelength_mm)
        lattice = painting.lattice
        head *= 1 + np.float32(amount) * lattice.interpolated(noise, lattice.everywhere(), wavelength_mm / 5)
    step_mm = painting.lattice.step_mm
    fwhm_mm = SCANNERS[name].fwhm_mm[0]
    if fwhm_mm >= _COARSE_FROM_FWHM_MM and step_mm < 1.5:
        head, to_old = halved(head)
        step_mm, to_index = 2 * step_mm, np.linalg.inv(to_old) @ to_index
    spread = fwhm_mm / step_mm
    head = blurred(head, (spread, spread, spread))
    first, second, third = (
        max(1, round(voxel / max(step_mm, fwhm_mm))) for voxel in spacing_mm(grid.affine_ras).tolist()
    )
    return sampled(head, to_index, grid.shape, (first, second, third))
