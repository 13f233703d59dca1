"""Deformable registration by other libraries: SimpleITK and elastix B-splines, and the SyN of ANTs.

All begin at the same rigid transform and run on one thread. They are given the volumes as medfuse prepares them for
itself: 4 mm voxels, values clipped and spread over shades, and the body as a mask.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from made_deformed import DeformedPair

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.comparison import prepare_sources
from medfuse.registration.deformable_presets import load_deformable_preset
from medfuse.registration.images import Image, to_image, to_transform

PointMap = Callable[[Points], Points]
LEVEL_MM = 4.0
BINS = 32
SAMPLES = 40_000
_FLIP = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Prepared:
    """A fixed and a moving image for ITK, and where the fixed one is compared."""

    fixed: Image
    moving: Image
    mask: Image


def prepared(pair: DeformedPair) -> Prepared:
    """Return the pair as medfuse's finest level sees it."""
    how = load_deformable_preset("body").preparation
    pose = (pair.fixed, pair.fixed_affine, pair.moving, pair.moving_affine)
    sources = prepare_sources(*pose, [LEVEL_MM], how)[LEVEL_MM]
    return Prepared(
        to_image(torch.from_numpy(sources.fixed), sources.fixed_affine_ras),
        to_image(torch.from_numpy(sources.moving), sources.moving_affine_ras),
        sitk.Cast(to_image(torch.from_numpy(sources.compared), sources.fixed_affine_ras), sitk.sitkUInt8),
    )


def simpleitk_bspline(pair: DeformedPair, control_mm: float = 64.0, iterations: int = 30) -> PointMap:
    """Register by SimpleITK: a B-spline of two levels, Mattes mutual information and L-BFGS."""
    images = prepared(pair)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(images.mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    inside = int(np.count_nonzero(sitk.GetArrayViewFromImage(images.mask)))
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / inside), 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMovingInitialTransform(to_transform(pair.start))
    extent = np.multiply(images.fixed.GetSize(), images.fixed.GetSpacing())
    mesh = np.maximum(1, np.round(extent / (2.0 * control_mm))).astype(int).tolist()
    spline = sitk.BSplineTransformInitializer(images.fixed, mesh, 3)
    method.SetInitialTransformAsBSpline(spline, True, [1, 2])
    method.SetOptimizerAsLBFGS2(1e-5, iterations)
    method.SetShrinkFactorsPerLevel([1, 1])
    method.SetSmoothingSigmasPerLevel([LEVEL_MM, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.Execute(images.fixed, images.moving)
    return _then_start(spline, pair.start)


def elastix_bspline(pair: DeformedPair, control_mm: float = 32.0, bending: float = 5000.0) -> PointMap:
    """Register by elastix: its default B-spline with a bending penalty, 4000 new samples at each step, and the mask."""
    itk = importlib.import_module("itk")
    images = prepared(pair)
    settings = itk.ParameterObject.New()
    settings.AddParameterMap(_elastix_settings(itk, control_mm, bending))
    fixed = _itk(itk, images.fixed)
    method = itk.ElastixRegistrationMethod.New(fixed, _itk(itk, _moved_back(images.moving, pair.start)))
    method.SetParameterObject(settings)
    method.SetFixedMask(_itk(itk, images.mask))
    method.SetNumberOfThreads(1)
    method.LogToConsoleOff()
    method.UpdateLargestPossibleRegion()
    transformix = itk.TransformixFilter.New(fixed)
    transformix.SetTransformParameterObject(method.GetTransformParameterObject())
    transformix.SetComputeDeformationField(True)
    with tempfile.TemporaryDirectory() as folder:
        transformix.SetOutputDirectory(folder)
        transformix.UpdateLargestPossibleRegion()
    field = sitk.GetImageFromArray(itk.array_from_image(transformix.GetOutputDeformationField()), isVector=True)
    field.CopyInformation(images.fixed)
    return _then_start(sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)), pair.start)


def _elastix_settings(itk: Any, control_mm: float, bending: float) -> Any:
    settings = itk.ParameterObject.New().GetDefaultParameterMap("bspline", 2, control_mm)
    settings["Registration"] = ["MultiMetricMultiResolutionRegistration"]
    settings["Metric"] = ["AdvancedMattesMutualInformation", "TransformBendingEnergyPenalty"]
    settings["Metric0Weight"], settings["Metric1Weight"] = ["1"], [str(bending)]
    settings["MaximumNumberOfIterations"] = ["250"]
    settings["NumberOfSpatialSamples"] = ["4000"]
    settings["MaximumNumberOfSamplingAttempts"] = ["20"]
    settings["GridSpacingSchedule"] = ["2", "1"]
    settings["RandomSeed"] = ["1"]
    settings["WriteResultImage"] = ["false"]
    return settings


def ants_syn(pair: DeformedPair) -> PointMap:
    """Register by the SyN of ANTs with mutual information."""
    ants = importlib.import_module("ants")
    images = prepared(pair)
    with tempfile.TemporaryDirectory() as folder:
        found = ants.registration(
            _of_ants(ants, images.fixed),
            _of_ants(ants, _moved_back(images.moving, pair.start)),
            "SyNOnly",
            mask=_of_ants(ants, images.mask),
            initial_transform="Identity",
            syn_metric="mattes",
            random_seed=1,
            outprefix=str(Path(folder) / "syn"),
        )
        (path,) = (name for name in found["fwdtransforms"] if name.endswith("Warp.nii.gz"))
        field = sitk.ReadImage(path, sitk.sitkVectorFloat64)
    return _then_start(sitk.DisplacementFieldTransform(field), pair.start)


def _then_start(transform: Any, start: Matrix) -> PointMap:
    """Return the map of RAS points that is first a transform of LPS points, then the rigid start."""

    def place(points_mm: Points) -> Points:
        return apply_affine(
            start, np.array([transform.TransformPoint(p) for p in (points_mm * _FLIP).tolist()]) * _FLIP
        )

    return place


def _moved_back(moving: Image, start: Matrix) -> Image:
    """Return the moving image as if the start had been found by its header."""
    inverse = to_transform(np.asarray(np.linalg.inv(start)))
    turn = np.reshape(inverse.GetMatrix(), (3, 3))
    image = sitk.Image(moving)
    image.SetOrigin(inverse.TransformPoint(moving.GetOrigin()))
    image.SetDirection((turn @ np.reshape(moving.GetDirection(), (3, 3))).ravel().tolist())
    return image


def _itk(itk: Any, image: Image) -> Any:
    made = itk.image_from_array(sitk.GetArrayFromImage(image))
    made.SetSpacing(image.GetSpacing())
    made.SetOrigin(image.GetOrigin())
    made.SetDirection(itk.matrix_from_array(np.reshape(image.GetDirection(), (3, 3))))
    return made


def _of_ants(ants: Any, image: Image) -> Any:
    values = np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    direction = np.reshape(image.GetDirection(), (3, 3))
    return ants.from_numpy(
        values, origin=list(image.GetOrigin()), spacing=list(image.GetSpacing()), direction=direction
    )
