"""Step 8 of 8, report: three planes of the two sources, the fused volume and a checkerboard, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from medfuse.geometry import ANATOMICAL_AXES, Matrix, anatomical_dim, directions, spacing_mm
from medfuse.io.color_palette import palette_rgb
from medfuse.report.record import DISCLAIMER
from medfuse.result import FusionResult
from medfuse.transforms.colorize import EMISSION
from medfuse.transforms.windows import IntensityWindow

Picture: TypeAlias = npt.NDArray[Any]

_PLANES = ("axial", "coronal", "sagittal")
_EDGE_LABELS = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
_CHECKERBOARD_MM = 24.0
_FIGURE_INCHES = (13.0, 10.4)
_DOTS_PER_INCH = 110


def write_preview(result: FusionResult, palette: str, path: Path) -> None:
    """Draw ``preview.png``.

    Rows are the planes through the middle of the fixed head, in radiological view; columns are the fixed volume, the
    registered moving volume, the fused volume (in color for PET and SPECT), and a checkerboard of the two sources.

    Args:
        result: what to draw.
        palette: DICOM palette of the emission scan.
        path: the PNG to write.
    """
    affine = result.fused.affine.numpy()
    columns = _columns(result, palette, affine)
    center = _center(columns[0][1][..., 0])
    spacing = tuple(float(step) for step in canonical_spacing(affine))
    figure = Figure(figsize=_FIGURE_INCHES, facecolor="black")
    axes = figure.subplots(3, len(columns))
    for row, plane in enumerate(_PLANES):
        for column, (title, volume) in enumerate(columns):
            picture = plane_picture(volume, plane, center)
            _draw(axes[row, column], picture, plane, spacing, title if row == 0 else "")
    _caption(figure, result)
    figure.subplots_adjust(left=0.01, right=0.93, top=0.95, bottom=0.12, wspace=0.02, hspace=0.03)
    emission_window = _emission_window(result)
    if emission_window is not None:
        _color_bar(figure, emission_window, palette)
    FigureCanvasAgg(figure).print_figure(path, dpi=_DOTS_PER_INCH, facecolor="black", metadata={"Software": None})


def canonical(volume: Picture, affine_ras: Matrix) -> Picture:
    """Turn a volume (X, Y, Z, ...) so that its axes run most nearly to the right, the front and the head."""
    order = [anatomical_dim(affine_ras, plane) for plane in ANATOMICAL_AXES]
    turned = np.transpose(volume, [*order, *range(3, volume.ndim)])
    signs = np.sign([directions(affine_ras)[row, column] for row, column in enumerate(order)])
    return np.flip(turned, axis=tuple(axis for axis, sign in enumerate(signs) if sign < 0))


def canonical_spacing(affine_ras: Matrix) -> npt.NDArray[np.float64]:
    """Return the spacing in mm of the axes of ``canonical``."""
    order = [anatomical_dim(affine_ras, plane) for plane in ANATOMICAL_AXES]
    return spacing_mm(affine_ras)[order]


def plane_picture(volume: Picture, plane: str, center: tuple[int, int, int]) -> Picture:
    """Cut a picture, rows down, from a canonical volume in radiological view (the patient's right on the left).

    Args:
        volume: (X, Y, Z, ...) with axes to the right, the front and the head.
        plane: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        center: the voxel that the plane goes through.
    """
    axis = ANATOMICAL_AXES[plane]
    picture = np.take(volume, center[axis], axis=axis)  # (first, second, ...) of the other two axes
    return np.swapaxes(picture[::-1, ::-1], 0, 1)


def checkerboard(first: Picture, second: Picture, spacing: npt.NDArray[np.float64]) -> Picture:
    """Take two volumes (X, Y, Z, 3) in turn, in cubes of 24 mm, so that edges can be followed across."""
    cubes = [
        (np.arange(size) * step // _CHECKERBOARD_MM).astype(int)
        for size, step in zip(first.shape[:3], spacing, strict=True)
    ]
    parity = (cubes[0][:, None, None] + cubes[1][None, :, None] + cubes[2][None, None, :]) % 2
    return np.where(parity[..., None] == 0, first, second)


def _columns(result: FusionResult, palette: str, affine: Matrix) -> list[tuple[str, Picture]]:
    fixed_modality, moving_modality = result.modalities
    fixed = canonical(_in_color(result.fixed_normalized.as_tensor().numpy()[0], fixed_modality, palette), affine)
    moving = canonical(_in_color(result.moving_normalized.as_tensor().numpy()[0], moving_modality, palette), affine)
    fused = result.fused.as_tensor().numpy()[0]
    drawn = np.repeat(fused[..., None], 3, axis=-1)
    if result.color is not None:
        drawn = np.moveaxis(result.color.as_tensor().numpy(), 0, -1) / 255.0
    board = checkerboard(fixed, moving, canonical_spacing(affine))
    return [
        (f"fixed ({fixed_modality})", fixed),
        (f"moving, registered ({moving_modality})", moving),
        ("fused", canonical(drawn, affine)),
        ("checkerboard of the two", board),
    ]


def _in_color(normalized: Picture, modality: str, palette: str) -> Picture:
    """Show an emission scan through its palette and any other as gray; (X, Y, Z) to (X, Y, Z, 3)."""
    if modality in EMISSION:
        return np.asarray(palette_rgb(palette).numpy()[np.rint(normalized * 255.0).astype(int)])
    return np.repeat(normalized[..., None], 3, axis=-1)


def _center(gray: Picture) -> tuple[int, int, int]:
    bright = np.argwhere(gray >= min(gray.mean(), gray.max()))
    x, y, z = (round(float(index)) for index in bright.mean(axis=0))
    return x, y, z


def _draw(axis: Axes, picture: Picture, plane: str, spacing: tuple[float, ...], title: str) -> None:
    columns, rows = [spacing[index] for index in range(3) if index != ANATOMICAL_AXES[plane]]
    axis.imshow(picture, aspect=rows / columns, interpolation="bilinear", vmin=0.0, vmax=1.0)
    axis.set_axis_off()
    if title:
        axis.set_title(title, color="white", fontsize=12)
    left, right, top, bottom = _EDGE_LABELS[plane]
    for text, x, y in ((left, 0.03, 0.5), (right, 0.97, 0.5), (top, 0.5, 0.96), (bottom, 0.5, 0.04)):
        axis.text(x, y, text, color="gold", fontsize=9, ha="center", va="center", transform=axis.transAxes)


def _caption(figure: Figure, result: FusionResult) -> None:
    found = result.registration
    lines = [
        f"fixed: {_window_text(result.modalities[0], result.fixed_window)}    "
        f"moving: {_window_text(result.modalities[1], result.moving_window)}",
        f"registration: mutual information {found.similarity_start:.3f} before, {found.similarity_end:.3f} after; "
        f"{found.overlap_fraction:.0%} of the fixed head lies inside the moving scan",
        DISCLAIMER,
    ]
    for index, line in enumerate(lines):
        figure.text(0.5, 0.085 - 0.026 * index, line, color="white", fontsize=10, ha="center", va="center")


def _window_text(modality: str, window: IntensityWindow) -> str:
    return f"{modality} {window.lower:.4g} to {window.upper:.4g} {window.units} ({window.source})"


def _emission_window(result: FusionResult) -> IntensityWindow | None:
    windows = (result.moving_window, result.fixed_window)
    for modality, window in zip(reversed(result.modalities), windows, strict=True):
        if modality in EMISSION:
            return window
    return None


def _color_bar(figure: Figure, window: IntensityWindow, palette: str) -> None:
    axis = figure.add_axes((0.965, 0.4, 0.012, 0.3))
    gradient = np.linspace(0.0, 1.0, 256)[:, None]
    axis.imshow(gradient, aspect="auto", origin="lower", cmap=ListedColormap(palette_rgb(palette).numpy()))
    axis.set_xticks([])
    axis.set_yticks([0, 255], [f"{window.lower:.3g}", f"{window.upper:.3g}"], color="white", fontsize=9)
    axis.set_title(window.units, color="white", fontsize=9, loc="right")
