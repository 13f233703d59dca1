"""Step 2 of 8, register: transforms found before, kept by the content of what they were found from."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from medfuse.configs import read_config
from medfuse.errors import InputError, OutputError
from medfuse.geometry import Matrix
from medfuse.io.output_folder import whole_file
from medfuse.io.transform_files import check_transform
from medfuse.options import RegistrationOptions
from medfuse.registration.register import Registration

_log = logging.getLogger(__name__)

_LARGEST_FILE = 2**26
_WITHOUT_EFFECT = ("transforms", "landmarks", "accept")  # files are known by the start that they give
_NUMBERS = ("registration", "deformable", "verdict")
_PACKAGES = ("medfuse", "SimpleITK", "numpy", "scipy", "torch")


class RegistrationCache:
    """Found transforms as JSON files in a folder, which several processes may share.

    A file is used only if it is whole and was made from the same values, affines, options and versions. It holds the
    transform and its figures, and nothing about the patient.

    Args:
        folder: where the files are; made when the first is written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def load(self, key: str) -> Registration | None:
        """Return what was stored under a key; None if nothing was, or it is damaged."""
        path = self.folder / f"{key}.json"
        try:
            if path.stat().st_size > _LARGEST_FILE:
                return None
            stored = json.loads(path.read_bytes())
            if stored["key"] != key or stored["sha256"] != _digest(stored["registration"]):
                return None
            found = _restored(Registration, stored["registration"])
            check_transform(found.fixed_to_moving_ras, "the stored transform")
        except (OSError, ValueError, TypeError, LookupError, RecursionError, InputError):
            return None
        return found if isinstance(found, Registration) else None

    def store(self, key: str, registration: Registration) -> None:
        """Keep a registration; if it cannot be written this is logged, and it is found again the next time."""
        plain = _plain(asdict(registration))
        content = json.dumps({"key": key, "sha256": _digest(plain), "registration": plain}, indent=1)
        try:
            with whole_file(self.folder / f"{key}.json", overwrite=True) as temporary:
                temporary.write_text(content + "\n", encoding="utf-8")
        except OutputError:
            _log.warning("the cache of registrations cannot be written; check its folder's space and permissions")


def registration_key(
    fixed: MetaTensor,
    moving: MetaTensor,
    options: RegistrationOptions,
    start_ras: Matrix | None = None,
    same_frame: bool = False,
) -> str:
    """Return a name for all that a transform depends on: values, affines, options, presets and versions.

    Args:
        fixed: (1, X, Y, Z).
        moving: (1, X', Y', Z').
        options: how to register.
        start_ras: (4, 4) transform to set out from.
        same_frame: whether the two share a frame of reference.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for volume in (fixed, moving):
        for array in (volume.as_tensor().cpu().numpy(), np.asarray(volume.affine, dtype=np.float64)):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    chosen = {name: value for name, value in asdict(options).items() if name not in _WITHOUT_EFFECT}
    start = None if start_ras is None else start_ras.tolist()
    versions = {name: metadata.version(name) for name in _PACKAGES}
    presets = {name: read_config(name) for name in _NUMBERS}
    digest.update(json.dumps([chosen, start, same_frame, versions, presets], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; floats come back bit for bit."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        values = value.detach().cpu().contiguous().numpy().astype("<f4")
        return {"shape": list(values.shape), "float32": base64.b64encode(values.tobytes()).decode("ascii")}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _restored(kind: Any, plain: Any) -> Any:
    """Return what ``_plain`` was made from, by the type that it is declared to have.

    Raises:
        TypeError: if it is not of that type.
        LookupError: if a field is missing.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{field.name: _restored(hints[field.name], plain[field.name]) for field in fields(kind)})
    if origin is np.ndarray:
        return _array(plain)
    if kind is torch.Tensor:
        values = np.frombuffer(base64.b64decode(plain["float32"], validate=True), dtype="<f4")
        return torch.from_numpy(values.reshape(plain["shape"]).astype(np.float32))
    if origin is tuple and isinstance(plain, list):
        kinds = (parts[0],) * len(plain) if parts[-1] is Ellipsis else parts
        return tuple(_restored(one, item) for one, item in zip(kinds, plain, strict=True))
    if origin in (Union, UnionType):
        return None if plain is None and NoneType in parts else _restored(parts[0], plain)
    if type(plain) is not kind:
        msg = f"{kind} was expected"
        raise TypeError(msg)
    return plain


def _array(plain: Any) -> npt.NDArray[np.float64]:
    return np.array(plain, dtype=np.float64)
