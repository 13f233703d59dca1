"""Evaluation: pairs of aligned volumes on disk, as a list says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from medfuse.errors import OptionError, UnreadableFileError
from medfuse.evaluation.listed import check_named_once, read_list
from medfuse.evaluation.registration_options import modalities_of
from medfuse.io.checks import shown
from medfuse.options import MODALITIES

LIST_NAME = "pairs.csv"
_COLUMNS = ("case", "fixed", "moving", "fixed_modality", "moving_modality")


@dataclass(frozen=True)
class FilePair:
    """Two volumes on disk whose true alignment is known.

    Attributes:
        case: name of the pair; no two have the same.
        fixed: file of the fixed volume.
        moving: file of the moving volume.
        fixed_modality: MR, CT, PT or NM.
        moving_modality: the same for the moving volume.
        truth: file of the true transform, or None where the headers are right.
        swapped: whether ``truth`` leads from the moving volume to the fixed one.
    """

    case: str
    fixed: Path
    moving: Path
    fixed_modality: str
    moving_modality: str
    truth: Path | None = None
    swapped: bool = False

    def with_roles_exchanged(self) -> FilePair:
        """Return the pair with the other volume fixed."""
        return replace(
            self,
            fixed=self.moving,
            moving=self.fixed,
            fixed_modality=self.moving_modality,
            moving_modality=self.fixed_modality,
            swapped=not self.swapped,
        )


def read_file_pairs(data: Path) -> list[FilePair]:
    """Read a list of aligned pairs.

    Args:
        data: a CSV file, or a folder with ``pairs.csv``, with the columns ``case``, ``fixed``, ``moving``,
            ``fixed_modality``, ``moving_modality`` and, where the headers are not right, ``fixed_to_moving``: the true
            transform as ``.tfm`` or ``.txt``. Paths are relative to the folder of the list.

    Raises:
        UnreadableFileError: if it is missing, lacks a column or a value, lists nothing, names a case twice, a
            modality that is none, or a file that does not exist.
    """
    path = data / LIST_NAME if data.is_dir() else data
    pairs = [_pair(row, path.parent) for row in read_list(path, _COLUMNS, "pairs")]
    check_named_once([pair.case for pair in pairs], path)
    for pair in pairs:
        for modality in (pair.fixed_modality, pair.moving_modality):
            if modality not in MODALITIES:
                msg = f"{shown(path)}: modality {modality!r} is not one of {', '.join(MODALITIES)}; correct the list"
                raise UnreadableFileError(msg)
        for place in (pair.fixed, pair.moving, pair.truth):
            if place is not None and not place.exists():
                msg = f"{shown(path)}: {shown(place)} does not exist; correct the list"
                raise UnreadableFileError(msg)
    return pairs


def pairs_of(kind: str, pairs: list[FilePair]) -> list[FilePair]:
    """Return the pairs of two modalities, with roles exchanged where need be.

    Args:
        kind: ``"FIXED-MOVING"`` by modality.
        pairs: of any kind.

    Raises:
        OptionError: if there is none.
    """
    wanted = modalities_of(kind)
    found = []
    for pair in pairs:
        modalities = (pair.fixed_modality, pair.moving_modality)
        if modalities == wanted:
            found.append(pair)
        elif modalities[::-1] == wanted:
            found.append(pair.with_roles_exchanged())
    if not found:
        kinds = sorted({f"{pair.fixed_modality}-{pair.moving_modality}" for pair in pairs})
        msg = f"pair is {kind!r}, of which the list has none; choose among {', '.join(kinds)}"
        raise OptionError(msg)
    return found


def _pair(row: dict[str, str], folder: Path) -> FilePair:
    truth = folder / row["fixed_to_moving"] if row.get("fixed_to_moving") else None
    return FilePair(
        row["case"],
        folder / row["fixed"],
        folder / row["moving"],
        row["fixed_modality"].upper(),
        row["moving_modality"].upper(),
        truth,
    )
