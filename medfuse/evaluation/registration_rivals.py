"""Evaluation: the registration methods that are compared, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from numbers import Real
from typing import Any

from medfuse.evaluation.registration_ants import ANTS, register_ants
from medfuse.evaluation.registration_elastix import ITK, register_elastix
from medfuse.evaluation.registration_found import Found, Register
from medfuse.evaluation.registration_options import TEXTBOOK
from medfuse.evaluation.registration_subjects import Study
from medfuse.evaluation.registration_textbook import register_textbook
from medfuse.extras import required
from medfuse.options import RegistrationOptions
from medfuse.registration.rigid import register_rigid

_NEEDS = {"elastix": ITK, "ants": ANTS}
_VERDICT = "verdict"


def register_medfuse(study: Study, seed: int, threads: int) -> Found:
    """Register as ``medfuse fuse`` does, with default options.

    All numbers that the result carries become figures, those of a nested ``verdict`` with its name in front.

    Args:
        study: the two volumes.
        seed: not used: the default seed is what users get.
        threads: not used: medfuse takes the processors that there are.

    Raises:
        RegistrationError: if no pose brings the two together.
    """
    result = register_rigid(
        study.fixed, study.fixed_affine_ras, study.moving, study.moving_affine_ras, RegistrationOptions()
    )
    leaves = dict(_leaves(asdict(result)))
    grades = [value for name, value in leaves.items() if name.split(".")[0] == _VERDICT and isinstance(value, str)]
    return Found(
        result.fixed_to_moving_ras,
        {name: float(value) for name, value in leaves.items() if isinstance(value, Real)},
        grades[0] if grades else "",
    )


RIVALS: dict[str, Register] = {
    "medfuse": register_medfuse,
    TEXTBOOK: register_textbook,
    "elastix": register_elastix,
    "ants": register_ants,
}


def check_installed(methods: Sequence[str]) -> None:
    """Refuse methods whose packages are missing.

    Raises:
        MissingExtraError: naming the extra to install.
    """
    for method in methods:
        if method in _NEEDS:
            required(*_NEEDS[method])


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
