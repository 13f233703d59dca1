"""The job of the published repositories: two folders of co-registered PNG slices in, a folder of fused ones out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfuse.evaluation.protocol import stretched
from medfuse.inferers.slicewise import fuse_slices
from medfuse.io.png_slices import PngSlice, read_slice_pair, write_slice
from medfuse.io.slice_sets import SlicePaths, pair_by_name
from medfuse.options import FusionOptions
from medfuse.progress import Progress, counted
from medfuse.report.record import complete_record, describe_method, file_hash, write_record
from medfuse.run import Run, started_run
from medfuse.transforms.recolor import recolor

_EXTENSIONS = (".png",)
_GRAY, _COLOR = "gray", "color"


def fuse_slice_folders(
    first: Path,
    second: Path,
    output: Path,
    options: FusionOptions | None = None,
    published_protocol: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fuse the PNG slices of equal names in two folders.

    ``output/gray`` gets a gray picture of each pair, under the same name: of 16 bits if either source has them.
    ``output/color`` gets one in color where a source is colored, with the chroma of that source (of the second, if
    both are) and the fused luminance. ``output/run.json`` is the record.

    Args:
        first: folder of MR slices.
        second: folder of slices of the other modality; false color is fused by its luminance.
        output: the folder to write.
        options: method, weights, device and ``overwrite``; the others do not apply to single slices.
        published_protocol: stretch each fused slice from its least and largest value to 0 and 255, as published
            tables do. Brightness then differs from slice to slice for no reason in the patient.
        progress: who is told how far the work is.

    Returns:
        What ``run.json`` holds.

    Raises:
        MedfuseError: one of its kinds, in one line, for any folder, picture, option or output that cannot be used.
    """
    options = replace(options or FusionOptions(), output=output)
    pairs, alone = pair_by_name(first, second, _EXTENSIONS)
    with started_run(options, progress, [path for pair in pairs for path in (pair.first, pair.second)]) as run:
        if alone:
            run.note(f"{_listed(alone)}: only one of the two folders has this name; skipped")
        with run.step("fuse") as listener:
            for pair in counted(pairs, listener):
                _fuse_pair(pair, published_protocol, run)
        record = complete_record(_done(pairs, published_protocol, run.options), run.notes, run.seconds, run.device)
        if run.folder is not None:
            write_record(record, run.folder)
    return record


def _fuse_pair(pair: SlicePaths, published_protocol: bool, run: Run) -> None:
    sources = read_slice_pair(pair.first, pair.second)
    image = torch.stack([source.gray for source in sources])  # (2, H, W)
    fused = fuse_slices(image[None], run.network, run.device)
    if published_protocol:
        fused = stretched(fused)
    bits = 8 if published_protocol else max(source.bits for source in sources)
    _write(fused[0], sources, bits, pair.first.name, run.folder)


def _write(fused: Tensor, sources: tuple[PngSlice, PngSlice], bits: int, name: str, folder: Path | None) -> None:
    """Write the fused slice (1, H, W), and once more in color where a source has any."""
    if folder is None:
        return
    colors = [source.color for source in sources if source.color is not None]
    pictures = [(_GRAY, fused[0], bits)] + [(_COLOR, recolor(fused, color), 8) for color in colors[-1:]]
    for kind, picture, depth in pictures:
        (folder / kind).mkdir(exist_ok=True)
        write_slice(picture, folder / kind / name, depth)


def _done(pairs: Sequence[SlicePaths], published_protocol: bool, options: FusionOptions) -> dict[str, Any]:
    """Say what was fused and how; inputs appear by name and hash, never by folder."""
    return {
        "options": {"published_protocol": published_protocol},
        "inputs": {
            pair.first.name: {"first_sha256": file_hash(pair.first), "second_sha256": file_hash(pair.second)}
            for pair in pairs
        },
        "method": describe_method(options.method, options.weights),
    }


def _listed(names: Sequence[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
