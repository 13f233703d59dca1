"""What the phantom is made of: tissue labels, and how each tissue looks in each scanner."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Label of a tissue, as written in the label volumes (0 is the air around the head)."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    OUTER_TABLE = 4
    DIPLOE = 5
    INNER_TABLE = 6
    CSF = 7
    GRAY_MATTER = 8
    WHITE_MATTER = 9
    VENTRICLE = 10
    DEEP_GRAY = 11
    BRAINSTEM = 12
    CEREBELLAR_GRAY = 13
    CEREBELLAR_WHITE = 14
    EYE = 15
    LENS = 16
    SINUS_AIR = 17
    DURA = 18
    FACE_BONE = 19
    DENSE_BONE = 20
    NERVE = 21
    MUCOSA = 22
    BLOOD = 23
    CALCIFICATION = 24
    LESION = 25


_COLUMNS = ("CT", "MR_T1", "MR_T2", "PT", "NM")

# HU; arbitrary MR units (white matter in T1 is 850); FDG uptake in SUV; perfusion counts per voxel.
_ROWS: dict[Tissue, tuple[float, float, float, float, float]] = {
    Tissue.AIR: (-1000.0, 0.0, 0.0, 0.0, 0.0),
    Tissue.SKIN: (45.0, 430.0, 230.0, 0.8, 14.0),
    Tissue.FAT: (-100.0, 1040.0, 640.0, 0.3, 6.0),
    Tissue.MUSCLE: (55.0, 370.0, 175.0, 0.9, 13.0),
    Tissue.OUTER_TABLE: (1350.0, 40.0, 25.0, 0.4, 6.0),
    Tissue.DIPLOE: (500.0, 520.0, 330.0, 0.9, 12.0),
    Tissue.INNER_TABLE: (1250.0, 40.0, 25.0, 0.4, 6.0),
    Tissue.CSF: (5.0, 175.0, 1080.0, 0.5, 5.0),
    Tissue.GRAY_MATTER: (38.0, 560.0, 530.0, 8.0, 100.0),
    Tissue.WHITE_MATTER: (30.0, 850.0, 370.0, 2.5, 32.0),
    Tissue.VENTRICLE: (4.0, 150.0, 1130.0, 0.4, 4.0),
    Tissue.DEEP_GRAY: (39.0, 660.0, 425.0, 8.4, 104.0),
    Tissue.BRAINSTEM: (31.0, 770.0, 400.0, 4.2, 62.0),
    Tissue.CEREBELLAR_GRAY: (39.0, 570.0, 510.0, 7.0, 112.0),
    Tissue.CEREBELLAR_WHITE: (31.0, 810.0, 380.0, 3.0, 45.0),
    Tissue.EYE: (12.0, 165.0, 1120.0, 0.4, 4.0),
    Tissue.LENS: (75.0, 330.0, 150.0, 0.4, 4.0),
    Tissue.SINUS_AIR: (-1000.0, 0.0, 0.0, 0.0, 0.0),
    Tissue.DURA: (58.0, 270.0, 110.0, 0.9, 12.0),
    Tissue.FACE_BONE: (820.0, 170.0, 110.0, 0.6, 8.0),
    Tissue.DENSE_BONE: (1750.0, 30.0, 20.0, 0.3, 5.0),
    Tissue.NERVE: (38.0, 640.0, 420.0, 1.6, 14.0),
    Tissue.MUCOSA: (42.0, 470.0, 880.0, 1.7, 22.0),
    Tissue.BLOOD: (56.0, 210.0, 70.0, 1.4, 22.0),
    Tissue.CALCIFICATION: (260.0, 420.0, 260.0, 1.0, 10.0),
}


def values_of(volume: str) -> dict[Tissue, float]:
    """Return the mean value of every tissue in one of the phantom's volumes.

    Args:
        volume: ``"CT"`` (HU), ``"MR_T1"``, ``"MR_T2"`` (arbitrary), ``"PT"`` (SUV) or ``"NM"`` (counts).

    Returns:
        Value by tissue. ``Tissue.LESION`` is absent: a lesion brings its own values.
    """
    column = _COLUMNS.index(volume)
    return {tissue: row[column] for tissue, row in _ROWS.items()}
