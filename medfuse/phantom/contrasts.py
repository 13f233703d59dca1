"""Random contrasts: what each tissue measures in one scan of one patient, drawn around what is usual."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medfuse.phantom.tissues import Tissue, values_of

_FLUIDS = (Tissue.CSF, Tissue.VENTRICLE, Tissue.EYE)
_ENHANCED = (Tissue.BLOOD, Tissue.DURA, Tissue.MUCOSA)
_SOFT_HU = 200.0  # what is below varies by a few HU, bone above in proportion
_LESION_SHOWS = 0.6
# The values that a lesion may take: HU, arbitrary MR units, SUV, counts.
_LESIONS = {"MR": (200.0, 1300.0), "CT": (15.0, 300.0), "PT": (0.5, 20.0), "NM": (5.0, 260.0)}

Values = dict[Tissue, float]


def draw_values(modality: str, lesions: int, random: np.random.Generator) -> dict[int, float]:
    """Draw the mean value of every tissue and lesion in one scan.

    Args:
        modality: ``"MR"``, ``"CT"``, ``"PT"`` or ``"NM"``.
        lesions: how many lesions the patient has.
        random: where chance comes from.

    Returns:
        Value by label. A lesion that this scan does not show is absent.
    """
    usual = _magnetic(random) if modality == "MR" else values_of(modality)
    values = {int(tissue): _varied(value, modality, random) for tissue, value in usual.items()}
    for number in range(lesions):
        if random.random() < _LESION_SHOWS:
            values[int(Tissue.LESION) + number] = float(random.uniform(*_LESIONS[modality]))
    return values


def _varied(value: float, modality: str, random: np.random.Generator) -> float:
    if modality != "CT":
        return float(value * np.exp(random.normal(0.0, 0.15)))
    if value < _SOFT_HU:
        return float(value + (random.normal(0.0, 3.0) if value > -900.0 else 0.0))
    return float(value * np.exp(random.normal(0.0, 0.15)))


def _magnetic(random: np.random.Generator) -> Values:
    """Return the tissue values of a randomly chosen weighting, in arbitrary units."""
    weightings: list[Callable[[Values, Values], Values]] = [_t1, _enhanced_t1, _t2, _flair, _proton_density, _inverted]
    weighting = weightings[int(random.integers(len(weightings)))]
    return weighting(values_of("MR_T1"), values_of("MR_T2"))


def _t1(t1: Values, _t2: Values) -> Values:
    return t1


def _t2(_t1: Values, t2: Values) -> Values:
    return t2


def _enhanced_t1(t1: Values, _t2: Values) -> Values:
    """After a contrast agent, blood and membranes shine."""
    return {tissue: value * (4.0 if tissue in _ENHANCED else 1.0) for tissue, value in t1.items()}


def _flair(_t1: Values, t2: Values) -> Values:
    """Free water is dark, all else as in T2."""
    return {tissue: value * (0.12 if tissue in _FLUIDS else 1.0) for tissue, value in t2.items()}


def _proton_density(t1: Values, t2: Values) -> Values:
    return {tissue: 0.5 * (t1[tissue] + t2[tissue]) for tissue in t1}


def _inverted(t1: Values, _t2: Values) -> Values:
    """What no scanner makes: bright becomes dark, so that no gray level comes to mean a tissue."""
    dark = min(t1[Tissue.OUTER_TABLE], t1[Tissue.DENSE_BONE])
    return {tissue: value if value <= 2.0 * dark else 1150.0 - value for tissue, value in t1.items()}
