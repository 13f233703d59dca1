"""Training: the two stages that make CDDFuse's weights, from pairs of slices."""
