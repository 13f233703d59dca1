"""What a client may ask for, and how it becomes the options of the main job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.errors import OptionError
from medfuse.label_app.app_folder import MODELS
from medfuse.label_app.images import NotStoredError, short
from medfuse.label_app.stored_forms import FORMS
from medfuse.networks import SHIPPED_WEIGHTS
from medfuse.options import FusionOptions, RegistrationOptions, check_choice

WEIGHTS = (*SHIPPED_WEIGHTS, "trained")

_TEXTS = ("plane", "method", "fixed_window", "moving_window", "fixed_modality", "moving_modality", "palette", "device")
_OWN = ("moving", "registration", "seed", "accept_registration", "weights", "form", "metrics")
_OF_THE_FRAMEWORK = frozenset(  # what MONAI Label and its clients add to every request
    {
        *("model", "image", "description", "client_id", "session_id", "user", "timeout", "logging", "bundle_path"),
        *("result_extension", "result_dtype", "result_compress", "label_tag", "save_label", "skip_writer"),
        *("multi_gpu", "gpus", "local_rank"),
    }
)


@dataclass(frozen=True)
class FusionRequest:
    """A request that has been checked.

    Attributes:
        options: of the main job; nothing is written.
        form: how the answer is stored, one of ``FORMS``.
        metrics: whether to measure the fused image.
    """

    options: FusionOptions
    form: str = "float32"
    metrics: bool = True


def fusion_request(given: Mapping[str, Any], app_folder: Path) -> FusionRequest:
    """Read what a client asks for.

    Args:
        given: the parameters; those that MONAI Label adds are passed over.
        app_folder: the folder that is served; trained weights lie in it.

    Raises:
        OptionError: if a parameter is unknown, of the wrong kind or not allowed.
        NotStoredError: if trained weights are asked for and there are none.
    """
    _check_names(given)
    form = _text(given, "form") or FORMS[0]
    check_choice("form", form, FORMS)
    registration = RegistrationOptions(
        method=_text(given, "registration") or "rigid",
        seed=_whole_number(given, "seed"),
        accept=_flag(given, "accept_registration", False),
    )
    texts = {name: text for name in _TEXTS if (text := _text(given, name)) is not None}
    weights = _weights(_text(given, "weights") or WEIGHTS[0], app_folder)
    options = FusionOptions(registration=registration, weights=weights, write_dicom=False, **texts)  # type: ignore[arg-type]
    return FusionRequest(options, form, _flag(given, "metrics", True))


def trained_weights(app_folder: Path) -> Path:
    """Return where the weights lie that the train task wrote, or will write."""
    return app_folder / MODELS / "trained.safetensors"


def _check_names(given: Mapping[str, Any]) -> None:
    allowed = sorted({*_TEXTS, *_OWN})
    for name in given:
        if name not in _OF_THE_FRAMEWORK and name not in allowed:
            msg = f"there is no parameter {short(str(name))!r}; choose from {', '.join(allowed)}"
            raise OptionError(msg)
    if given.get("save_label"):
        msg = "save_label is set, and a fused volume is no label; take the file that is sent, and store that"
        raise OptionError(msg)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        msg = f"{name} is {value!r}; give text"
        raise OptionError(msg)
    return value


def _whole_number(given: Mapping[str, Any], name: str) -> int:
    value = given.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"{name} is {value!r}; give a whole number of at least 0"
        raise OptionError(msg)
    return value


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        msg = f"{name} is {value!r}; give true or false"
        raise OptionError(msg)
    return value


def _weights(name: str, app_folder: Path) -> str:
    check_choice("weights", name, WEIGHTS)
    if name in SHIPPED_WEIGHTS:
        return name
    path = trained_weights(app_folder)
    if not path.is_file():
        msg = "nothing has been trained here yet; run the train task first, or leave weights at default"
        raise NotStoredError(msg)
    return str(path)
