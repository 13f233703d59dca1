"""Step 2 of 8, register: the picture that shows why a registration was refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.data import MetaTensor

from medfuse.io.output_folder import whole_file
from medfuse.report.planes import PLANES, Picture, canonical, canonical_spacing, checkerboard, draw_plane, middle
from medfuse.report.record import DISCLAIMER

_PERCENTILES = (1.0, 99.0)
_FIGURE_INCHES = (9.6, 10.8)
_DOTS_PER_INCH = 100
_LINE_LENGTH = 110


def refusal_picture(output: Path) -> Path:
    """Return where the picture of a refused registration goes: beside the output that was not written."""
    return output.with_name(f"{output.name}.registration.png")


def write_registration_picture(fixed: MetaTensor, moving: MetaTensor, reasons: tuple[str, ...], path: Path) -> None:
    """Draw three planes of the fixed volume, of the moving one as it was registered, and of both in turn.

    Args:
        fixed: (1, X, Y, Z).
        moving: (1, X, Y, Z) on the same grid.
        reasons: what is written below, a line each.
        path: the PNG to write; an older one is replaced.

    Raises:
        OutputError: if it cannot be written.
    """
    affine = fixed.affine.numpy()
    spacing = canonical_spacing(affine)
    first, second = (canonical(_gray(volume), affine) for volume in (fixed, moving))
    columns = {"fixed": first, "moving, registered": second, "checkerboard": checkerboard(first, second, spacing)}
    center = middle(first[..., 0])
    figure = Figure(figsize=_FIGURE_INCHES, facecolor="black")
    axes = figure.subplots(len(PLANES), len(columns))
    for row, plane in enumerate(PLANES):
        for column, (title, volume) in enumerate(columns.items()):
            draw_plane(axes[row, column], volume, plane, center, spacing, title if row == 0 else "")
    lines = [line for reason in (*reasons, DISCLAIMER) for line in textwrap.wrap(reason, _LINE_LENGTH)]
    figure.text(0.02, 0.01, "\n".join(lines), color="white", fontsize=9, va="bottom")
    bottom = 0.03 + 0.018 * len(lines)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.96, bottom=bottom, wspace=0.02, hspace=0.03)
    with whole_file(path, overwrite=True) as temporary:
        FigureCanvasAgg(figure).print_figure(
            temporary, dpi=_DOTS_PER_INCH, facecolor="black", format="png", metadata={"Software": None}
        )


def _gray(volume: MetaTensor) -> Picture:
    """Bring a volume to [0, 1] for looking at; (1, X, Y, Z) to (X, Y, Z, 3)."""
    values = volume.as_tensor()[0].numpy()
    low, high = np.percentile(values, _PERCENTILES)
    return np.repeat(np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)[..., None], 3, axis=-1)
