"""Planted cases for the verdict on a registration: pairs of phantom scans, a transform, and how wrong it is."""

from __future__ import annotations

import dataclasses

import numpy as np
from verdict_faults import couch, deformed, flipped, noise, tilted, wrong_patient
from verdict_motions import mean_error, motion, slab, turn, wrong_by
from verdict_patients import Patient, Scan, patient
from verdict_recipes import EMISSION, Case, Recipe
from verdict_search import climbed, searched

from medfuse.geometry import Matrix


def make_case(recipe: Recipe) -> Case:
    """Make the volumes and the transform of a case."""
    return _MAKERS[recipe.kind](recipe)


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
    "wrong patient": wrong_patient,
    "left-right flip": flipped,
    "tilt": tilted,
    "deformed": deformed,
    "noise": noise,
    "couch only": couch,
}
