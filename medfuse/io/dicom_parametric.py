"""Step 7 of 8, write: float volumes as Parametric Maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from medfuse.errors import IntensityError
from medfuse.extras import required
from medfuse.geometry import Matrix
from medfuse.io.dicom_derived import DISCLAIMER, MAKER, Derivation, add_loss, day_and_time, finish, save, stand_in
from medfuse.io.dicom_placing import add_slice_geometry, affine_of


def write_parametric_map(
    volume: MetaTensor, name: str, number: int, run: Derivation, fused: Sequence[Dataset], path: Path
) -> None:
    """Write a float volume on the fixed grid as one multi-frame object of 32-bit floats.

    Args:
        volume: (1, X, Y, Z), finite.
        name: what it shows.
        number: its number in the series of maps, from 1.
        run: the run.
        fused: the images of the fused series, which the map belongs to and whose geometry it has.
        path: the file to write.

    Raises:
        MissingExtraError: if highdicom is not installed.
        IntensityError: if values are not finite.
    """
    highdicom = required("highdicom", "highdicom", "dicom")
    maps = required("highdicom.pm", "highdicom", "dicom")
    array = np.asarray(volume.detach().as_tensor().cpu().numpy())[0].astype(np.float32, copy=False)
    low, high = _range(array, name)
    window = highdicom.VOILUTTransformation(
        window_center=(low + high) / 2.0, window_width=high - low, voi_lut_function="LINEAR_EXACT"
    )
    dataset = maps.ParametricMap(
        source_images=_stand_ins(fused, affine_of(volume), array.shape[2]),
        pixel_array=np.ascontiguousarray(array.transpose(2, 1, 0)),  # (slices, rows, columns)
        series_instance_uid=run.uids.new("maps", "series"),
        series_number=1,
        sop_instance_uid=run.uids.new("maps", name),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=run.description.version,
        device_serial_number=MAKER,
        contains_recognizable_visual_features=True,
        real_world_value_mappings=[_meaning(maps, name, (low, high))],
        voi_lut_transformations=[window],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label=_label(name),
        content_description=f"Map {name} of a fused volume"[:64],
    )
    _complete(dataset, run, name)
    save(dataset, path)


def _range(array: npt.NDArray[np.float32], name: str) -> tuple[float, float]:
    """Return the least and the greatest value, never the same, or refuse the map."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        msg = f"the map {name} holds values that are NaN or infinite; replace them, for example by 0"
        raise IntensityError(msg)
    return low, max(high, float(np.nextafter(np.float32(low), np.float32(np.inf))))


def _meaning(maps: Any, name: str, values: tuple[float, float]) -> Dataset:
    """Say that the stored values are the real ones, without a unit."""
    return maps.RealWorldValueMapping(
        lut_label=name[:16].upper(),
        lut_explanation=f"{name}, values as stored",
        unit=codes.UCUM.NoUnits,
        value_range=values,
        slope=1.0,
        intercept=0.0,
    )


def _stand_ins(fused: Sequence[Dataset], affine: Matrix, count: int) -> list[Dataset]:
    """Return what highdicom needs of the fused images; of a multi-frame one, where its frames lie."""
    copies = [stand_in(image) for image in fused]
    if "NumberOfFrames" in fused[0]:
        whole = copies[0]
        whole.NumberOfFrames = count
        places = [Dataset() for _ in range(count)]
        for k, place in enumerate(places):
            add_slice_geometry(place, affine, k)
        places[0].SliceThickness = whole.SliceThickness
        whole.PerFrameFunctionalGroupsSequence = [
            _group(place, PlanePositionSequence=("ImagePositionPatient",)) for place in places
        ]
        whole.SharedFunctionalGroupsSequence = [
            _group(
                places[0],
                PlaneOrientationSequence=("ImageOrientationPatient",),
                PixelMeasuresSequence=("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
            )
        ]
    return copies


def _group(place: Dataset, **macros: tuple[str, ...]) -> Dataset:
    """Return a functional group of some attributes of a slice."""
    group = Dataset()
    for name, keywords in macros.items():
        macro = Dataset()
        macro.update({place[keyword].tag: place[keyword] for keyword in keywords})
        setattr(group, name, [macro])
    return group


def _complete(dataset: Dataset, run: Derivation, name: str) -> None:
    """Add what the objects of a run share, and replace what would differ from run to run."""
    finish(dataset, run, "maps")
    dataset.SeriesDescription = f"Maps of the fused volume ({run.description.use})"
    dataset.DerivationDescription = f"Map {name}. {run.description.text}. {DISCLAIMER}"
    dataset.ContentDate, dataset.ContentTime = day_and_time(run)
    organization = run.uids.new("maps", name, "dimensions")
    for sequence in (dataset.DimensionOrganizationSequence, dataset.DimensionIndexSequence):
        for item in sequence:
            item.DimensionOrganizationUID = organization
    add_loss(dataset, run)


def _label(name: str) -> str:
    """Return a name as the code string that ContentLabel is."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).upper()[:16]
