"""The measures as one writes them down from their papers, with NumPy and SciPy, for one pair of images (H, W).

Plain and whole-array where that is natural: full 2-D convolutions, histograms by NumPy, and a loop only over regions
or windows that have a formula of their own. What is measured against, for speed and for values.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal
from scipy.spatial.distance import cosine

Image = np.ndarray


def gaussian_window(size: int, sigma: float) -> Image:
    offsets = np.arange(size) - (size - 1) / 2.0
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2.0 * sigma**2))
    return window / window.sum()


def entropy(image: Image) -> float:
    counts, _ = np.histogram(image, bins=256, range=(-0.5, 255.5))
    shares = counts[counts > 0] / image.size
    return float(-(shares * np.log2(shares)).sum())


def standard_deviation(image: Image) -> float:
    return float(np.sqrt(((image - image.mean()) ** 2).mean()))


def spatial_frequency(image: Image) -> float:
    rows, columns = np.diff(image, axis=0), np.diff(image, axis=1)
    return float(np.sqrt((rows**2).mean() + (columns**2).mean()))


def average_gradient(image: Image) -> float:
    rows, columns = np.gradient(image)
    return float(np.sqrt((rows**2 + columns**2) / 2.0).mean())


def mutual_information(first: Image, second: Image) -> float:
    edges = np.arange(257) - 0.5
    joint = np.histogram2d(first.ravel(), second.ravel(), bins=(edges, edges))[0] / first.size
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def correlation(first: Image, second: Image) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def sum_of_correlations_of_differences(first: Image, second: Image, fused: Image) -> float:
    return correlation(first, fused - second) + correlation(second, fused - first)


def peak_signal_to_noise_ratio(source: Image, fused: Image) -> float:
    return float(10.0 * np.log10(255.0**2 / ((source - fused) ** 2).mean()))


def structural_similarity(first: Image, second: Image) -> float:
    window = np.full((7, 7), 1.0 / 49.0)
    return float(np.mean(np.multiply(*_similarity_maps(first, second, window, 49.0 / 48.0))))


def multiscale_structural_similarity(first: Image, second: Image) -> float:
    window, product = gaussian_window(11, 1.5), 1.0
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        if scale > 0:
            first, second = (signal.convolve2d(x, np.full((2, 2), 0.25), "valid")[::2, ::2] for x in (first, second))
        luminance, structure = _similarity_maps(first, second, window, 1.0)
        last = scale == len(weights) - 1
        product *= max(np.mean(luminance * structure if last else structure), 0.0) ** weight
    return float(product)


def _similarity_maps(first: Image, second: Image, window: Image, unbiased: float) -> tuple[Image, Image]:
    def mean(x: Image) -> Image:
        return signal.convolve2d(x, window, "valid")

    bright, varied = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    mean_first, mean_second = mean(first), mean(second)
    variances = (mean(first**2) - mean_first**2 + mean(second**2) - mean_second**2) * unbiased
    covariance = (mean(first * second) - mean_first * mean_second) * unbiased
    luminance = (2.0 * mean_first * mean_second + bright) / (mean_first**2 + mean_second**2 + bright)
    return luminance, (2.0 * covariance + varied) / (variances + varied)


def visual_information_fidelity(source: Image, fused: Image) -> float:
    kept, available = 0.0, 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        window = gaussian_window(size, size / 5.0)
        if scale > 1:
            source, fused = (signal.convolve2d(x, window, "valid")[::2, ::2] for x in (source, fused))
        mean_source, mean_fused = (signal.convolve2d(x, window, "valid") for x in (source, fused))
        var_source = np.maximum(signal.convolve2d(source**2, window, "valid") - mean_source**2, 0.0)
        var_fused = np.maximum(signal.convolve2d(fused**2, window, "valid") - mean_fused**2, 0.0)
        covariance = signal.convolve2d(source * fused, window, "valid") - mean_source * mean_fused
        gain = covariance / (var_source + 1e-10)
        noise = var_fused - gain * covariance
        gain[var_source < 1e-10] = 0.0
        noise[var_source < 1e-10] = var_fused[var_source < 1e-10]
        var_source[var_source < 1e-10] = 0.0
        gain[var_fused < 1e-10] = 0.0
        noise[var_fused < 1e-10] = 0.0
        noise[gain < 0.0] = var_fused[gain < 0.0]
        gain[gain < 0.0] = 0.0
        noise[noise <= 1e-10] = 1e-10
        kept += np.log10(1.0 + gain**2 * var_source / (noise + 2.0)).sum()
        available += np.log10(1.0 + var_source / 2.0).sum()
    return float(kept / available)


def edge_transfer(first: Image, second: Image, fused: Image) -> float:
    kernel = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])

    def edges(image: Image) -> tuple[Image, Image]:
        x = signal.convolve2d(image, kernel[:, ::-1], "same")
        y = signal.convolve2d(image, kernel.T, "same")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(x**2 + y**2), np.where(x == 0.0, np.pi / 2.0, np.arctan(y / x))

    def transfer(strength: Image, orientation: Image) -> Image:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(strength > strength_fused, strength_fused / strength, strength / strength_fused)
        ratio = np.where(strength == strength_fused, strength, ratio)
        agreement = 1.0 - np.abs(orientation - orientation_fused) * 2.0 / np.pi
        of_strength = 0.9994 / (1.0 + np.exp(-15.0 * (ratio - 0.5)))
        return of_strength * 0.9879 / (1.0 + np.exp(-22.0 * (agreement - 0.8)))

    strength_fused, orientation_fused = edges(fused)
    pairs = [edges(source) for source in (first, second)]
    found = sum((transfer(*pair) * pair[0]).sum() for pair in pairs)
    return float(found / sum(pair[0].sum() for pair in pairs))


def feature_mutual_information(source: Image, fused: Image) -> float:
    features = [np.hypot(*np.gradient(image)) for image in (source, fused)]
    values = []
    for row in range(source.shape[0] - 2):
        for column in range(source.shape[1] - 2):
            a, b = (feature[row : row + 3, column : column + 3].ravel() for feature in features)
            if a.any():
                values.append(_window_information(a, b))
    return float(np.nanmean(values))


def _window_information(a: Image, b: Image) -> float:
    if not b.any():
        return 0.0
    p, q = a / a.sum(), b / b.sum()
    total = _entropy_of(p) + _entropy_of(q)
    if total == 0.0:
        return np.nan
    place = np.arange(9.0)
    flat = np.ptp(a) == 0.0 or np.ptp(b) == 0.0
    correlation = 0.0 if flat else 1.0 - cosine(a - a.mean(), b - b.mean())
    above_p, above_q = np.cumsum(p)[:, None], np.cumsum(q)[None]
    bound = np.minimum(above_p, above_q) if correlation >= 0.0 else np.maximum(above_p + above_q - 1.0, 0.0)
    coupled = np.diff(np.diff(np.pad(bound, ((1, 0), (1, 0))), axis=0), axis=1)
    independent = np.outer(p, q)
    spread = np.sqrt((p @ place**2 - (p @ place) ** 2) * (q @ place**2 - (q @ place) ** 2))
    reached = place @ (coupled - independent) @ place
    weight = 0.0 if reached == 0.0 else np.clip(correlation * spread / reached, 0.0, 1.0)
    joint = independent + weight * (coupled - independent)
    return float(np.clip(2.0 * (total - _entropy_of(joint.ravel())) / total, 0.0, 1.0))


def _entropy_of(shares: Image) -> float:
    shares = shares[shares > 0.0]
    return float(-(shares * np.log(shares)).sum())


def regional_difference(first: Image, second: Image, fused: Image) -> float:
    frequency = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)[None]) * 64.0
    sensitivity = np.exp(-((frequency / 97.3227) ** 2)) - 0.685 * np.exp(-((frequency / 12.1653) ** 2))
    difference, weight = 0.0, 0.0
    for source in (first, second):
        strength = np.hypot(ndimage.sobel(source, axis=0), ndimage.sobel(source, axis=1))
        for row in range(0, source.shape[0], 16):
            for column in range(0, source.shape[1], 16):
                region = slice(row, row + 16), slice(column, column + 16)
                saliency = (strength[region] ** 5).sum()
                seen = np.fft.ifft2(np.fft.fft2(source[region] - fused[region]) * sensitivity).real
                difference += saliency * (seen**2).mean()
                weight += saliency
    return float(difference / weight)


def contrast_preservation(first: Image, second: Image, fused: Image) -> float:
    height, width = fused.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) * 256.0 / 15.0
    sensitivity = np.exp(-((frequency / 15.3870) ** 2)) - 0.7622 * np.exp(-((frequency / 1.3456) ** 2))

    def contrast(image: Image) -> Image:
        seen = np.fft.ifft2(np.fft.fft2(image) * sensitivity).real
        center, surround = (
            signal.convolve2d(np.pad(seen, 4 * sigma, "edge"), gaussian_window(8 * sigma + 1, sigma), "valid")
            for sigma in (2, 4)
        )
        local = np.abs(center / surround - 1.0)
        return local**3 / (local**2 + 1e-4)

    c_first, c_second, c_fused = contrast(first), contrast(second), contrast(fused)
    share = c_first**2 / (c_first**2 + c_second**2)
    kept = [np.minimum(c, c_fused) / np.maximum(c, c_fused) for c in (c_first, c_second)]
    return float((share * kept[0] + (1.0 - share) * kept[1]).mean())


def lost_structure(source: Image, fused: Image) -> float:
    return _share_not_found(_edge_strength(source), _edge_strength(fused))


def invented_structure(first: Image, second: Image, fused: Image) -> float:
    return _share_not_found(_edge_strength(fused), np.maximum(_edge_strength(first), _edge_strength(second)))


def _edge_strength(image: Image) -> Image:
    smooth = gaussian_window(9, 1.0)
    offsets = np.arange(-4.0, 5.0)
    derivative = smooth * offsets / (smooth * offsets**2).sum()
    padded = np.pad(image, 4, "edge")
    return np.hypot(signal.convolve2d(padded, derivative, "valid"), signal.convolve2d(padded, derivative.T, "valid"))


def _share_not_found(strength: Image, other: Image) -> float:
    salient = np.where(strength >= 0.02 * 255.0, strength, 0.0)
    absent = ndimage.maximum_filter(other, 3) < 0.5 * (1.0 - 1e-6) * strength
    return float((salient * absent).sum() / salient.sum())
