"""Evaluation: what a network has to reach to be worth more than a trivial rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medfuse.configs import read_config
from medfuse.evaluation.summary import Mean

_CONFIG = "published_scores"
_STRICTLY = 1.005  # by half a percent
FIDELITY_RATIO = 1.3
MAX, LAPLACIAN = "max", "laplacian"


def yardstick(collection: str) -> dict[str, float]:
    """Return by how much the published network's figures exceed those of ``max`` on the same pairs, at least 1.

    Returns:
        A factor for each of the eight published measures; 1 throughout for a collection without published figures.
    """
    config = read_config(_CONFIG)
    figures = config["collections"].get(collection)
    if figures is None:
        return dict.fromkeys(config["measures"], 1.0)
    pairs = zip(figures["published"], figures[MAX], strict=True)
    return {
        name: max(1.0, published / of_max) for name, (published, of_max) in zip(config["measures"], pairs, strict=True)
    }


def published_wins(
    method: Mapping[str, Mean], of_max: Mapping[str, Mean], factors: Mapping[str, float]
) -> list[str] | None:
    """Return on which of the eight published measures a method is strictly above ``max``, times a factor each.

    Strictly is by half a percent of the mean. None if the published suite was not computed.
    """
    if not all(f"published.{name}" in method for name in factors):
        return None
    return [
        name
        for name, factor in factors.items()
        if method[f"published.{name}"]["mean"] >= _STRICTLY * factor * of_max[f"published.{name}"]["mean"]
    ]


def targets(collection: str, means: Mapping[str, Mapping[str, Mean]]) -> dict[str, dict[str, Any]]:
    """Set each method beside ``max`` and ``laplacian``.

    Args:
        collection: name of the set of pairs.
        means: of each method and measure on that set; what is missing is not judged.

    Returns:
        For each method: ``wins`` and ``yardstick_wins``, the published measures won (see ``published_wins``); ratios
        of the source that is kept worst to that of ``max``: ``fidelity_ratio`` (target 1.3), ``edges_ratio`` (above
        1), ``lost_ratio`` (below 1); ``invented_ratio`` to that of ``laplacian`` (at most 1); and ``met``, whether
        all four ratios are as they should be, None if one is missing.
    """
    if MAX not in means:
        return {}
    factors = yardstick(collection)
    judged = {}
    for name, method in means.items():
        ratios = {
            "fidelity_ratio": _ratio("sound.VIF_worst", method, means.get(MAX)),
            "edges_ratio": _ratio("sound.Qabf_worst", method, means.get(MAX)),
            "lost_ratio": _ratio("sound.lost_worst", method, means.get(MAX)),
            "invented_ratio": _ratio("sound.invented", method, means.get(LAPLACIAN)),
        }
        judged[name] = {
            "wins": published_wins(method, means[MAX], dict.fromkeys(factors, 1.0)),
            "yardstick_wins": published_wins(method, means[MAX], factors),
            **ratios,
            "met": _met(ratios),
        }
    return judged


def _ratio(measure: str, method: Mapping[str, Mean], reference: Mapping[str, Mean] | None) -> float | None:
    if reference is None or measure not in method or measure not in reference or not reference[measure]["mean"] > 0.0:
        return None
    ratio = method[measure]["mean"] / reference[measure]["mean"]
    return ratio if ratio == ratio else None


def _met(ratios: Mapping[str, float | None]) -> bool | None:
    fidelity, edges, lost, invented = ratios.values()
    if fidelity is None or edges is None or lost is None or invented is None:
        return None
    return fidelity >= FIDELITY_RATIO and edges > 1.0 and lost < 1.0 and invented <= 1.0
