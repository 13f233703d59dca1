"""How much wider the spread of sources drawn from a fused image must be, fitted to training pairs.

    OMP_NUM_THREADS=1 python tests/benchmarks/fit_widening.py slices [--pairs 8] [--aside 4] [--write FILE]

Each collection gives pairs of two thirds of its training cases to fit to, and of the other third to judge by; pairs for
validation are not read. Prints calibration errors of the pairs kept aside: as drawn, with the best temperature of
the latent, with one factor for each source, and with one for each source and modality; then the factors. With
--write, weights that hold them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from bench_unfusing import FOREGROUND, MODALITIES, calibration, widened
from torch import Tensor

from medfuse.networks import Unfusing, build, read_provenance, save_weights, weights_path
from medfuse.networks.unfusing import WIDENED_FOR
from medfuse.training.paired_data import read_training_pairs
from medfuse.training.slice_pairs import SlicePair

DRAWS = 16
PIXELS = 2000  # of a pair, drawn where there is a head
TEMPERATURES = (1.0, 1.2)
FACTORS = tuple(0.1 * number for number in range(5, 61))
SOURCES = ("MR", "other")


@dataclass(frozen=True)
class Drawn:
    """What was drawn for one pair: the modality, the truth (2, pixels), and draws (draws, 2, pixels) by temperature."""

    modality: str
    truth: Tensor
    draws: dict[float, Tensor]


@torch.no_grad()
def drawn(pair: SlicePair, network: Unfusing, generator: torch.Generator) -> Drawn:
    """Draw sources from the fused image of a pair."""
    image = pair.image[None]
    fused = network(image)
    latents = torch.randn(DRAWS, 4, image.shape[2] // 2, image.shape[3] // 2, generator=generator)
    rows, columns = (pair.image.amax(dim=0) > FOREGROUND).nonzero().T
    some = torch.randperm(len(rows), generator=generator)[:PIXELS]
    rows, columns = rows[some], columns[some]
    draws = {
        temperature: torch.cat(
            [network.inverse(fused, temperature * one[None]).clamp(0.0, 1.0)[..., rows, columns] for one in latents]
        )
        for temperature in TEMPERATURES
    }
    return Drawn(MODALITIES[pair.collection], pair.image[:, rows, columns], draws)


def kept_aside(pairs: list[SlicePair]) -> set[tuple[str, str]]:
    """Return collection and case of what is not fitted to: every third case of each collection."""
    cases: dict[str, set[str]] = {}
    for pair in pairs:
        cases.setdefault(pair.collection, set()).add(pair.case)
    return {(collection, case) for collection, own in cases.items() for case in sorted(own)[::3]}


def chosen(pairs: list[SlicePair], fit: int, aside: int) -> tuple[list[SlicePair], list[SlicePair]]:
    """Return pairs to fit to and pairs to judge by, evenly spaced, of different cases."""
    parts: tuple[list[SlicePair], list[SlicePair]] = ([], [])
    kept = kept_aside(pairs)
    for collection in MODALITIES:
        own = [pair for pair in pairs if pair.collection == collection]
        for part, number, is_kept in ((parts[0], fit, False), (parts[1], aside, True)):
            of_part = [pair for pair in own if ((pair.collection, pair.case) in kept) == is_kept]
            part += [of_part[place * len(of_part) // number] for place in range(number)]
    return parts


def error(found: list[Drawn], source: int, change: Callable[[Tensor], Tensor], temperature: float = 1.0) -> float:
    """Return the mean of the pairs' calibration errors when their draws are changed."""
    errors = [calibration(change(one.draws[temperature][:, source]), one.truth[source]) for one in found]
    return sum(errors) / len(errors)


def best_factor(found: list[Drawn], source: int) -> float:
    """Return the factor of the least calibration error of a source."""
    return min(FACTORS, key=lambda factor: error(found, source, lambda draws: widened(draws, factor)))


def main() -> None:
    """Draw, fit, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--aside", type=int, default=4)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    network = cast(Unfusing, build("unfusing", given.weights))
    generator = torch.Generator().manual_seed(0)
    parts = chosen(read_training_pairs(given.data, 64).train, given.pairs, given.aside)
    fit, aside = ([drawn(pair, network, generator) for pair in part] for part in parts)
    factors: dict[tuple[str, int], float] = {}
    print("| with | source | as drawn | temperature | one factor | factor of the modality |\n|--|--|--|--|--|--|")
    for source, name in enumerate(SOURCES):
        factors["", source] = best_factor(fit, source)
        temperature = min(TEMPERATURES, key=lambda one, source=source: error(fit, source, torch.clone, one))
        for modality in MODALITIES.values():
            own, judged = ([one for one in part if one.modality == modality] for part in (fit, aside))
            factors[modality, source] = best_factor(own, source)
            wide = [
                error(judged, source, lambda draws, factor=factors[key, source]: widened(draws, factor))
                for key in ("", modality)
            ]
            plain = error(judged, source, torch.clone), error(judged, source, torch.clone, temperature)
            row = [f"{value:.3f}" for value in (*plain, *wide)]
            row[1] += f" ({temperature})"
            print(f"| {modality} | {name} | {' | '.join(row)} |", flush=True)
    widening = tuple(round(factors[modality, source], 1) for modality in WIDENED_FOR for source in (0, 1))
    print(f"factors, MR and the other with {WIDENED_FOR}: {widening}")
    if given.write is not None:
        wide_network = Unfusing(replace(network.config, widening=widening))
        wide_network.load_state_dict(network.state_dict())
        command = shlex.join([Path(sys.argv[0]).name, "--pairs", str(given.pairs), "--aside", str(given.aside)])
        cases = [sorted({f"{pair.collection} {pair.case}" for pair in part}) for part in parts]
        fitted = {"command": command, "cases": cases[0], "cases_kept_aside": cases[1]}
        provenance = read_provenance(weights_path("unfusing", given.weights))
        save_weights(wide_network, given.write, {**provenance, "widening": fitted})


if __name__ == "__main__":
    main()
