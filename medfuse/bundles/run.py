"""Bundles: run one of its configs in this process, with refusals as the rest of medfuse makes them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medfuse.bundles.catalog import find_bundle
from medfuse.bundles.write import MARKER, write_bundle
from medfuse.errors import MedfuseError, OptionError
from medfuse.extras import required
from medfuse.options import check_choice

FILES = {
    "inference": ("inference",),
    "inference_trt": ("inference", "inference_trt"),
    "train": ("train",),
    "evaluate": ("train", "evaluate"),
    "multi_gpu_train": ("train", "multi_gpu_train"),
    "multi_gpu_evaluate": ("train", "evaluate", "multi_gpu_evaluate"),
}
"""The files that make each config, the later ones going before the earlier."""

_TRAINING = ("train", "multi_gpu_train")
_RESULTS = "eval"


def run_bundle(bundle: str | Path, config: str = "inference", overrides: Mapping[str, Any] | None = None) -> None:
    """Run a config of a bundle as ``python -m monai.bundle run`` does.

    Args:
        bundle: the folder of a bundle, or the name of one that is shipped. The latter is written to a temporary folder
            for the time of the run, its results to ``eval`` in the working folder unless ``output_dir`` says otherwise.
        config: one of ``FILES``; those that train need a folder, where the weights stay.
        overrides: values by the keys of the config, such as ``{"fixed": "t1.nii.gz", "moving": "ct.nii.gz"}``.

    Raises:
        OptionError: if there is no such bundle or config, or it would train into a temporary folder.
        MissingExtraError: if pytorch-ignite is not installed.
        MedfuseError: one of its kinds, in one line, for any input that cannot be used.
    """
    check_choice("config", config, tuple(FILES))
    given = dict(overrides or {})
    if not _is_bundle(bundle):
        name = find_bundle(str(bundle)).name
        if config in _TRAINING:
            msg = f"the weights that {config} makes would be lost; write the bundle first (medfuse bundle get {name})"
            raise OptionError(msg)
        given.setdefault("output_dir", _RESULTS)
    with _opened(bundle) as folder:
        files = [str(folder / "configs" / f"{name}.json") for name in FILES[config]]
        _run(files, {"bundle_root": str(folder), **given})


def _is_bundle(bundle: str | Path) -> bool:
    return (Path(bundle) / MARKER).is_file()


@contextmanager
def _opened(bundle: str | Path) -> Iterator[Path]:
    """Give the folder of a bundle."""
    if _is_bundle(bundle):
        yield Path(bundle)
        return
    with tempfile.TemporaryDirectory(prefix="medfuse-") as workspace:
        yield write_bundle(str(bundle), workspace)


def _run(files: list[str], overrides: Mapping[str, Any]) -> None:
    required("ignite", "pytorch-ignite", "bundles")
    monai_bundle = required("monai.bundle", "monai", "bundles")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="parsing config_file")  # these files are medfuse's own
            monai_bundle.run(config_file=files, **overrides)
    except RuntimeError as error:
        raise _reason(error) from None


def _reason(error: BaseException) -> BaseException:
    """Return what medfuse refused, out of the error that MONAI wraps around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MedfuseError):
            return cause
        cause = cause.__cause__
    return error
