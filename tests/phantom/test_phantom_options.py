"""Options of the phantom are refused with one line that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from medfuse.errors import OptionError
from medfuse.phantom import LesionOptions, PhantomOptions


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"profile": "huge"}, "profile"),
        ({"volumes": ("MR",)}, "volume"),
        ({"volumes": ()}, "volumes"),
        ({"volumes": ("CT", "CT")}, "volumes"),
        ({"seed": -1}, "seed"),
        ({"rotation_deg": 90.0}, "rotation_deg"),
        ({"translation_mm": -1.0}, "translation_mm"),
        ({"noise": float("nan")}, "noise"),
        ({"scale": 0.1}, "scale"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named) as caught:
        PhantomOptions(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "cold"}, "kind"),
        ({"side": "middle"}, "side"),
        ({"radius_mm": 60.0}, "radius_mm"),
        ({"center_mm": (5.0, 0.0, 0.0)}, "center_mm"),
    ],
)
def test_wrong_lesions_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        LesionOptions(**wrong)
