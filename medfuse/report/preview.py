"""Step 8 of 8, report: three planes of the two sources, the fused volume and a checkerboard, as one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from medfuse.geometry import Matrix
from medfuse.io.color_palette import palette_rgb
from medfuse.report.planes import PLANES, Picture, canonical, canonical_spacing, checkerboard, draw_plane, middle
from medfuse.report.record import DISCLAIMER
from medfuse.result import FusionResult
from medfuse.transforms.colorize import EMISSION
from medfuse.transforms.windows import IntensityWindow

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
    center = middle(columns[0][1][..., 0])
    spacing = canonical_spacing(affine)
    figure = Figure(figsize=_FIGURE_INCHES, facecolor="black")
    axes = figure.subplots(3, len(columns))
    for row, plane in enumerate(PLANES):
        for column, (title, volume) in enumerate(columns):
            draw_plane(axes[row, column], volume, plane, center, spacing, title if row == 0 else "")
    _caption(figure, result)
    figure.subplots_adjust(left=0.01, right=0.93, top=0.95, bottom=0.12, wspace=0.02, hspace=0.03)
    emission_window = _emission_window(result)
    if emission_window is not None:
        _color_bar(figure, emission_window, palette)
    FigureCanvasAgg(figure).print_figure(path, dpi=_DOTS_PER_INCH, facecolor="black", metadata={"Software": None})


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


def _caption(figure: Figure, result: FusionResult) -> None:
    found = result.registration.rigid
    lines = [
        f"fixed: {_window_text(result.modalities[0], result.fixed_window)}    "
        f"moving: {_window_text(result.modalities[1], result.moving_window)}",
        f"{result.in_words}; mutual information {found.similarity_start:.3f} before, "
        f"{found.similarity_end:.3f} after; "
        f"{found.overlap_fraction:.0%} of the fixed head lies inside the moving scan",
        *(f"{role} restored before fusing: {change.in_words}" for role, change in result.restorations.items()),
        DISCLAIMER,
    ]
    for index, line in enumerate(lines):
        figure.text(0.5, 0.09 - 0.022 * index, line, color="white", fontsize=10, ha="center", va="center")


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
