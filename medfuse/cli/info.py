"""``medfuse info``: what is installed here, without loading it."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from medfuse.cli.console import guarded, out
from medfuse.options import METHODS, MODALITIES, PLANES, REGISTRATIONS

_PACKAGES = ("torch", "monai", "SimpleITK", "nibabel", "pydicom", "numpy", "kornia", "safetensors", "matplotlib")
_EXTRAS = {
    "train": ("ignite",),
    "bundles": ("ignite", "fire", "jsonschema"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "dicom": ("highdicom", "gdcm", "pynetdicom", "dicomweb_client"),
    "baselines": ("itk", "ants"),
    "mlflow": ("mlflow",),
    "docs": ("sphinx",),
    "test": ("pytest",),
}
_NETWORKS = Path(__file__).resolve().parents[1] / "networks"
_REGISTRATION = Path(__file__).resolve().parents[1] / "registration"
_NEEDED_FLAGS = {"avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "avx2": {"avx2", "fma"}, "neon": {"asimd"}}
_CPU = Path("/proc/cpuinfo")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


@guarded
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Describe this installation."""
    description = describe()
    if as_json:
        out.print(json.dumps(description, indent=2), markup=False)
        return
    for name, value in description.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        out.print(f"{name}: {', '.join(shown) if isinstance(shown, list) else shown}", markup=False)


def describe() -> dict[str, Any]:
    """Return versions, extras, weights and choices, without importing any of the packages."""
    return {
        "medfuse": metadata.version("medfuse"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "extras": {name: all(find_spec(module) for module in modules) for name, modules in _EXTRAS.items()},
        "nvidia_driver": _NVIDIA_DRIVER.exists(),
        "weights": sorted(path.stem for path in (_NETWORKS / "pretrained").glob("*.safetensors")),
        "kernels": _kernels(),
        "registration_loops": _loops(),
        "methods": list(METHODS),
        "modalities": list(MODALITIES),
        "planes": list(PLANES),
        "registrations": list(REGISTRATIONS),
    }


def _kernels() -> str:
    """Name the compiled kernels that this processor can run, the best first, without loading them."""
    built = {path.name.split(".")[0].lstrip("_") for path in (_NETWORKS / "native").glob("_*.so")}
    if not _CPU.exists():
        return ", ".join(sorted(built)) or "not built: PyTorch computes"
    lines = _CPU.read_text(errors="replace").splitlines()
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}
    usable = [name for name, needed in _NEEDED_FLAGS.items() if name in built and needed <= flags]
    return usable[0] if usable else "not built: PyTorch computes"


def _loops() -> str:
    """Say whether the innermost loops of a registration were compiled, without loading them."""
    return "compiled" if any((_REGISTRATION / "native").glob("_*.so")) else "not built: numpy computes"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
