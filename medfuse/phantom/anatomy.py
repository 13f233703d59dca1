"""The whole head, painted part by part from the outside in."""

from __future__ import annotations

from medfuse.phantom.cerebellum import paint_cerebellum, paint_membranes
from medfuse.phantom.cortex import paint_cerebrum
from medfuse.phantom.cranium import measure_cranium, paint_scalp, paint_skull
from medfuse.phantom.deep import paint_deep
from medfuse.phantom.face import paint_face, paint_spine
from medfuse.phantom.lattice import Lattice, Painting


def paint_head(step_mm: float, seed: int) -> Painting:
    """Return the painted head.

    Args:
        step_mm: distance between the points of the fine grid that it is painted on.
        seed: of the folds and of every other individual trait.

    Returns:
        The painting; its coordinates lie in the head's own space, RAS mm, with the origin between the
        hemispheres near the anterior commissure, as in the usual brain atlases.
    """
    painting = Painting(Lattice(step_mm))
    cranium = measure_cranium(painting)
    paint_scalp(painting, cranium, seed)
    paint_spine(painting)
    paint_skull(painting, cranium, seed)
    paint_cerebrum(painting, seed)
    paint_deep(painting)
    paint_cerebellum(painting, seed)
    paint_membranes(painting, cranium.cavity)
    paint_face(painting, cranium.outline, cranium.cavity, seed)
    return painting
