"""Whether to believe a transform: pass, warn or fail, with an estimate of its error in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medfuse.geometry import Matrix
from medfuse.registration.evidence import Evidence, gather
from medfuse.registration.findings import FAIL, above, below, find
from medfuse.registration.limits import Limits, load_limits
from medfuse.registration.presets import load_preset
from medfuse.registration.scans import Scans, prepare
from medfuse.registration.scrutiny import load_scrutiny


@dataclass(frozen=True)
class Verdict:
    """What is thought of a transform.

    Attributes:
        grade: ``"pass"``, ``"warn"`` or ``"fail"``.
        estimated_error_mm: expected mean error over the fixed head.
        reasons: one sentence each: what was seen and what it suggests, the gravest first.
        evidence: the figures that it rests on.
    """

    grade: str
    estimated_error_mm: float
    reasons: tuple[str, ...]
    evidence: Evidence


def judge(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    fixed_to_moving_ras: Matrix,
    *,
    preset: str = "head",
    scans: Scans | None = None,
    rigid: bool = True,
) -> Verdict:
    """Judge a transform between two volumes, however it was found.

    Nothing is taken on trust: the best pose is sought anew from the transform, from poses around it and from
    poses that do not depend on it, in two ways; what a change of size, of shape or a smooth bending would still
    gain is measured; and the moving scan is tried left for right. The same input gives the same verdict,
    bit for bit, whatever the number of threads.

    Args:
        fixed: (X, Y, Z) values of the fixed volume.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X, Y, Z) values of the moving volume.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_to_moving_ras: (4, 4) transform of RAS points to judge.
        preset: registration preset, for the levels on which the scans are looked at.
        scans: the two volumes as ``prepare`` made them ready, if that is done.
        rigid: the transform is meant to be a rigid motion.

    Returns:
        The verdict.

    Raises:
        OptionError: if there is no such preset.
    """
    scrutiny, limits = load_scrutiny(), load_limits()
    matrix = np.asarray(fixed_to_moving_ras, dtype=np.float64)
    if scans is None:
        scans = prepare(fixed, fixed_affine_ras, moving, moving_affine_ras, load_preset(preset))
    evidence = gather(scans, matrix, scrutiny)
    error_mm = estimate_error(evidence, limits)
    findings = find(evidence, error_mm, limits, rigid)
    return Verdict(findings[0].grade, error_mm, tuple(finding.sentence for finding in findings), evidence)


def estimate_error(evidence: Evidence, limits: Limits) -> float:
    """Estimate the mean error over the fixed head in mm.

    The larger of the two estimates of what remains, and what a smooth bending would change, add up as sides
    of a right angle. Where the scans do not lock into place, or fit left for right, the error is as large as
    the head.

    Args:
        evidence: the figures.
        limits: where nothing can be believed.

    Returns:
        The error.
    """
    remaining = max(evidence.remaining_mm, evidence.climbed_mm)
    error = float(np.hypot(remaining, evidence.bend_mm))
    lost = (
        above(evidence.flatness, limits.flatness),
        below(evidence.information_best, limits.information),
        below(evidence.overlap, limits.overlap),
        above(evidence.mirror_share, limits.mirror_share),
    )
    return max(error, evidence.head_radius_mm) if FAIL in lost else error
