"""Average the weights of two files of one network: what lies between the ends of two legs of a training.

    python tests/benchmarks/average_weights.py FIRST SECOND OUTPUT

Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018. The record of the second
file is kept, and that of the first beside it as ``averaged_with``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from medfuse.networks import build, read_provenance
from medfuse.networks.weights import network_of, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("first", "second", "output"):
        parser.add_argument(name, type=Path)
    chosen = parser.parse_args()
    network, other = (build(network_of(path), path) for path in (chosen.second, chosen.first))
    with torch.no_grad():
        for weight, also in zip(network.parameters(), other.parameters(), strict=True):
            weight.lerp_(also, 0.5)
    record = {**read_provenance(chosen.second), "averaged_with": read_provenance(chosen.first)}
    save_weights(network, chosen.output, record)


if __name__ == "__main__":
    main()
