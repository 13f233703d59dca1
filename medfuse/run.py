"""One run of the main job: what it was asked, what it noticed, how long each step took, where it writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.inferers.device import resolve_device
from medfuse.inferers.method import fusion_method, resolve_method
from medfuse.io.color_palette import PALETTES
from medfuse.io.output_folder import whole_folder
from medfuse.memory import begin_peak, peak_since_mib
from medfuse.options import UNFUSING_METHOD, FusionOptions, check_choice
from medfuse.progress import Progress, Silent, showing
from medfuse.transforms.restored import Restorers

_log = logging.getLogger(__name__)


@dataclass
class Run:
    """The thread through the eight steps.

    Attributes:
        options: what the user asked for, with the method that was chosen for them.
        device: where the network runs.
        network: maps (N, 2, H, W) on the device to (N, 1, H, W).
        restorers: the networks that restore; None if nothing is restored.
        folder: where the outputs are being written, or None if nothing is written.
        progress: who is told how far the work is.
        notes: what the user should know, in the order in which it was noticed.
        seconds: duration of each step.
        peaks_mib: most memory that the process held during each step, in MiB.
    """

    options: FusionOptions
    device: torch.device
    network: Callable[[Tensor], Tensor]
    restorers: Restorers | None = None
    folder: Path | None = None
    progress: Progress = field(default_factory=Silent)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    peaks_mib: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Time a step, and show it while it lasts."""
        begin_peak()
        started = time.monotonic()
        with showing(self.progress, name) as progress:
            yield progress
        self.seconds[name] = round(time.monotonic() - started, 3)
        self.peaks_mib[name] = round(peak_since_mib(), 1)

    def note(self, message: str) -> None:
        """Keep and log something that the user should know; no patient data."""
        self.notes.append(message)
        _log.warning(message)


@contextmanager
def started_run(options: FusionOptions, progress: Progress | None = None, inputs: Sequence[Path] = ()) -> Iterator[Run]:
    """Check what can be checked before any work, and open the output folder.

    The folder appears under its name when the block ends well, and not at all otherwise.

    Args:
        options: what the user asked for.
        progress: who is told how far the work is.
        inputs: the volumes that are read; the output must not replace them, nor a file that the registration names.

    Raises:
        OptionError: if there is no such palette, or the method leaves no remainder to keep.
        DeviceError: if the device is not there.
        WeightsError: if the weights do not fit.
        OutputError: if the output exists or cannot be written.
    """
    check_choice("palette", options.palette, PALETTES)
    device = resolve_device(options.device)
    options = replace(options, method=resolve_method(options.method, options.weights, device))
    if options.keep_remainder and options.method != UNFUSING_METHOD:
        msg = f"method {options.method} has no remainder to keep; choose method {UNFUSING_METHOD}"
        raise OptionError(msg)
    network = fusion_method(options.method, options.weights, device)
    restorers = Restorers(device) if options.restored_roles else None
    with ExitStack() as stack:
        folder = None
        if options.output is not None:
            kept = [*inputs, *options.registration.files]
            folder = stack.enter_context(whole_folder(options.output, options.overwrite, inputs=kept))
        yield Run(options, device, network, restorers, folder, progress or Silent())
