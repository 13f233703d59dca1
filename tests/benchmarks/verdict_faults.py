"""Planted faults that no rigid motion mends: another patient, a flip, a tilt, a bend, noise, a couch."""

from __future__ import annotations

import numpy as np
import torch
from verdict_motions import SmoothBend, mean_error
from verdict_patients import Scan, patient, phantom
from verdict_recipes import SEEDS, Case, Recipe
from verdict_search import climbed

from medfuse.geometry import apply_affine


def wrong_patient(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    seeds = next(seeds for seeds in SEEDS.values() if recipe.seed in seeds)
    step = 1 + int(recipe.random.integers(len(seeds) - 1))
    other = patient(seeds[(seeds.index(recipe.seed) + step) % len(seeds)], recipe.fixed, recipe.moving)
    between = phantom(recipe.seed, 1.0)[f"{recipe.fixed} pose"]
    to_other = phantom(seeds[(seeds.index(recipe.seed) + step) % len(seeds)], 1.0)[f"{recipe.moving} pose"]
    found = climbed(whose.fixed, other.moving, to_other @ np.linalg.inv(between))
    return Case(recipe, whose.fixed, other.moving, found, float("nan"))


def flipped(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    axis = int(np.argmax(np.abs(whose.moving.affine_ras[0, :3])))
    mirrored = Scan(torch.flip(whose.moving.volume, (axis,)).contiguous(), whose.moving.affine_ras)
    found = climbed(whose.fixed, mirrored, whose.truth)
    index = apply_affine(np.linalg.inv(mirrored.affine_ras) @ whose.truth, whose.points)
    index[:, axis] = mirrored.volume.shape[axis] - 1 - index[:, axis]
    there = apply_affine(mirrored.affine_ras, index)
    error = float(np.linalg.norm(apply_affine(found, whose.points) - there, axis=1).mean())
    return Case(recipe, whose.fixed, mirrored, found, error)


def tilted(recipe: Recipe) -> Case:
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


def deformed(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    bend = SmoothBend(recipe.random, apply_affine(whose.truth, whose.points), recipe.random.uniform(6.0, 12.0))
    moving = bend.applied(whose.moving)
    found = climbed(whose.fixed, moving, whose.truth)
    there = bend.inverse(apply_affine(whose.truth, whose.points))
    error = float(np.linalg.norm(apply_affine(found, whose.points) - there, axis=1).mean())
    return Case(recipe, whose.fixed, moving, found, error)


def noise(recipe: Recipe) -> Case:
    whose = patient(recipe.seed, recipe.fixed, recipe.moving)
    values = recipe.random.standard_normal(whose.moving.volume.shape)
    moving = Scan(torch.from_numpy((100 * np.abs(values)).astype(np.float32)), whose.moving.affine_ras)
    found = climbed(whose.fixed, moving, whose.truth)
    return Case(recipe, whose.fixed, moving, found, float("nan"))


def couch(recipe: Recipe) -> Case:
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
