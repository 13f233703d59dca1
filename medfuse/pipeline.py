"""The main job: two volumes of one patient in, one fused volume out. Start reading here.

The steps are in ``medfuse/steps.py``, in this order.
"""

from __future__ import annotations

from pathlib import Path

from medfuse.options import FusionOptions
from medfuse.progress import Progress
from medfuse.result import FusionResult
from medfuse.run import started_run
from medfuse.steps import (
    Source,
    assemble,
    normalize_pair,
    read_pair,
    register_pair,
    report,
    run_network,
    slice_pair,
    write_outputs,
)


def fuse_volumes(
    fixed: Source,
    moving: Source | None = None,
    options: FusionOptions | None = None,
    progress: Progress | None = None,
) -> FusionResult:
    """Register the moving volume to the fixed one and fuse the two.

    Args:
        fixed: the volume whose grid the result has: a NIfTI, MHA, MHD or NRRD file; a folder, zip or DICOMDIR with a
            DICOM series; or a MetaTensor (1, X, Y, Z) with an affine in RAS mm.
        moving: the other volume, on any grid; None if both are series of the DICOM study that ``fixed`` names.
        options: what to do; the defaults register rigidly, fuse with CDDFuse and write nothing.
        progress: who is told how far the work is.

    Returns:
        The fused volume and all that it was made from. With ``options.output`` set, the same is written there.

    Raises:
        MedfuseError: one of its kinds, in one line, for any input, option, device or output that cannot be used.
    """
    options = options or FusionOptions()
    inputs = [Path(source) for source in (fixed, moving) if isinstance(source, str | Path)]
    with started_run(options, progress, inputs) as run:
        pair = read_pair(fixed, moving, run)
        registered = register_pair(pair, run)
        normalized = normalize_pair(pair, registered, run)
        slices = slice_pair(normalized, run)
        fused_slices = run_network(slices, run)
        result = assemble(fused_slices, slices, pair, registered, normalized, run)
        write_outputs(result, run)
        report(pair, result, run)
    return result
