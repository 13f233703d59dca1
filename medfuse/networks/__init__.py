"""Step 5 of 8, network: tensors in, tensors out."""

from medfuse.networks.cddfuse import CDDFuse, CDDFuseConfig, Features
from medfuse.networks.cddfuse_fast import CDDFuseFast, CDDFuseFastConfig
from medfuse.networks.restormer import Restormer, RestormerConfig
from medfuse.networks.unfusing import Split, Unfusing, UnfusingConfig
from medfuse.networks.weights import (
    COUNTS_WEIGHTS,
    CT_WEIGHTS,
    DEFAULT_WEIGHTS,
    PHANTOM_WEIGHTS,
    SHIPPED_WEIGHTS,
    build,
    default_weights,
    network_of,
    read_provenance,
    read_weights,
    save_weights,
    weights_path,
)

__all__ = [
    "COUNTS_WEIGHTS",
    "CT_WEIGHTS",
    "DEFAULT_WEIGHTS",
    "PHANTOM_WEIGHTS",
    "SHIPPED_WEIGHTS",
    "CDDFuse",
    "CDDFuseConfig",
    "CDDFuseFast",
    "CDDFuseFastConfig",
    "Features",
    "Restormer",
    "RestormerConfig",
    "Split",
    "Unfusing",
    "UnfusingConfig",
    "build",
    "default_weights",
    "network_of",
    "read_provenance",
    "read_weights",
    "save_weights",
    "weights_path",
]
