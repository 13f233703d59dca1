"""The steps as MONAI dictionary transforms, one per file, each made of a plain function beside it."""

from medfuse.transforms.choose_window import ChooseWindowd
from medfuse.transforms.colorize import Colorized
from medfuse.transforms.fuse import FuseSlicesd
from medfuse.transforms.load import LoadVolumed
from medfuse.transforms.normalize import NormalizeModalityd
from medfuse.transforms.recolor import Recolord
from medfuse.transforms.register import RegisterToFixedd
from medfuse.transforms.restored import Restored
from medfuse.transforms.save import SaveVolumed
from medfuse.transforms.stack import StackModalitiesd

__all__ = [
    "ChooseWindowd",
    "Colorized",
    "FuseSlicesd",
    "LoadVolumed",
    "NormalizeModalityd",
    "Recolord",
    "RegisterToFixedd",
    "Restored",
    "SaveVolumed",
    "StackModalitiesd",
]
