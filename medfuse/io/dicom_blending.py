"""Step 7 of 8, write: how a viewer blends the moving volume over the fixed one (Advanced Blending Presentation State).

The state refers to two series in one study and one frame of reference: the fixed one as it is, in gray, and the
moving one resampled onto its grid, which is written beside the fused one, in color. The moving series as it came would
need viewers that apply a registration object to it, and highdicom refuses to refer to two frames of reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medfuse.extras import required
from medfuse.io.color_palette import palette_rgb
from medfuse.io.dicom_derived import DISCLAIMER, MAKER, Derivation, day_and_time, finish, save, stand_in
from medfuse.io.dicom_elements import valid_text

_OPACITY = 0.5
_PALETTE = "hot_iron"


def write_blending(run: Derivation, under: Sequence[Dataset], over: Sequence[Dataset], path: Path) -> None:
    """Write a presentation state that shows one series in color over another in gray.

    Args:
        run: the run.
        under: images of the series in gray, with the rescaling and the window to apply.
        over: images of the series in color, likewise.
        path: the file to write.

    Raises:
        MissingExtraError: if highdicom is not installed.
    """
    presentation = required("highdicom.pr", "highdicom", "dicom")
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    hot = (palette_rgb(_PALETTE).numpy() * 255.0).round().astype(np.uint8)
    inputs = [_input(under, gray, 1), _input(over, hot, 2)]
    order = [presentation.BlendingDisplayInput(2), presentation.BlendingDisplayInput(1)]  # what is on top comes first
    display = presentation.BlendingDisplay("FOREGROUND", order, relative_opacity=_OPACITY)
    dataset = presentation.AdvancedBlendingPresentationState(
        referenced_images=[stand_in(image) for image in (*under, *over)],
        blending=inputs,
        blending_display=[display],
        series_instance_uid=run.uids.new("blending", "series"),
        series_number=1,
        sop_instance_uid=run.uids.new("blending", 1),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=run.description.version,
        device_serial_number=MAKER,
        content_label="FUSION",
        content_description=f"Moving over fixed. {DISCLAIMER}",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    finish(dataset, run, "blending")
    dataset.SeriesDescription = f"Adjustable fusion ({run.description.use})"
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = day_and_time(run)
    dataset.FrameOfReferenceUID = run.frame_uid
    # dciodvfy takes an object that refers to images inside AdvancedBlendingSequence only for one that refers to none.
    dataset.ReferencedImageSequence = [item for one in inputs for item in one.ReferencedImageSequence]
    save(dataset, path)


def _input(images: Sequence[Dataset], colors: Any, number: int) -> Dataset:
    """Return one input of the blending: a series, its rescaling, its window and its palette."""
    highdicom = required("highdicom", "highdicom", "dicom")
    presentation = required("highdicom.pr", "highdicom", "dicom")
    first = images[0]
    palette = highdicom.PaletteColorLUTTransformation.from_combined_lut(colors, first_mapped_value=0)
    window = presentation.SoftcopyVOILUTTransformation(
        window_center=float(first.WindowCenter),
        window_width=float(first.WindowWidth),
        voi_lut_function=valid_text(first, "VOILUTFunction") or "LINEAR",
    )
    rescale = highdicom.ModalityLUTTransformation(
        rescale_intercept=float(first.RescaleIntercept),
        rescale_slope=float(first.RescaleSlope),
        rescale_type=valid_text(first, "RescaleType") or "US",
    )
    return presentation.AdvancedBlending(
        referenced_images=[stand_in(image) for image in images],
        blending_input_number=number,
        modality_lut_transformation=rescale,
        voi_lut_transformations=[window],
        palette_color_lut_transformation=palette,
    )
