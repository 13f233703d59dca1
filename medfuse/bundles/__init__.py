"""MONAI bundles: fusion networks with all that MONAI's tools need to run, train, evaluate and export them.

What a bundle's JSON names as ``medfuse.bundles.*`` is here beside the listing and writing of bundles. Names are loaded
when first used, so that the command line can list bundles without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medfuse.extras import public_name

if TYPE_CHECKING:
    from medfuse.bundles.catalog import BundleEntry, list_bundles
    from medfuse.bundles.check_modalities import CheckModalitiesd
    from medfuse.bundles.clipped_adam import ClippedAdam, stage_rates
    from medfuse.bundles.growing_patches import GrowingPatchSampler
    from medfuse.bundles.keep_fixed import KeepFixedOutsided
    from medfuse.bundles.key_measure import worst_fidelity
    from medfuse.bundles.leave_out_dicom import LeaveOutDicomd
    from medfuse.bundles.objective import TwoStageObjective, sum_of_terms
    from medfuse.bundles.patch_sampler import PatchSampler
    from medfuse.bundles.planewise import PlanewiseInferer
    from medfuse.bundles.restoring import CheckRestorabled, RestorationObjective, RestoringInferer
    from medfuse.bundles.run import run_bundle
    from medfuse.bundles.workflow import FusionWorkflow
    from medfuse.bundles.write import write_bundle

_HOME = {
    "BundleEntry": "medfuse.bundles.catalog",
    "CheckModalitiesd": "medfuse.bundles.check_modalities",
    "CheckRestorabled": "medfuse.bundles.restoring",
    "ClippedAdam": "medfuse.bundles.clipped_adam",
    "FusionWorkflow": "medfuse.bundles.workflow",
    "GrowingPatchSampler": "medfuse.bundles.growing_patches",
    "KeepFixedOutsided": "medfuse.bundles.keep_fixed",
    "LeaveOutDicomd": "medfuse.bundles.leave_out_dicom",
    "PatchSampler": "medfuse.bundles.patch_sampler",
    "PlanewiseInferer": "medfuse.bundles.planewise",
    "RestorationObjective": "medfuse.bundles.restoring",
    "RestoringInferer": "medfuse.bundles.restoring",
    "TwoStageObjective": "medfuse.bundles.objective",
    "list_bundles": "medfuse.bundles.catalog",
    "run_bundle": "medfuse.bundles.run",
    "stage_rates": "medfuse.bundles.clipped_adam",
    "sum_of_terms": "medfuse.bundles.objective",
    "worst_fidelity": "medfuse.bundles.key_measure",
    "write_bundle": "medfuse.bundles.write",
}
__all__ = [
    "BundleEntry",
    "CheckModalitiesd",
    "CheckRestorabled",
    "ClippedAdam",
    "FusionWorkflow",
    "GrowingPatchSampler",
    "KeepFixedOutsided",
    "LeaveOutDicomd",
    "PatchSampler",
    "PlanewiseInferer",
    "RestorationObjective",
    "RestoringInferer",
    "TwoStageObjective",
    "list_bundles",
    "run_bundle",
    "stage_rates",
    "sum_of_terms",
    "worst_fidelity",
    "write_bundle",
]
_MISSING = {"ignite": "bundles need pytorch-ignite, which is not installed; run: pip install 'medfuse[bundles]'"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    return public_name(__name__, _HOME, name, _MISSING)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
