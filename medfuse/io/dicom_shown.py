"""Step 7 of 8, write: the fixed series as a presentation state refers to it, with how to show it."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medfuse.io.dicom_derived import Derivation
from medfuse.io.dicom_elements import decimal, valid_text, valid_texts
from medfuse.io.dicom_headers import value_of
from medfuse.io.dicom_references import Instance, in_frame
from medfuse.io.dicom_source import DicomSource


def shown_source(source: DicomSource, run: Derivation, window: tuple[float, float] | None) -> list[Dataset]:
    """Return an image for each object of the fixed series: what it is, how it is rescaled, which window to show.

    Args:
        source: headers of the fixed series.
        run: the run.
        window: the real values to show black and white; None for the first window that the series states.

    Returns:
        An empty list where a presentation state cannot refer to the series as it is: it was de-identified, so that
        nothing has the identifiers that would be written; it names no frame of reference; low values are bright in
        it; its images are rescaled differently, as those of PET mostly are; or there is no window.
    """
    inverted = valid_text(source.headers[0], "PhotometricInterpretation") == "MONOCHROME1"
    if run.deidentified or not run.fixed.frame_uid or run.fixed.modality == "PT" or inverted:
        return []
    rescalings = {rescaling for header in source.headers for rescaling in _rescalings(header)}
    window = window or _window(source.headers[0])
    if len(rescalings) != 1 or window is None:
        return []
    (rescaling,) = rescalings
    return [
        _image(instance, header, run, rescaling, window)
        for instance, header in zip(run.fixed.instances, source.headers, strict=True)
    ]


def _image(
    instance: Instance,
    header: Dataset,
    run: Derivation,
    rescaling: tuple[float, float],
    window: tuple[float, float],
) -> Dataset:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = instance.class_uid, instance.uid
    image.SeriesInstanceUID, image.StudyInstanceUID = instance.series_uid, instance.study_uid
    image.FrameOfReferenceUID = run.frame_uid
    image.SamplesPerPixel, image.Rows, image.Columns = 1, header.Rows, header.Columns
    image.RescaleSlope, image.RescaleIntercept = decimal(rescaling[0]), decimal(rescaling[1])
    image.RescaleType = "HU" if run.fixed.modality == "CT" else "US"
    image.WindowCenter, image.WindowWidth = decimal((window[0] + window[1]) / 2), decimal(window[1] - window[0])
    image.VOILUTFunction = "LINEAR_EXACT"
    return image


def _rescalings(header: Dataset) -> set[tuple[float, float]]:
    """Return slope and intercept of an image, or all that occur in the frames of a multi-frame object."""
    frames = range(1, len(value_of(header, "PerFrameFunctionalGroupsSequence") or ()) + 1) or (0,)
    found = set()
    for frame in frames:
        slope = in_frame(header, frame, "RescaleSlope", 1)
        intercept = in_frame(header, frame, "RescaleIntercept", 1)
        found.add((1.0 if slope is None else float(slope[0]), 0.0 if intercept is None else float(intercept[0])))
    return found


def _window(header: Dataset) -> tuple[float, float] | None:
    """Return the first window of a series as its lowest and highest value."""
    centers, widths = valid_texts(header, "WindowCenter"), valid_texts(header, "WindowWidth")
    if not centers or not widths or float(widths[0]) <= 0:
        return None
    return float(centers[0]) - float(widths[0]) / 2, float(centers[0]) + float(widths[0]) / 2
