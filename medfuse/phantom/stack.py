"""Random heads whose volumes lie on one grid: something to learn from without any patient's data or registration.

Contrasts are drawn tissue by tissue, so that a network sees many more of them than there are scanners:
B. Billot et al., "SynthSeg", Medical Image Analysis 86 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.data import MetaTensor

from medfuse.errors import OptionError
from medfuse.geometry import Matrix
from medfuse.phantom.anatomy import paint_head
from medfuse.phantom.contrasts import draw_values
from medfuse.phantom.imaging import add_computed, add_emission, add_magnetic
from medfuse.phantom.lattice import Painting
from medfuse.phantom.lesions import paint_lesions
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.options import LESION_VALUES, SIDES, LesionOptions, PhantomOptions
from medfuse.phantom.sampling import blurred, halved, sampled
from medfuse.phantom.scanners import SCANNERS, Grid, rotation
from medfuse.phantom.shapes import Field

_SCANNER = {"MR": "MR_T1", "CT": "CT", "PT": "PT", "NM": "NM"}
_EMISSION = ("PT", "NM")
_UNEVEN = {"MR": (0.03, 14.0), "PT": (0.12, 45.0), "NM": (0.12, 45.0)}
_CENTER_MM = (0.0, -16.0, 12.0)
# By plane: where rows, columns and slices run, and how much of the head the slices cover, in mm.
_PLANES = {
    "axial": (((0, -1, 0), (-1, 0, 0), (0, 0, 1)), 130.0),
    "coronal": (((0, 0, -1), (-1, 0, 0), (0, 1, 0)), 140.0),
    "sagittal": (((0, 0, -1), (0, -1, 0), (1, 0, 0)), 110.0),
}
_PLANE_CHANCES = (0.6, 0.2, 0.2)
_LARGEST_TILT_DEG = 15.0
_LARGEST_MISALIGNMENT_MM = 1.0
_MOST_LESIONS = 3


@dataclass(frozen=True)
class StackOptions:
    """What a stack of slices depends on: equal options give equal values.

    Attributes:
        seed: of anatomy, plane, contrasts, lesions and noise; at least 0.
        side: rows and columns of the slices, at least 32.
        slices: how many, at least 1.
        step_mm: how finely the head is painted, 0.8 to 4.
    """

    seed: int = 0
    side: int = 256
    slices: int = 12
    step_mm: float = 1.2

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("side", 32), ("slices", 1)):
            if getattr(self, name) < least:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least {least}"
                raise OptionError(msg)
        if not 0.8 <= self.step_mm <= 4.0:
            msg = f"step_mm is {self.step_mm:g}; give 0.8 to 4"
            raise OptionError(msg)


def make_stack(options: StackOptions) -> dict[str, MetaTensor]:
    """Make a random head, and the same slices of it in four modalities.

    Args:
        options: what to make.

    Returns:
        float32 (1, side, side, slices) by modality (``MR``, ``CT``, ``PT``, ``NM``), all on one grid and aligned to
        within a millimeter; ``meta`` has ``"modality"`` and ``"units"``. Slices are rows by columns as on a screen.
    """
    random = stream(options.seed, "stack")
    painting = paint_head(options.step_mm, options.seed)
    lesions = _draw_lesions(random)
    paint_lesions(painting, PhantomOptions(seed=options.seed, lesions=lesions), np.eye(4))
    grid = _draw_grid(random, options)
    scene = _Scene(painting, len(lesions), _draw_shape(random), grid, random.uniform(1.0, 5.0), options.seed)
    return {modality: _scan(modality, scene, random) for modality in _SCANNER}


@dataclass(frozen=True)
class _Scene:
    """What all scanners look at: a head of its own shape, and the slices through it."""

    painting: Painting
    lesions: int
    shape: Matrix
    grid: Grid
    thickness_mm: float
    seed: int


def _draw_lesions(random: np.random.Generator) -> tuple[LesionOptions, ...]:
    kinds, number = list(LESION_VALUES), int(random.integers(0, _MOST_LESIONS + 1))
    return tuple(
        LesionOptions(
            kind=str(random.choice(kinds)),
            side=str(random.choice(SIDES)),
            radius_mm=float(random.uniform(2.5, 14.0)),
            center_mm=(float(random.uniform(16, 48)), float(random.uniform(-70, 40)), float(random.uniform(-5, 50))),
        )
        for _ in range(number)
    )


def _draw_grid(random: np.random.Generator, options: StackOptions) -> Grid:
    """Lay slices of a random plane, tilt and pixel size through the head."""
    axes, extent_mm = _PLANES[str(random.choice(list(_PLANES), p=_PLANE_CHANCES))]
    field_of_view_mm = random.uniform(200.0, 265.0)
    pixel_mm = field_of_view_mm / options.side
    voxel_mm = np.array([pixel_mm, pixel_mm, extent_mm / options.slices])
    tilt = random.uniform(-_LARGEST_TILT_DEG, _LARGEST_TILT_DEG, 3)
    affine = rotation((float(tilt[0]), float(tilt[1]), float(tilt[2])))
    affine[:3, :3] = affine[:3, :3] @ np.array(axes, dtype=np.float64).T * voxel_mm
    shape = (options.side, options.side, options.slices)
    center_mm = np.array(_CENTER_MM) + random.uniform(-6, 6, 3)
    affine[:3, 3] = center_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _draw_shape(random: np.random.Generator) -> Matrix:
    """Return the (4, 4) matrix from the atlas that is painted to a head of its own size and slant."""
    shape = np.eye(4)
    shape[:3, :3] *= random.uniform(0.88, 1.06, 3)
    shape[1, 0] = random.uniform(-0.04, 0.04)
    return shape


def _draw_misalignment(random: np.random.Generator) -> Matrix:
    """Return the (4, 4) shift that even a good registration leaves."""
    moved = np.eye(4)
    moved[:3, 3] = random.uniform(-_LARGEST_MISALIGNMENT_MM, _LARGEST_MISALIGNMENT_MM, 3) / np.sqrt(3)
    return moved


def _scan(modality: str, scene: _Scene, random: np.random.Generator) -> MetaTensor:
    """See the head through a scanner: its contrast, point spread, slice thickness and noise."""
    scanner = SCANNERS[_SCANNER[modality]]
    head = _uneven(modality, scene, draw_values(modality, scene.lesions, random))
    moved = _draw_misalignment(random) if modality != "MR" else np.eye(4)
    grid = Grid(scene.grid.shape, moved @ scene.grid.affine_ras)
    spread = scanner.fwhm_mm[0] / scene.painting.lattice.step_mm
    blurry = blurred(head, (spread, spread, spread))
    look = _emission if modality in _EMISSION else _transmission
    values = look(modality, blurry, scene, grid, random.uniform(0.2, 1.5))
    meta = {"modality": modality, "units": scanner.units}
    return MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(scene.grid.affine_ras), meta=meta)


def _emission(modality: str, head: Field, scene: _Scene, grid: Grid, noise: float) -> Field:
    """Count photons in the scanner's coarse voxels, and show them in slices."""
    coarse, to_fine = halved(head)
    affine = scene.shape @ scene.painting.lattice.affine_ras @ to_fine
    counted = add_emission(coarse, Grid(_shape_of(coarse), affine), _SCANNER[modality], scene.seed, noise)
    counted[[0, -1]] = counted[:, [0, -1]] = counted[:, :, -1] = 0.0  # what lies beyond repeats the outermost values
    return _slices(counted, affine, grid, scene.thickness_mm)


def _transmission(modality: str, head: Field, scene: _Scene, grid: Grid, noise: float) -> Field:
    """Take slices of MR or CT, each with its noise."""
    signal = _slices(head, scene.shape @ scene.painting.lattice.affine_ras, grid, scene.thickness_mm)
    add = add_magnetic if modality == "MR" else add_computed
    return add(signal, grid, _SCANNER[modality], scene.seed, noise)


def _shape_of(values: Field) -> tuple[int, int, int]:
    return values.shape[0], values.shape[1], values.shape[2]


def _uneven(modality: str, scene: _Scene, values: dict[int, float]) -> Field:
    """Render the head; its tissues are not uniform."""
    head = scene.painting.values(values)
    if modality in _UNEVEN:
        amount, wavelength_mm = _UNEVEN[modality]
        noise = SmoothNoise(stream(scene.seed, f"uneven {modality}"), wavelength_mm)
        lattice = scene.painting.lattice
        head *= 1 + np.float32(amount) * lattice.interpolated(noise, lattice.everywhere(), wavelength_mm / 5)
    return head


def _slices(values: Field, affine: Matrix, grid: Grid, thickness_mm: float) -> Field:
    """Sample slices of a thickness, which may be less than the distance between them."""
    to_index = np.linalg.inv(affine) @ grid.affine_ras
    distance_mm = float(np.linalg.norm(grid.affine_ras[:3, 2]))
    planes = []
    for offset in (-1 / 3, 0.0, 1 / 3):
        shifted = np.eye(4)
        shifted[2, 3] = offset * thickness_mm / distance_mm
        planes.append(sampled(values, to_index @ shifted, grid.shape, (1, 1, 1)))
    return np.asarray(np.mean(planes, axis=0), dtype=np.float32)
