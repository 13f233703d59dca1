"""Evaluation: elastix with its own settings for rigid registration."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from torch import Tensor

from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_subjects import Study
from medfuse.extras import required
from medfuse.geometry import Matrix
from medfuse.registration.images import grid_lps, rigid_matrix

ITK = ("itk", "itk-elastix", "baselines")


def register_elastix(study: Study, seed: int, threads: int) -> Found:
    """Register by elastix' default parameter map "rigid", started from aligned grid centers.

    Klein, Staring, Murphy, Viergever and Pluim, "elastix: a toolbox for intensity-based medical image registration",
    IEEE TMI 2010.

    Args:
        study: the two volumes.
        seed: elastix' ``RandomSeed``.
        threads: elastix' number of threads.

    Raises:
        MissingExtraError: if itk-elastix is not installed.
        RuntimeError: as ITK raises it, if the volumes do not meet on the way.
    """
    itk = required(*ITK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SWIG's own warning, made an error, would end the process
        fixed = _image(itk, study.fixed, study.fixed_affine_ras)
        moving = _image(itk, study.moving, study.moving_affine_ras)
        method = itk.ElastixRegistrationMethod.New(fixed, moving)
        method.SetParameterObject(_parameters(itk, seed))
        method.SetNumberOfThreads(threads)
        method.LogToConsoleOff()
        method.UpdateLargestPossibleRegion()
        return Found(_matrix(method.GetTransformParameterObject().GetParameterMap(0)))


def _parameters(itk: Any, seed: int) -> Any:
    parameters = itk.ParameterObject.New()
    settings = parameters.GetDefaultParameterMap("rigid")
    settings["AutomaticTransformInitialization"] = ["true"]
    settings["RandomSeed"] = [str(seed)]
    settings["WriteResultImage"] = ["false"]
    parameters.AddParameterMap(settings)
    return parameters


def _image(itk: Any, volume: Tensor, affine_ras: Matrix) -> Any:
    image = itk.image_from_array(np.ascontiguousarray(volume.numpy().transpose(2, 1, 0)))
    spacing, origin, direction = grid_lps(affine_ras)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(itk.matrix_from_array(np.reshape(direction, (3, 3))))
    return image


def _matrix(result: Any) -> Matrix:
    """Return the RAS transform that a parameter map of elastix' Euler transform stands for."""
    rotation_and_shift = [float(value) for value in result["TransformParameters"]]
    transform = sitk.Euler3DTransform()
    transform.SetComputeZYX("true" in result["ComputeZYX"])
    transform.SetCenter([float(value) for value in result["CenterOfRotationPoint"]])
    transform.SetParameters(rotation_and_shift)
    return rigid_matrix(transform)
