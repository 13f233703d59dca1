"""Training: the two stages that make CDDFuse's weights, from pairs of slices.

Names are loaded when first used, so that the command line can offer training without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medfuse.extras import public_name

if TYPE_CHECKING:
    from medfuse.training.config_file import read_options_file
    from medfuse.training.options import TrainingOptions
    from medfuse.training.pair_check import check_pairs
    from medfuse.training.phantom_pairs import PhantomPairsOptions, write_phantom_pairs
    from medfuse.training.presets import training_options
    from medfuse.training.record import Record
    from medfuse.training.trainer import train

__all__ = [
    "PhantomPairsOptions",
    "Record",
    "TrainingOptions",
    "check_pairs",
    "read_options_file",
    "train",
    "training_options",
    "write_phantom_pairs",
]

_HOME = {
    "PhantomPairsOptions": "medfuse.training.phantom_pairs",
    "Record": "medfuse.training.record",
    "TrainingOptions": "medfuse.training.options",
    "check_pairs": "medfuse.training.pair_check",
    "read_options_file": "medfuse.training.config_file",
    "train": "medfuse.training.trainer",
    "training_options": "medfuse.training.presets",
    "write_phantom_pairs": "medfuse.training.phantom_pairs",
}
_MISSING = {"ignite": "training needs pytorch-ignite, which is not installed; run: pip install 'medfuse[train]'"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    return public_name(__name__, _HOME, name, _MISSING)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
