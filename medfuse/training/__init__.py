"""Training: the two stages that make CDDFuse's weights, from pairs of slices.

Names are loaded when first used, so that the command line can offer training without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medfuse.errors import MissingExtraError

if TYPE_CHECKING:
    from medfuse.training.comparison import score_methods
    from medfuse.training.options import TrainingOptions
    from medfuse.training.presets import training_options
    from medfuse.training.record import Record
    from medfuse.training.trainer import train

__all__ = ["Record", "TrainingOptions", "score_methods", "train", "training_options"]

_HOME = {
    "Record": "medfuse.training.record",
    "TrainingOptions": "medfuse.training.options",
    "score_methods": "medfuse.training.comparison",
    "train": "medfuse.training.trainer",
    "training_options": "medfuse.training.presets",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        msg = f"module 'medfuse.training' has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "ignite":
            raise
        msg = "training needs pytorch-ignite, which is not installed; run: pip install 'medfuse[train]'"
        raise MissingExtraError(msg) from None


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
