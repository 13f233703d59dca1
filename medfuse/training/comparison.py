"""Training: a network beside the trivial rules, on pairs of slices."""

from __future__ import annotations

from pathlib import Path

from medfuse.inferers.device import resolve_device
from medfuse.inferers.method import fusion_method
from medfuse.io.slice_sets import read_split
from medfuse.options import METHODS
from medfuse.progress import Progress, Silent, showing
from medfuse.training.options import SMALLEST_PATCH
from medfuse.training.slice_pairs import read_pairs, spread
from medfuse.training.validation import Scores, score


def score_methods(
    data: Path,
    part: str = "validation",
    weights: str = "default",
    number: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Scores]:
    """Score every fusion method on the pairs of one part of a split.

    Args:
        data: folder with ``splits.json`` and the slices.
        part: ``"train"`` or ``"validation"``.
        weights: of the network, ``"default"`` or a path.
        number: about how many pairs, evenly spread over the collections; 0 for all.
        device: where to compute.
        progress: told which method is at work.

    Returns:
        ``{method: {collection: {measure: mean}}}``; see ``validation.score``.

    Raises:
        MedfuseError: if the data or the weights cannot be used.
    """
    chosen = resolve_device(device)
    pairs = spread(read_pairs(read_split(data, part), SMALLEST_PATCH), number)
    scores = {}
    for method in METHODS:
        with showing(progress or Silent(), method) as listener:
            scores[method] = score(fusion_method(method, weights, chosen), pairs, chosen, listener)
    return scores
