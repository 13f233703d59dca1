"""What counts as a win, and as enough."""

from __future__ import annotations

import pytest

from medfuse.evaluation.summary import Mean
from medfuse.evaluation.targets import published_wins, targets, yardstick

EIGHT = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM_range2")


def means(**values: float) -> dict[str, Mean]:
    keys = {"VIF_worst": "sound", "Qabf_worst": "sound", "lost_worst": "sound", "invented": "sound"}
    return {
        f"{keys.get(name, 'published')}.{name}": Mean(mean=value, low=value, high=value, slices=9)
        for name, value in values.items()
    }


def eight(value: float, **other: float) -> dict[str, Mean]:
    return means(**{**dict.fromkeys(EIGHT, value), **other})


def test_a_win_is_half_a_percent() -> None:
    ones = dict.fromkeys(EIGHT, 1.0)
    assert published_wins(eight(10.0, EN=10.04, SD=10.06), eight(10.0), ones) == ["SD"]
    assert published_wins(eight(10.0, EN=float("nan")), eight(9.0), ones) == list(EIGHT[1:])
    assert published_wins(means(EN=10.0), eight(10.0), ones) is None


def test_the_yardstick_raises_what_the_published_network_reaches_above_max() -> None:
    factors = yardstick("CT-MRI")
    assert tuple(factors) == EIGHT
    assert factors["EN"] == pytest.approx(4.88 / 4.47)
    assert factors["SD"] == 1.0
    assert yardstick("SPECT-MRI")["VIF"] == pytest.approx(0.97 / 0.74)
    assert yardstick("PET-MRI")["VIF"] == 1.0
    assert set(yardstick("other").values()) == {1.0}
    assert published_wins(eight(10.8), eight(10.0), factors) == ["SD", "MI", "SCD", "VIF", "SSIM_range2"]


def test_ratios_are_to_max_and_what_is_invented_to_laplacian() -> None:
    found = targets(
        "CT-MRI",
        {
            "net": means(VIF_worst=0.39, Qabf_worst=0.5, lost_worst=0.1, invented=0.02),
            "max": means(VIF_worst=0.30, Qabf_worst=0.4, lost_worst=0.2, invented=0.00),
            "laplacian": means(VIF_worst=0.30, Qabf_worst=0.4, lost_worst=0.1, invented=0.04),
        },
    )
    ratios = [found["net"][f"{name}_ratio"] for name in ("fidelity", "edges", "lost", "invented")]
    assert ratios == pytest.approx([1.3, 1.25, 0.5, 0.5])
    assert found["max"]["fidelity_ratio"] == 1.0
    assert found["max"]["met"] is False
    assert found["net"]["wins"] is None


@pytest.mark.parametrize(
    ("name", "value"), [("VIF_worst", 0.38), ("Qabf_worst", 0.4), ("lost_worst", 0.2), ("invented", 0.05)]
)
def test_each_target_is_needed(name: str, value: float) -> None:
    good = {"VIF_worst": 0.40, "Qabf_worst": 0.5, "lost_worst": 0.1, "invented": 0.02}
    others = {
        "max": means(VIF_worst=0.30, Qabf_worst=0.4, lost_worst=0.2, invented=0.01),
        "laplacian": means(VIF_worst=0.30, Qabf_worst=0.4, lost_worst=0.1, invented=0.04),
    }
    assert targets("CT-MRI", {"net": means(**good), **others})["net"]["met"] is True
    assert targets("CT-MRI", {"net": means(**{**good, name: value}), **others})["net"]["met"] is False


def test_without_max_nothing_is_judged() -> None:
    assert targets("CT-MRI", {"average": eight(1.0)}) == {}
