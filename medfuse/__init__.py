"""medfuse: fuse two medical volumes of one patient into one that can be checked.

Names are loaded when first used, so that importing medfuse costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medfuse.archive_study import fuse_study, store_result
    from medfuse.errors import MedfuseError
    from medfuse.io.dicom_place import archive_at
    from medfuse.io.volume_files import read_volume, write_volume
    from medfuse.options import FusionOptions, RegistrationOptions
    from medfuse.phantom import PhantomOptions, make_phantom, write_phantom
    from medfuse.pipeline import fuse_volumes
    from medfuse.result import FusionResult
    from medfuse.slice_folders import fuse_slice_folders

__all__ = [
    "FusionOptions",
    "FusionResult",
    "MedfuseError",
    "PhantomOptions",
    "RegistrationOptions",
    "archive_at",
    "fuse_slice_folders",
    "fuse_study",
    "fuse_volumes",
    "make_phantom",
    "read_volume",
    "store_result",
    "write_phantom",
    "write_volume",
]

_HOME = {
    "FusionOptions": "medfuse.options",
    "FusionResult": "medfuse.result",
    "MedfuseError": "medfuse.errors",
    "PhantomOptions": "medfuse.phantom",
    "RegistrationOptions": "medfuse.options",
    "archive_at": "medfuse.io.dicom_place",
    "fuse_slice_folders": "medfuse.slice_folders",
    "fuse_study": "medfuse.archive_study",
    "fuse_volumes": "medfuse.pipeline",
    "make_phantom": "medfuse.phantom",
    "read_volume": "medfuse.io.volume_files",
    "store_result": "medfuse.archive_study",
    "write_phantom": "medfuse.phantom",
    "write_volume": "medfuse.io.volume_files",
}
_SUBPACKAGES = (
    "bundles",
    "evaluation",
    "inferers",
    "io",
    "losses",
    "metrics",
    "networks",
    "phantom",
    "training",
    "transforms",
)


def __getattr__(name: str) -> Any:
    """Import a public name, or a subpackage, when it is first asked for."""
    if name == "__version__":
        return import_module("importlib.metadata").version("medfuse")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _SUBPACKAGES:
        return import_module(f"medfuse.{name}")
    msg = f"module 'medfuse' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, *_SUBPACKAGES, "__version__"])
