"""Train task ``fusion``: go on from the shipped weights with the pairs of the datastore."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from medfuse.errors import InputError, MedfuseError, OptionError
from medfuse.io.output_folder import whole_file
from medfuse.io.volume_files import write_volume
from medfuse.label_app.images import short
from medfuse.label_app.pairs import ProposedPair
from medfuse.label_app.pairs_task import pairs_of
from medfuse.label_app.parameters import trained_weights
from medfuse.label_app.registered_pair import register_stored
from medfuse.options import RegistrationOptions
from medfuse.training import train, training_options

DEFAULT_PRESET = "cddfuse_fast_cpu"

_NUMBERS = {
    **dict.fromkeys(("stage_one_steps", "stage_two_steps", "batch_size", "patch_size", "validate_every"), int),
    **dict.fromkeys(("validation_pairs", "seed", "threads"), int),
    "learning_rate": float,
}
_TEXTS = ("preset", "registration", "device")
_OF_THE_FRAMEWORK = ("model", "client_id", "local_rank", "gpus", "multi_gpu", "logging", "bundle_path")


class FusionTraining(TrainTask):  # type: ignore[misc]
    """Fine-tune a network on the datastore's pairs.

    Args:
        app_folder: the folder that is served; the weights go into it.
    """

    def __init__(self, app_folder: Path) -> None:
        super().__init__("Go on from the shipped weights with the pairs of the datastore")
        self._app_folder = app_folder

    def config(self) -> dict[str, Any]:
        """Return what a client may set, with the values that hold otherwise."""
        return {"preset": DEFAULT_PRESET, "stage_two_steps": 200, "registration": "rigid", "device": "auto"}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Register all pairs, train on those that may be trusted, and keep the weights for ``weights: trained``.

        Args:
            request: ``preset`` and options of training; see ``config`` and the page on training.
            datastore: where the pairs are; those of at least two patients are needed.

        Returns:
            How many pairs served, which were left out and why, the last scores and the seconds.

        Raises:
            MedfuseError: if there are too few pairs, or an option is not allowed.
        """
        overrides = {**self.config(), **_overrides(request)}
        registration = RegistrationOptions(str(overrides.pop("registration")))
        options = training_options(str(overrides.pop("preset")), **overrides)
        weights = trained_weights(self._app_folder)
        weights.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="medfuse-training-") as temporary:
            folder = Path(temporary)
            listed, left_out = _registered(pairs_of(datastore), datastore, folder, registration)
            finished = folder / weights.name
            record = train(_list_of(listed, folder), finished, options, "monailabel train fusion", start_from="default")
            with whole_file(weights, overwrite=True) as new:  # a server that fuses meanwhile sees the old or the new
                shutil.copyfile(finished, new)
        last = record.curve[-1] if record.curve else {}
        return {
            "weights": "trained",
            "pairs": len(listed),
            "left_out": left_out,
            "validation": last.get("validation", {}),
            "seconds": record.seconds,
        }


def _overrides(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of training that a request names."""
    overrides: dict[str, Any] = {}
    for name, value in request.items():
        if name in _OF_THE_FRAMEWORK:
            continue
        if name not in _NUMBERS and name not in _TEXTS:
            allowed = ", ".join(sorted((*_NUMBERS, *_TEXTS)))
            msg = f"there is no option {short(str(name))!r} of training here; choose from {allowed}"
            raise OptionError(msg)
        overrides[name] = _of_its_kind(name, value)
    return overrides


def _of_its_kind(name: str, value: object) -> object:
    if name in _TEXTS and isinstance(value, str):
        return value
    kind = _NUMBERS.get(name)
    if kind is not None and not isinstance(value, bool) and isinstance(value, int | kind):
        return kind(value)
    msg = f"{name} is {value!r}; give {'text' if kind is None else 'a number'}"
    raise OptionError(msg)


def _registered(
    pairs: Sequence[ProposedPair], datastore: Datastore, folder: Path, registration: RegistrationOptions
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Register all pairs into a folder.

    Returns:
        Rows of a list for training, and the ids of what was left out, each with a reason.

    Raises:
        InputError: if no pair is left.
    """
    listed, left_out = [], []
    for number, pair in enumerate(pairs):
        try:
            files = _register(pair, datastore, folder / str(number), registration)
        except MedfuseError as error:
            left_out.append({"fixed": pair.fixed.id, "moving": pair.moving.id, "reason": type(error).__name__})
            continue
        listed.append({"case": str(pair.fixed.patient), "first": files[0], "second": files[1]})
    if not listed:
        msg = f"of {len(pairs)} pairs none can be registered; look at the scoring method verdict"
        raise InputError(msg)
    return listed, left_out


def _register(pair: ProposedPair, datastore: Datastore, folder: Path, registration: RegistrationOptions) -> list[str]:
    """Write the two volumes of a pair on one grid; return their paths."""
    result = register_stored(pair, datastore, registration)
    paths = []
    for volume in (result.fixed, result.moving_registered):
        path = folder / f"{volume.meta['modality']}.nii.gz"
        write_volume(volume, path)
        said = {"Modality": volume.meta["modality"], "Units": volume.meta.get("units")}
        path.with_name(f"{volume.meta['modality']}.json").write_text(json.dumps(said), encoding="utf-8")
        paths.append(str(path))
    return paths


def _list_of(rows: Sequence[Mapping[str, str]], folder: Path) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("case", "first", "second"))
        writer.writeheader()
        writer.writerows(rows)
    return path
