"""Step 7 of 8, write: what the class of each modality demands of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from medfuse.errors import OptionError
from medfuse.io.dicom_derived import Derivation, day_and_time
from medfuse.io.dicom_elements import valid_text
from medfuse.io.dicom_placing import add_frame_of_reference
from medfuse.io.dicom_references import SourceSeries

Complete = Callable[[Dataset, Derivation, "SourceSeries | None", int, int], None]


@dataclass(frozen=True)
class ImageClass:
    """A class of single-frame images.

    Attributes:
        uid: SOPClassUID.
        image_type: second and later values of ImageType; the class of PET allows PRIMARY only.
        complete: adds what the class demands, given the object, the run, the series whose acquisition still holds
            (None for a fused image), the slice and the number of slices.
    """

    uid: str
    image_type: tuple[str, ...]
    complete: Complete


def class_of(modality: str) -> ImageClass:
    """Return the class of derived images of a modality.

    Raises:
        OptionError: if there is none.
    """
    if modality not in _CLASSES:
        msg = f"modality is {modality!r}; derived images are written for {', '.join(_CLASSES)}"
        raise OptionError(msg)
    return _CLASSES[modality]


def _repeat(dataset: Dataset, series: SourceSeries | None, keyword: str, otherwise: str | None) -> None:
    """Repeat an attribute of the acquisition where it still holds."""
    text = "" if series is None else valid_text(series.acquired, keyword)
    if text or otherwise is not None:
        setattr(dataset, keyword, text or otherwise)


def _ct(dataset: Dataset, run: Derivation, series: SourceSeries | None, k: int, count: int) -> None:
    add_frame_of_reference(dataset, run)
    _repeat(dataset, series, "KVP", "")
    _repeat(dataset, series, "ConvolutionKernel", None)
    dataset.AcquisitionNumber = None


def _mr(dataset: Dataset, run: Derivation, series: SourceSeries | None, k: int, count: int) -> None:
    add_frame_of_reference(dataset, run)
    _repeat(dataset, series, "ScanningSequence", "RM")  # research mode: no acquisition makes a fused image
    _repeat(dataset, series, "SequenceVariant", "NONE")
    for keyword in ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
        _repeat(dataset, series, keyword, "")
    for keyword in ("InversionTime", "MagneticFieldStrength", "FlipAngle"):
        _repeat(dataset, series, keyword, None)


def _pt(dataset: Dataset, run: Derivation, series: SourceSeries | None, k: int, count: int) -> None:
    add_frame_of_reference(dataset, run)
    day, time = day_and_time(run)
    dataset.PatientOrientationCodeSequence, dataset.PatientGantryRelationshipCodeSequence = [], []
    dataset.SeriesType = ["STATIC", "IMAGE"]
    dataset.NumberOfSlices = count
    dataset.ImageIndex = k + 1
    dataset.Units = "NONE"
    dataset.CountsSource = "EMISSION"
    dataset.DecayCorrection = "NONE"
    dataset.CorrectedImage = None
    dataset.CollimatorType = "NONE"
    dataset.RadiopharmaceuticalInformationSequence = []
    dataset.FrameReferenceTime = "0"
    dataset.ActualFrameDuration = None
    dataset.AcquisitionDate, dataset.AcquisitionTime = "", ""
    dataset.SeriesDate, dataset.SeriesTime = day, time
    if series is not None:
        dataset.update({e.tag: e for e in series.acquired if e.keyword in _PT_KEPT})


_PT_KEPT = (
    *("Units", "CountsSource", "DecayCorrection", "CollimatorType", "CorrectedImage", "RandomsCorrectionMethod"),
    *("AttenuationCorrectionMethod", "ScatterCorrectionMethod", "ReconstructionMethod", "DecayFactor"),
    *("FrameReferenceTime", "ActualFrameDuration", "AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime"),
    "RadiopharmaceuticalInformationSequence",
)
_CLASSES = {
    "CT": ImageClass("1.2.840.10008.5.1.4.1.1.2", ("SECONDARY", "AXIAL"), _ct),
    "MR": ImageClass("1.2.840.10008.5.1.4.1.1.4", ("SECONDARY", "OTHER"), _mr),
    "PT": ImageClass("1.2.840.10008.5.1.4.1.1.128", ("PRIMARY",), _pt),
}
