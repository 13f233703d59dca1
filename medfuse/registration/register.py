"""Step 2 of 8, register: find where the moving volume lies, as freely as asked, and judge what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from medfuse.geometry import Matrix, same_view
from medfuse.options import NOT_JUDGED, RegistrationOptions
from medfuse.progress import Progress
from medfuse.registration.affine import AffineRegistration, register_affine
from medfuse.registration.deformable import Deformation, register_deformable
from medfuse.registration.findings import ERROR_TOLD, FAIL
from medfuse.registration.resample import resample_to
from medfuse.registration.rigid import RigidRegistration, register_rigid
from medfuse.registration.verdict import Verdict, judge
from medfuse.registration.warp import Displacement

_JUDGED_AT_MM = 2.0  # a lattice as fine as a verdict looks; on thick slices the scan would seem to change its shape


@dataclass(frozen=True, eq=False)
class Registration:
    """Where the moving volume lies, how that was found, and whether to believe it.

    Attributes:
        method: one of ``medfuse.options.REGISTRATIONS``.
        rigid: the rigid search, or the headers and files as they are.
        affine: what was found from there with twelve degrees of freedom, if asked.
        deformation: what was found from there by a smooth deformation, if asked.
        verdict: None with method ``"none"``.
    """

    method: str
    rigid: RigidRegistration
    affine: AffineRegistration | None = None
    deformation: Deformation | None = None
    verdict: Verdict | None = None

    @property
    def fixed_to_moving_ras(self) -> Matrix:
        """(4, 4) transform of RAS points in mm, fixed to moving; with a deformation its linear part."""
        return self.rigid.fixed_to_moving_ras if self.affine is None else self.affine.fixed_to_moving_ras

    @property
    def displacement(self) -> Displacement | None:
        """What a deformation adds to the linear transform."""
        return None if self.deformation is None else self.deformation.displacement

    @property
    def failed(self) -> bool:
        """Whether the verdict says that this must not be used."""
        return self.verdict is not None and self.verdict.grade == FAIL

    @property
    def in_words(self) -> str:
        """The verdict in a few words that fit any header."""
        if self.verdict is None:
            return "registration not judged"
        return f"registration {self.verdict.grade.upper()}, estimated error {self.verdict.estimated_error_mm:.1f} mm"

    @property
    def refusal(self) -> str:
        """Why a failed registration is not used: one line."""
        if self.verdict is None:
            return self.in_words
        reason = self.verdict.reasons[0].rstrip(".")
        words = self.in_words if not reason.startswith(ERROR_TOLD) else f"registration {self.verdict.grade.upper()}"
        return f"{words}: {reason[0].lower()}{reason[1:]}"

    def summary(self) -> dict[str, Any]:
        """Return all figures as JSON holds them, without the displacements themselves."""
        shown: dict[str, Any] = {"method": self.method, **asdict(self.rigid)}
        shown["fixed_to_moving_ras"] = self.fixed_to_moving_ras
        if self.affine is not None:
            shown["affine"] = {k: v for k, v in asdict(self.affine).items() if k != "fixed_to_moving_ras"}
        if self.deformation is not None:
            kept = ("jacobian_range", "similarity_start", "similarity_end", "stiffness_factor", "largest_mm")
            shown["deformation"] = {name: getattr(self.deformation, name) for name in kept}
        shown["verdict"] = None if self.verdict is None else asdict(self.verdict)
        return shown


def register(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    options: RegistrationOptions,
    progress: Progress | None = None,
    start_ras: Matrix | None = None,
    same_frame: bool = False,
) -> Registration:
    """Register as the options ask: rigidly, from there affinely or letting the anatomy deform; and judge the result.

    Args:
        fixed: (X, Y, Z) values of the fixed volume.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X', Y', Z') values of the moving volume.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        options: how to register.
        progress: who is told how far the search is; None for nobody.
        start_ras: (4, 4) transform to set out from; None for a search over all poses.
        same_frame: the two volumes share one frame of reference.

    Returns:
        What was found, with its verdict; a failed one too.

    Raises:
        OverlapError: if nothing is to be moved and the two volumes hardly meet.
        RegistrationError: if no pose brings the two together, or no plausible affine transform or deformation does.
        OptionError: if there is no such preset.
    """
    pair = (fixed, fixed_affine_ras, moving, moving_affine_ras)
    rigid = register_rigid(*pair, options, progress, start_ras, same_frame)
    affine = deformation = None
    matrix = rigid.fixed_to_moving_ras
    if options.method == "affine":
        affine = register_affine(*pair, matrix, progress=progress)
        matrix = affine.fixed_to_moving_ras
    elif options.method == "deformable":
        deformation = register_deformable(*pair, matrix, progress=progress)
    verdict = None if options.method == NOT_JUDGED else _judge(*pair, matrix, deformation, options)
    return Registration(options.method, rigid, affine, deformation, verdict)


def _judge(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    matrix: Matrix,
    deformation: Deformation | None,
    options: RegistrationOptions,
) -> Verdict:
    """Judge a linear transform, or what is left to gain once the deformation is taken out of the moving volume."""
    if deformation is not None:
        lattice, shape = same_view(fixed_affine_ras, (fixed.shape[0], fixed.shape[1], fixed.shape[2]), _JUDGED_AT_MM)
        moving, _ = resample_to(moving, moving_affine_ras, shape, lattice, matrix, deformation.displacement)
        moving_affine_ras, matrix = lattice, np.eye(4)
    rigid = options.method not in ("affine", "deformable")
    return judge(fixed, fixed_affine_ras, moving, moving_affine_ras, matrix, preset=options.preset, rigid=rigid)
