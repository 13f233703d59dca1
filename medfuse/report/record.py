"""Step 8 of 8, report: the machine-readable record of a run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from medfuse.memory import highest_mib
from medfuse.networks import default_weights, weights_path
from medfuse.networks.native import instruction_set
from medfuse.networks.rules import RULES
from medfuse.options import FusionOptions
from medfuse.result import FusionResult
from medfuse.transforms.restored import RestorationChange

RECORD_NAME = "run.json"
DISCLAIMER = "Not a medical device. For research only: no diagnosis or treatment may rest on this result."

_PACKAGES = ("medfuse", "torch", "monai", "SimpleITK", "nibabel", "numpy")


def make_record(
    result: FusionResult,
    inputs: tuple[MetaTensor, MetaTensor],
    options: FusionOptions,
    notes: Sequence[str],
    seconds: Mapping[str, float],
    device: torch.device,
) -> dict[str, Any]:
    """Gather what is needed to trust, repeat or doubt a result.

    Args:
        result: what the run made.
        inputs: the fixed and the moving volume as they were read.
        options: what the user asked for.
        notes: what the user should know.
        seconds: duration of each step.
        device: where the network ran.

    Returns:
        A dictionary that JSON can hold. Inputs appear by file name and hash, never by folder.
    """
    windows = (result.fixed_window, result.moving_window)
    roles = ("fixed", "moving")
    done = {
        "options": _jsonable(asdict(options) | _names_only(options)),
        "inputs": {role: _describe_input(volume) for role, volume in zip(roles, inputs, strict=True)},
        "registration": _jsonable(result.registration.summary()),
        "inside_fraction": float(result.inside.float().mean()),
        "windows": {role: asdict(window) for role, window in zip(roles, windows, strict=True)},
        "restoration": {role: _describe_restoration(change) for role, change in result.restorations.items()},
        "slices": {"axis": result.spatial_dim, "number": result.fused.shape[result.spatial_dim + 1]},
        "method": describe_method(options.method, options.weights),
    }
    return complete_record(done, notes, seconds, device)


def complete_record(
    done: Mapping[str, Any], notes: Sequence[str], seconds: Mapping[str, float], device: torch.device
) -> dict[str, Any]:
    """Add to what a job did what the record of every job says: versions, device, duration and memory.

    Args:
        done: what is particular to the job; JSON must be able to hold it.
        notes: what the user should know.
        seconds: duration of each step.
        device: where the network ran.
    """
    return {
        "disclaimer": DISCLAIMER,
        "versions": {name: metadata.version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        **done,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "kernels": instruction_set() if device.type == "cpu" else None,
        "seconds": dict(seconds),
        "peak_memory_mib": peak_memory_mib(device),
        "notes": list(notes),
    }


def write_record(record: dict[str, Any], folder: Path) -> None:
    """Write ``run.json`` into a folder of outputs, listing the other files in it with their hashes."""
    record["outputs"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_hash(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / RECORD_NAME).write_text(json.dumps(record, indent=2, sort_keys=False) + "\n", encoding="utf-8")


def describe_method(method: str, weights: str | Path) -> dict[str, Any]:
    """Name a method and, for a network, its weights file with the hash."""
    if method in RULES:
        return {"name": method}
    path = weights_path(method, weights)
    return {"name": method, "weights": path.name, "weights_sha256": file_hash(path)}


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def peak_memory_mib(device: torch.device) -> dict[str, float]:
    """Return the most memory that this process and the device have held, in MiB."""
    peak = {"host": round(highest_mib(), 1)}
    if device.type == "cuda":
        peak["device"] = round(torch.cuda.max_memory_allocated(device) / (1 << 20), 1)
    return peak


def _describe_input(volume: MetaTensor) -> dict[str, Any]:
    name = volume.meta.get("filename_or_obj")
    path = Path(str(name)) if name else None
    on_disk = path is not None and path.is_file()
    values = np.ascontiguousarray(volume.as_tensor().numpy())
    return {
        "file": path.name if path is not None and on_disk else None,
        "sha256": file_hash(path) if path is not None and on_disk else None,
        "values_sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        "modality": volume.meta["modality"],
        "modality_source": volume.meta["modality_source"],
        "shape": list(volume.shape[1:]),
        "affine_ras": volume.affine.tolist(),
        "value_range": [float(values.min()), float(values.max())],
    }


def _describe_restoration(change: RestorationChange) -> dict[str, Any]:
    path = default_weights(Path(change.weights).stem)
    return {**asdict(change), "weights_sha256": file_hash(path)}


def _names_only(options: FusionOptions) -> dict[str, str | None]:
    """Return the options that are paths without their folders, which may name a patient."""
    return {
        "output": None if options.output is None else Path(options.output).name,
        "weights": Path(options.weights).name,
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
