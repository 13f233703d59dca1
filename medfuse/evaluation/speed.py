"""Evaluation: how fast the network is in each of its forms, and how its cost grows with the image."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.pairs import read_image_pairs
from medfuse.evaluation.speed_forms import FAST, FORMS, KERNELS, PLAIN, PLAIN_KEPT, PYTORCH, Form, Measured
from medfuse.evaluation.speed_tables import speed_markdown, write_speed_plot
from medfuse.io.output_folder import whole_folder
from medfuse.networks import build
from medfuse.networks.native import instruction_set, without_kernels
from medfuse.options import check_choice
from medfuse.phantom import PhantomOptions, make_phantom
from medfuse.progress import Progress, Silent, counted, showing
from medfuse.report.record import complete_record, write_record

_HELD_FREE_MB = 32.0
_PLAIN_FILE = Path(__file__).parents[2] / "tests" / "benchmarks" / "plain_cddfuse.py"


@dataclass(frozen=True)
class SpeedOptions:
    """What is timed.

    Attributes:
        forms: of ``speed_forms.FORMS``; empty for all that can run here but ``torch.compile`` and ONNX Runtime.
        size: side of the image, in pixels.
        repeats: timed calls of each form, after one that is not counted.
        threads: of the processor; 0 for as many as torch takes.
        growth: sides of the images that the growth of time and memory is fitted to; none to leave that out.
        plain: Python file with ``plain_form(network)``; None for the one in a checkout of medfuse.
        overwrite: replace the output if it is an earlier result.

    Raises:
        OptionError: if a number is too small or there is no such form.
    """

    forms: tuple[str, ...] = ()
    size: int = 256
    repeats: int = 5
    threads: int = 0
    growth: tuple[int, ...] = (64, 128, 256, 512, 1024)
    plain: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in self.forms:
            check_choice("form", name, FORMS)
        if min(self.size, *self.growth, 2) < 2 or self.repeats < 1 or self.threads < 0:
            msg = "sizes must be at least 2, repeats at least 1 and threads at least 0"
            raise OptionError(msg)
        if len(self.growth) == 1:
            msg = "growth needs two sizes at least, or none"
            raise OptionError(msg)


@dataclass
class FormSpeed:
    """What was measured of one form.

    Attributes:
        seconds: of each call, on the wall's clock.
        cpu_seconds: of each call, all threads together.
        peak_mb: most memory of its process.
        largest_error: from the same weights in float64; NaN for another network.
        mean_error: the same, mean of the absolute errors.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    largest_error: float = float("nan")
    mean_error: float = float("nan")


def benchmark_speed(
    output: Path, data: Path | None = None, options: SpeedOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Time the forms of the network in turns on one image, and how their cost grows with it.

    Writes ``speed.json`` (what is returned), ``speed.md``, ``speed.png`` and ``run.json``.

    Args:
        output: the folder to write.
        data: a folder with ``splits.json``, whose first validation pair is the image; None for a phantom's.
        options: what to time.
        progress: told how many calls are done.

    Returns:
        ``forms``: what was measured of each, medians, and ratios to the plain forms; ``growth``: by form, ``sides``,
        ``seconds``, ``peak_mb`` and the fitted exponents of both against pixels; ``size``, ``threads`` and ``kernels``.

    Raises:
        MedfuseError: one of its kinds, in one line, for any data, option or output that cannot be used.
    """
    options = options or SpeedOptions()
    threads = options.threads or torch.get_num_threads()
    plain = options.plain or (_PLAIN_FILE if _PLAIN_FILE.is_file() else None)
    names = options.forms or _usual(plain)
    image = _image(data)
    with whole_folder(output, options.overwrite, inputs=[] if data is None else [data]) as folder:
        with showing(progress or Silent(), "time") as listener:
            forms = _compare(names, _of_side(image, options.size), options.repeats, threads, plain, listener)
        growing = [name for name in _growing(names) if options.growth]
        with showing(progress or Silent(), "grow") as listener:
            growth = {name: _grow(name, image, options, threads, listener) for name in growing}
        result: dict[str, Any] = {
            "size": options.size,
            "threads": threads,
            "kernels": instruction_set(),
            "image": "phantom" if data is None else "first validation pair",
            "forms": _with_ratios(forms),
            "growth": growth,
        }
        write_json(result, folder / "speed.json")
        (folder / "speed.md").write_text(speed_markdown(result), encoding="utf-8")
        write_speed_plot(result, folder / "speed.png")
        asked = {name: value for name, value in asdict(options).items() if name != "plain"}
        seconds = {name: sum(form.seconds) for name, form in forms.items()}
        write_record(complete_record({"options": asked}, [], seconds, torch.device("cpu")), folder)
    return result


def _growing(names: tuple[str, ...]) -> list[str]:
    """Return the forms whose growth is measured: those that medfuse uses here."""
    exact = KERNELS if KERNELS in names else PYTORCH
    return [name for name in names if name in (exact, FAST)]


def _usual(plain: Path | None) -> tuple[str, ...]:
    """Return the forms that need nothing beyond what is installed."""
    plain_forms = () if plain is None else (PLAIN, PLAIN_KEPT)
    kernels = () if instruction_set() is None else (KERNELS,)
    return (*plain_forms, PYTORCH, *kernels, FAST)


def _image(data: Path | None) -> Tensor:
    """Return one pair of slices, (1, 2, H, W) in [0, 1]."""
    if data is not None:
        return read_image_pairs(data, number=1)[0].image[None]
    volumes = make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "CT"), noise=0.0)).volumes
    sources = [volume.as_tensor()[0].float() for volume in volumes.values()]
    middles = [source[:, :, source.shape[2] // 2] for source in sources]
    shown = [(middle - middle.min()) / (middle.max() - middle.min()) for middle in middles]
    return torch.stack([_of_side(one[None, None], 256)[0, 0] for one in shown])[None]


def _of_side(image: Tensor, side: int) -> Tensor:
    """Bring an image (N, C, H, W) to a square of this side, interpolated."""
    return torch.nn.functional.interpolate(image, (side, side), mode="bilinear").contiguous()


def _compare(
    names: tuple[str, ...], image: Tensor, repeats: int, threads: int, plain: Path | None, progress: Progress
) -> dict[str, FormSpeed]:
    """Time the forms in turns, so that what else the computer does hits all alike."""
    exact = _in_float64(image)
    found = {name: FormSpeed() for name in names}
    with ExitStack() as stack:
        forms = [stack.enter_context(closing(Form(name, threads, plain))) for name in names]
        for repeat in range(repeats + 1):
            for number, form in enumerate(forms):
                progress.advance(repeat * len(forms) + number, (repeats + 1) * len(forms))
                measured = form.measure(image)
                if repeat > 0:  # the first call prepares
                    _keep(found[form.name], measured)
                if form.name != FAST:
                    errors = (measured.fused.double() - exact).abs()
                    found[form.name].largest_error, found[form.name].mean_error = (
                        errors.max().item(),
                        errors.mean().item(),
                    )
    return found


@torch.inference_mode()
def _in_float64(image: Tensor) -> Tensor:
    with without_kernels():
        exact: Tensor = build("cddfuse", "default").double()(image.double())
    return exact


def _keep(form: FormSpeed, measured: Measured) -> None:
    form.seconds.append(measured.seconds)
    form.cpu_seconds.append(measured.cpu_seconds)
    form.peak_mb = measured.peak_mb


def _with_ratios(forms: dict[str, FormSpeed]) -> dict[str, dict[str, Any]]:
    """Return what was measured, with medians and the median ratio to each plain form of the same turn."""
    rows = {}
    for name, form in forms.items():
        row: dict[str, Any] = {"median_seconds": statistics.median(form.seconds), **asdict(form)}
        row["median_cpu_seconds"] = statistics.median(form.cpu_seconds)
        for against in (PLAIN, PLAIN_KEPT, PYTORCH, KERNELS):
            if against in forms:
                ratios = [theirs / ours for theirs, ours in zip(forms[against].seconds, form.seconds, strict=True)]
                row[f"times_faster_than {against}"] = statistics.median(ratios)
        rows[name] = row
    return rows


def _grow(name: str, image: Tensor, options: SpeedOptions, threads: int, progress: Progress) -> dict[str, Any]:
    """Fit exponents of time and memory against pixels; a new process for each size, so that peaks are its own."""
    seconds, peaks = [], []
    for side in counted(options.growth, progress):
        with closing(Form(name, threads, None)) as form:
            idle = form.measure(_of_side(image, 8)).peak_mb
            calls = [form.measure(_of_side(image, side)) for _ in range(options.repeats)]
        seconds.append(statistics.median(call.seconds for call in calls))
        peaks.append(max(calls[-1].peak_mb - idle, 1.0))
    pixels = [float(side) ** 2 for side in options.growth]
    return {
        "sides": list(options.growth),
        "seconds": seconds,
        "peak_mb": peaks,
        "time_exponent": fitted_exponent(pixels, seconds),
        "memory_exponent": memory_exponent(pixels, peaks),
    }


def memory_exponent(pixels: Sequence[float], peak_mb: Sequence[float]) -> float:
    """Fit the exponent of memory against pixels to the sizes that take more than a process holds free anyway.

    Args:
        pixels: of each image.
        peak_mb: what each took beyond an idle process.
    """
    seen = [(size, peak) for size, peak in zip(pixels, peak_mb, strict=True) if peak >= _HELD_FREE_MB]
    return fitted_exponent(*zip(*seen, strict=True)) if len(seen) > 1 else fitted_exponent(pixels, peak_mb)


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent with which values grow with sizes, fitted to their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
