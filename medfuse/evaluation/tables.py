"""Evaluation: the comparison of methods as Markdown, for people and for the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medfuse.evaluation.summary import Mean
from medfuse.evaluation.targets import FIDELITY_RATIO
from medfuse.metrics import HIGHER_IS_BETTER

_LEADING = ("VIF_worst", "Qabf_worst", "SSIM_worst", "NMI_worst", "FMI_worst", "lost_worst", "invented", "SD", "SF")
_EACH_SOURCE = tuple(f"{name}_{source}" for name in ("VIF", "Qabf", "SSIM", "lost") for source in ("first", "second"))
_PUBLISHED = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM_range2")
_SHARED = (*(f"sound.{name}_worst" for name in ("VIF", "Qabf", "SSIM")), *(f"published.{name}" for name in _PUBLISHED))
_RATIOS = {
    "fidelity_ratio": f"worst VIF / max (at least {FIDELITY_RATIO})",
    "edges_ratio": "worst Qabf / max (above 1)",
    "lost_ratio": "worst lost / max (below 1)",
    "invented_ratio": "invented / laplacian (at most 1)",
}
_NOTHING = "–"  # noqa: RUF001

Cells = Sequence[Sequence[str]]


def markdown(result: Mapping[str, Any]) -> str:
    """Return all tables of a benchmark: for each collection the sound suite, the targets, and the published suite.

    Args:
        result: what ``benchmark.json`` holds.
    """
    parts = ["# Fusion benchmark\n", _legend(result)]
    for collection, means in result["means"].items():
        number = max(mean["slices"] for method in means.values() for mean in method.values())
        parts.append(f"## {collection}\n\n{number} pairs of {result['cases'][collection]} cases.\n")
        parts += _collection(collection, means, result)
    return "\n".join(parts)


def _legend(result: Mapping[str, Any]) -> str:
    notes = "".join(f"- {note}\n" for note in result["notes"])
    return (
        "Means over pairs, with 95 % bootstrap intervals by case; the best of each column is bold. `sound`: values as "
        "they are, inside the foreground, *worst* is the source that is kept worst; `lost` and `invented` are better "
        "when low. `published`: 8-bit levels, each fused slice stretched, sums over both sources.\n\n" + notes
    )


def _collection(collection: str, means: Mapping[str, Mapping[str, Mean]], result: Mapping[str, Any]) -> list[str]:
    parts = []
    if "sound" in result["suites"]:
        parts.append(_section("Both sources kept, nothing invented", _suite_table(means, "sound", _LEADING)))
        parts.append(_section("Each source", _suite_table(means, "sound", _EACH_SOURCE)))
    if result["targets"][collection]:
        parts.append(_section("Against max and laplacian", _targets_table(result["targets"][collection])))
    if "published" in result["suites"]:
        parts.append(_section("As published tables have it", _suite_table(means, "published", _PUBLISHED)))
    if collection in result["oracle"]:
        parts += _oracle(result["oracle"][collection])
    return parts


def _oracle(beside: Mapping[str, Any]) -> list[str]:
    """Return what the per-image optimum reaches, and the share of it that each method reaches on the same pairs."""
    parts = [_section("Share of the per-image optimum", _shares_table(beside["shares"]))]
    if beside["targets"]:
        parts.append(_section("The per-image optimum against max and laplacian", _targets_table(beside["targets"])))
    return parts


def _section(title: str, table: str) -> str:
    return f"### {title}\n\n{table}\n"


def _suite_table(means: Mapping[str, Mapping[str, Mean]], suite: str, measures: Sequence[str]) -> str:
    columns = [_column(means, f"{suite}.{measure}", HIGHER_IS_BETTER[measure]) for measure in measures]
    rows = [[f"`{method}`", *(column[index] for column in columns)] for index, method in enumerate(means)]
    return _table(["method", *measures], rows)


def _column(means: Mapping[str, Mapping[str, Mean]], measure: str, higher: bool) -> list[str]:
    found = [method.get(measure) for method in means.values()]
    known = [mean["mean"] for mean in found if mean is not None and mean["slices"]]
    best = (max if higher else min)(known, default=float("nan"))
    return [_interval(mean, mean is not None and mean["mean"] == best) for mean in found]


def _interval(mean: Mean | None, best: bool) -> str:
    if mean is None or not mean["slices"]:
        return _NOTHING
    shown = _number(mean["mean"])
    return f"{f'**{shown}**' if best else shown} ({_number(mean['low'])} to {_number(mean['high'])})"


def _targets_table(judged: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["method", "published wins over max", "over max by the yardstick", *_RATIOS.values(), "all four"]
    rows = [
        [
            f"`{method}`",
            _wins(row["wins"]),
            _wins(row["yardstick_wins"]),
            *(_optional(row[name], _number) for name in _RATIOS),
            _optional(row["met"], lambda met: "yes" if met else "no"),
        ]
        for method, row in judged.items()
    ]
    return _table(head, rows)


def _shares_table(shares: Mapping[str, Mapping[str, float]]) -> str:
    known = [measure for measure in _SHARED if any(measure in row for row in shares.values())]
    rows = [
        [f"`{method}`", *(_optional(row.get(measure), lambda share: f"{share:.0%}") for measure in known)]
        for method, row in shares.items()
    ]
    return _table(["method", *(measure.replace(".", " ") for measure in known)], rows)


def _wins(names: Sequence[str] | None) -> str:
    return _NOTHING if names is None else f"{len(names)} of {len(_PUBLISHED)}: {', '.join(names) or 'none'}"


def _optional(value: Any, shown: Callable[[Any], str]) -> str:
    return _NOTHING if value is None else shown(value)


def _number(value: float) -> str:
    """Show three digits after the point for shares, one for what is large, and four for what is nearly nothing."""
    digits = 1 if abs(value) >= 10.0 else 3 if abs(value) >= 0.01 or value == 0.0 else 4
    return f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Cells) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
