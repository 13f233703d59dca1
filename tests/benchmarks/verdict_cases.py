"""Planted cases for the verdict on a registration: pairs of phantom scans, a transform, and how wrong it is."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from verdict_motions import SmoothBend, mean_error, motion, slab, turn, wrong_by
from verdict_patients import CACHE, Patient, Scan, patient, phantom

from medfuse.geometry import Matrix, apply_affine
from medfuse.options import RegistrationOptions
from medfuse.registration.presets import load_preset
from medfuse.registration.refine import refine
from medfuse.registration.rigid import register_rigid
from medfuse.registration.scans import prepare

FAILED_MM = 5.0
SEEDS = {"calibration": tuple(range(1, 9)), "report": tuple(range(101, 109))}
PAIRS = (("MR_T1", "CT"), ("MR_T1", "PT"), ("MR_T1", "NM"), ("MR_T1", "MR_T2"), ("CT", "PT"), ("CT", "MR_T1"))
EMISSION = ("PT", "NM")
GOOD_KINDS = ("right", "noisy", "mildly cropped", "registered")
DOUBTFUL_KINDS = ("2 to 5 mm",)
WRONG_BY_NATURE = ("wrong patient", "left-right flip", "couch only", "noise", "tilt", "deformed")


@dataclass(frozen=True)
class Recipe:
    """What is planted, before any volume is made.

    Attributes:
        kind: what is wrong, or why it is right.
        seed: of the patient.
        fixed: name of the fixed volume.
        moving: name of the moving volume.
        variant: number of the case among those alike; its random numbers depend on it.
    """

    kind: str
    seed: int
    fixed: str
    moving: str
    variant: int = 0

    @property
    def random(self) -> np.random.Generator:
        """The random numbers of this case alone."""
        return np.random.default_rng(int(self.key, 16))

    @property
    def key(self) -> str:
        """A name for files."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Case:
    """One planted case.

    Attributes:
        recipe: how it was made.
        fixed: the fixed scan.
        moving: the moving scan.
        fixed_to_moving_ras: the transform to judge.
        true_error_mm: mean distance over the head between where it takes points and where they belong; NaN
            where nothing of the patient is in the moving scan.
    """

    recipe: Recipe
    fixed: Scan
    moving: Scan
    fixed_to_moving_ras: Matrix
    true_error_mm: float

    @property
    def is_failure(self) -> bool:
        """Whether to pass it would be a silent failure."""
        nature = self.recipe.kind in ("wrong patient", "left-right flip", "couch only", "noise", "tilt")
        return nature or not self.true_error_mm <= FAILED_MM

    @property
    def is_good(self) -> bool:
        """Whether anything but a pass would be a false alarm."""
        most = 3.0 if self.recipe.moving in EMISSION else 2.0
        return self.recipe.kind in GOOD_KINDS and self.true_error_mm <= most


def recipes(which: str) -> list[Recipe]:
    """List the cases of the ``"calibration"`` or the ``"report"`` set."""
    seeds = SEEDS[which]
    every = [(seed, *pair) for seed in seeds for pair in PAIRS]
    main = [(seed, *pair) for seed in seeds for pair in PAIRS[:4]]
    half = main[::2] if which == "calibration" else main[1::2]
    listed = [Recipe("right", *spec) for spec in every]
    listed += [Recipe(kind, *spec) for kind in ("noisy", "mildly cropped", "registered") for spec in main]
    listed += [Recipe("2 to 5 mm", *spec) for spec in half]
    listed += [
        Recipe(kind, *spec)
        for kind in ("wrong patient", "left-right flip", "6 mm off", "false optimum")
        for spec in every
    ]
    listed += [Recipe(kind, *spec) for kind in ("tilt", "deformed", "turned by 180 degrees") for spec in main]
    listed += [Recipe(kind, *spec) for kind in ("partial overlap", "cropped", "noise") for spec in half]
    listed += [Recipe("couch only", seed, "MR_T1", "CT") for seed in seeds]
    return listed


def make_case(recipe: Recipe) -> Case:
    """Make the volumes and the transform of a case."""
    return _MAKERS[recipe.kind](recipe)


def climbed(fixed: Scan, moving: Scan, start: Matrix) -> Matrix:
    """Refine from near the truth: where a search that was not trapped ends."""
    preset = load_preset("head")
    scans = prepare(fixed.volume, fixed.affine_ras, moving.volume, moving.affine_ras, preset)
    for number in (-2, -1):
        start = refine(scans.pairs[number], start, preset.levels[number], preset.bins, 1)
    return start


def searched(recipe: Recipe, fixed: Scan, moving: Scan) -> Matrix:
    """Register with the product's own search; remembered on disk."""
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    path = CACHE / f"search_{recipe.kind.replace(' ', '_')}_{key}.npy"
    if path.exists():
        return np.asarray(np.load(path), dtype=np.float64)
    found = register_rigid(
        fixed.volume, fixed.affine_ras, moving.volume, moving.affine_ras, RegistrationOptions()
    ).fixed_to_moving_ras
    np.save(path, found)
    return found


def _placed(recipe: Recipe, whose: Patient, change: Matrix) -> Case:
    matrix = whose.truth @ change
    return Case(recipe, whose.fixed, whose.moving, matrix, mean_error(matrix, whose.truth, whose.points))


def _right(recipe: Recipe, noise: float = 1.0) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving, noise)
    most = 2.8 if recipe.moving in EMISSION else 1.9
    return _placed(recipe, whose, wrong_by(recipe.random, whose.points, recipe.random.uniform(0.0, most)))


def _noisy(recipe: Recipe) -> Case:
    return _right(recipe, noise=2.0)


def _mildly_cropped(recipe: Recipe) -> Case:
    case = _right(recipe)
    side = int(recipe.random.integers(2))
    return dataclasses.replace(case, moving=slab(case.moving, 0.8, side))


def _registered(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    away = wrong_by(recipe.random, whose.points, 30.0)
    moved = dataclasses.replace(
        whose, moving=Scan(whose.moving.volume, away @ whose.moving.affine_ras), truth=away @ whose.truth
    )
    found = searched(recipe, moved.fixed, moved.moving)
    return Case(recipe, moved.fixed, moved.moving, found, mean_error(found, moved.truth, moved.points))


def _doubtful(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    return _placed(recipe, whose, wrong_by(recipe.random, whose.points, recipe.random.uniform(2.5, 4.5)))


def _six_off(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    return _placed(recipe, whose, wrong_by(recipe.random, whose.points, recipe.random.uniform(5.2, 8.0)))


def _false_optimum(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    random = recipe.random
    axis, direction = random.standard_normal((2, 3))
    degrees, shift = random.uniform(6, 40), random.uniform(6, 30)
    change = motion(turn(axis, degrees), shift * direction / np.linalg.norm(direction), whose.points.mean(axis=0))
    return _placed(recipe, whose, change)


def _turned(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    axis = np.eye(3)[int(recipe.random.integers(3))]
    change = motion(turn(axis, 180.0), np.zeros(3), whose.points.mean(axis=0))
    start = climbed(whose.fixed, whose.moving, whose.truth @ change)
    return Case(recipe, whose.fixed, whose.moving, start, mean_error(start, whose.truth, whose.points))


def _partial(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    direction = np.eye(3)[int(recipe.random.integers(3))] * recipe.random.choice([-1.0, 1.0])
    change = motion(np.eye(3), direction * recipe.random.uniform(50, 110), np.zeros(3))
    start = (
        climbed(whose.fixed, whose.moving, whose.truth @ change)
        if recipe.random.uniform() < 0.5
        else whose.truth @ change
    )
    return Case(recipe, whose.fixed, whose.moving, start, mean_error(start, whose.truth, whose.points))


def _cropped(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    piece = slab(whose.moving, recipe.random.uniform(0.2, 0.4), int(recipe.random.integers(2)))
    away = wrong_by(recipe.random, whose.points, recipe.random.uniform(12.0, 25.0))
    start = climbed(whose.fixed, piece, whose.truth @ away)
    return Case(recipe, whose.fixed, piece, start, mean_error(start, whose.truth, whose.points))


def _wrong_patient(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    seeds = next(seeds for seeds in SEEDS.values() if recipe.seed in seeds)
    step = 1 + int(recipe.random.integers(len(seeds) - 1))
    other = patient(seeds[(seeds.index(recipe.seed) + step) % len(seeds)], recipe.fixed, recipe.moving)
    between = phantom(recipe.seed, 1.0)[f"{recipe.fixed} pose"]
    to_other = phantom(seeds[(seeds.index(recipe.seed) + step) % len(seeds)], 1.0)[f"{recipe.moving} pose"]
    found = climbed(whose.fixed, other.moving, to_other @ np.linalg.inv(between))
    return Case(recipe, whose.fixed, other.moving, found, float("nan"))


def _flipped(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    axis = int(np.argmax(np.abs(whose.moving.affine_ras[0, :3])))
    mirrored = Scan(torch.flip(whose.moving.volume, (axis,)).contiguous(), whose.moving.affine_ras)
    found = climbed(whose.fixed, mirrored, whose.truth)
    index = apply_affine(np.linalg.inv(mirrored.affine_ras) @ whose.truth, whose.points)
    index[:, axis] = mirrored.volume.shape[axis] - 1 - index[:, axis]
    there = apply_affine(mirrored.affine_ras, index)
    error = float(np.linalg.norm(apply_affine(found, whose.points) - there, axis=1).mean())
    return Case(recipe, whose.fixed, mirrored, found, error)


def _tilted(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    random = recipe.random
    angle = np.radians(random.uniform(10, 25)) * random.choice([-1.0, 1.0])
    shear = np.eye(4)
    shear[1, 2] = np.tan(angle)  # each slice slides along the second axis
    center = np.linalg.inv(whose.moving.affine_ras)
    middle = apply_affine(center, apply_affine(whose.truth, whose.points)).mean(axis=0)
    spacing = np.linalg.norm(whose.moving.affine_ras[:3, :3], axis=0)
    shear[1, 2] *= spacing[2] / spacing[1]
    shear[1, 3] = -shear[1, 2] * middle[2]
    sheared = Scan(whose.moving.volume, whose.moving.affine_ras @ shear)
    truth = sheared.affine_ras @ center @ whose.truth
    found = climbed(whose.fixed, sheared, whose.truth)
    return Case(recipe, whose.fixed, sheared, found, mean_error(found, truth, whose.points))


def _deformed(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    bend = SmoothBend(recipe.random, apply_affine(whose.truth, whose.points), recipe.random.uniform(6.0, 12.0))
    moving = bend.applied(whose.moving)
    found = climbed(whose.fixed, moving, whose.truth)
    there = bend.inverse(apply_affine(whose.truth, whose.points))
    error = float(np.linalg.norm(apply_affine(found, whose.points) - there, axis=1).mean())
    return Case(recipe, whose.fixed, moving, found, error)


def _noise(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    values = recipe.random.standard_normal(whose.moving.volume.shape)
    moving = Scan(torch.from_numpy((100 * np.abs(values)).astype(np.float32)), whose.moving.affine_ras)
    found = climbed(whose.fixed, moving, whose.truth)
    return Case(recipe, whose.fixed, moving, found, float("nan"))


def _couch(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    with_couch = whose.moving.volume.numpy()
    head = apply_affine(np.linalg.inv(whose.moving.affine_ras) @ whose.truth, whose.points)
    shown = np.zeros(with_couch.shape, dtype=bool)
    rear = np.unravel_index(np.arange(with_couch.size), with_couch.shape)
    random = recipe.random
    empty = -1000 + 12 * random.standard_normal(with_couch.shape)
    world = apply_affine(whose.moving.affine_ras, np.stack(rear, axis=1).astype(np.float64))
    back = world[:, 1].reshape(with_couch.shape) < apply_affine(whose.moving.affine_ras, head)[:, 1].min() - 4
    shown[back] = True
    values = np.where(shown, with_couch, empty)
    moving = Scan(torch.from_numpy(values.astype(np.float32)), whose.moving.affine_ras)
    found = climbed(whose.fixed, moving, whose.truth)
    return Case(recipe, whose.fixed, moving, found, float("nan"))


_MAKERS = {
    "right": _right,
    "noisy": _noisy,
    "mildly cropped": _mildly_cropped,
    "registered": _registered,
    "2 to 5 mm": _doubtful,
    "6 mm off": _six_off,
    "false optimum": _false_optimum,
    "turned by 180 degrees": _turned,
    "partial overlap": _partial,
    "cropped": _cropped,
    "wrong patient": _wrong_patient,
    "left-right flip": _flipped,
    "tilt": _tilted,
    "deformed": _deformed,
    "noise": _noise,
    "couch only": _couch,
}
