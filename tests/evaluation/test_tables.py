"""The tables say what the means say."""

from __future__ import annotations

import math

import pytest

from medfuse.evaluation.benchmark import gather
from medfuse.evaluation.rows import Row
from medfuse.evaluation.tables import markdown

EIGHT = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM_range2")
SOUND = (
    *(
        f"{name}_{kind}"
        for name in ("VIF", "Qabf", "SSIM", "NMI", "FMI", "lost")
        for kind in ("first", "second", "worst")
    ),
    *("invented", "EN", "SD", "SF", "AG"),
)


def rows(method: str, value: float, **other: float) -> list[Row]:
    scores = {f"published.{name}": value for name in EIGHT} | {f"sound.{name}": value for name in SOUND}
    changed = {name.replace("__", "."): one for name, one in other.items()}
    return [Row(method, "CT-MRI", case, "slice", {**scores, **changed}) for case in ("1", "2", "3")]


ROWS = [
    *rows("net", 0.4, sound__lost_worst=0.1, sound__invented=0.01),
    *rows("max", 0.3),
    *rows("laplacian", 0.2),
    *rows("copy_first", 0.1, published__SCD=math.nan),
    *rows("oracle", 0.5)[:1],
]


def section(text: str, title: str) -> list[list[str]]:
    lines = text.split(f"### {title}\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def text() -> str:
    return markdown(gather(ROWS, ("published", "sound")))


def test_the_best_of_each_column_is_bold(text: str) -> None:
    head, _, net, most, *_ = section(text, "Both sources kept, nothing invented")
    assert net[head.index("VIF_worst")] == "**0.400** (0.400 to 0.400)"
    assert net[head.index("invented")].startswith("**0.010**")
    assert most[head.index("VIF_worst")] == "0.300 (0.300 to 0.300)"


def test_targets_are_beside_max(text: str) -> None:
    _, _, net, most, *_ = section(text, "Against max and laplacian")
    assert net[0] == "`net`"
    assert net[1] == "8 of 8: EN, SD, SF, MI, SCD, VIF, Qabf, SSIM_range2"
    assert net[3:] == ["1.333", "1.333", "0.333", "0.050", "yes"]
    assert most[1] == "0 of 8: none"
    assert most[-1] == "no"


def test_what_is_not_defined_is_a_dash(text: str) -> None:
    head, _, *methods = section(text, "As published tables have it")
    assert methods[-1][head.index("SCD")] == "–"  # noqa: RUF001


def test_shares_are_of_the_oracle_on_its_pairs(text: str) -> None:
    head, _, *methods = section(text, "Share of the per-image optimum")
    shares = {row[0]: row[head.index("sound VIF_worst")] for row in methods}
    assert shares == {"`net`": "80%", "`max`": "60%", "`laplacian`": "40%", "`copy_first`": "20%", "`oracle`": "100%"}
    assert "`oracle`" not in text.split("### Share")[0].split("### As published")[1]


def test_one_suite_makes_only_its_tables() -> None:
    published = [
        Row(row.method, row.collection, row.case, row.name, {k: v for k, v in row.scores.items() if "published" in k})
        for row in ROWS
        if row.method != "oracle"
    ]
    text = markdown(gather(published, ("published",)))
    assert "### As published" in text
    assert "### Both sources" not in text
    assert "### Share" not in text
    assert section(text, "Against max and laplacian")[2][3:] == ["–"] * 5  # noqa: RUF001
