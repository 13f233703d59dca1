"""Step 5 of 8, network: tensors in, tensors out."""

from medfuse.networks.cddfuse import CDDFuse, CDDFuseConfig, Features
from medfuse.networks.restormer import Restormer, RestormerConfig
from medfuse.networks.weights import build, default_weights, read_provenance, read_weights, save_weights

__all__ = [
    "CDDFuse",
    "CDDFuseConfig",
    "Features",
    "Restormer",
    "RestormerConfig",
    "build",
    "default_weights",
    "read_provenance",
    "read_weights",
    "save_weights",
]
