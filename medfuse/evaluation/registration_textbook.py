"""Evaluation: the rigid registration that tutorials of SimpleITK teach."""

from __future__ import annotations

import SimpleITK as sitk  # noqa: N813

from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_subjects import Study
from medfuse.registration.images import rigid_matrix, to_image

_BINS = 50
_SAMPLED = 0.01
_SHRINK = [4, 2, 1]
_SMOOTHING_MM = [2, 1, 0]


def register_textbook(study: Study, seed: int, threads: int) -> Found:
    """Climb Mattes' mutual information from aligned grid centers by gradient descent.

    Yaniv, Lowekamp, Johnson and Beare, "SimpleITK image-analysis notebooks", Journal of Digital Imaging 2018.

    Args:
        study: the two volumes.
        seed: of the random 1 % of the voxels that are compared.
        threads: work units of ITK.

    Raises:
        RuntimeError: as ITK raises it, if the volumes do not meet on the way.
    """
    fixed = to_image(study.fixed, study.fixed_affine_ras)
    moving = to_image(study.moving, study.moving_affine_ras)
    centered = sitk.CenteredTransformInitializerFilter.GEOMETRY
    transform = sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), centered)
    )
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(threads)
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(
        learningRate=1.0, numberOfIterations=100, convergenceMinimumValue=1e-6, convergenceWindowSize=10
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINK)
    method.SetSmoothingSigmasPerLevel(_SMOOTHING_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return Found(rigid_matrix(transform))
