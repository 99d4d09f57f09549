"""Time and memory of the boundary benchmark on one core, and its speed on several.

    python -m benchmarks.edges [--images=5] [--processes=1,2,4] [PROTOCOL ...]

Prints, for each protocol at its data set's size, milliseconds per image by stage (median over the
images) and the peak of memory that the evaluation of one image allocates; then, with --processes,
images a second of an evaluation on so many processes, once they have started. Images are synthetic:
warped Voronoi maps, predicted as blurred, unevenly strong boundaries of a perturbed copy plus
clutter. Those of `bsds` and `bsds_nms` have five annotators; `bsds` gets them suppressed, as it is
made for thin maps.
"""

import argparse
import statistics
import time
import tracemalloc

import numpy as np
from scipy import ndimage, spatial

from astmt_jax.evaluation.counting import Counter
from astmt_jax.metrics.edge_assignment import matched_pixels
from astmt_jax.metrics.edge_matching import matching_sizes, pairs_within
from astmt_jax.metrics.edge_nms import suppress_non_maxima
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.edges import EdgeMetric, evaluate_image
from astmt_jax.metrics.thinning import thin_levels
from astmt_jax.metrics.true_edges import annotated, annotators_edges, region_boundaries

SIZES = {
    "pascal": (375, 500),
    "pascal_raw": (375, 500),
    "nyud": (425, 560),
    "bsds": (321, 481),
    "bsds_nms": (321, 481),
}
ANNOTATORS = 5
IMAGES_PER_PROCESS = 20
PIXELS_PER_REGION = 4700
STAGES = ("threshold", "thin", "truth", "pairs", "match", "whole")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5, help="images per protocol")
    parser.add_argument(
        "protocols", nargs="*", metavar="PROTOCOL", help="default: pascal pascal_raw nyud"
    )
    parser.add_argument("--processes", default="", help="numbers of processes, such as 1,2,4")
    args = parser.parse_args()
    print(f"{'ms per image':12}{'size':>9}" + "".join(f"{s:>11}" for s in STAGES) + f"{'MiB':>7}")
    for name in args.protocols or ("pascal", "pascal_raw", "nyud"):
        h, w = SIZES[name]
        cases = [synthetic_image(h, w, name, seed) for seed in range(args.images)]
        evaluate_image(*cases[0], PROTOCOLS[name])  # first use of the libraries
        times = [stage_times(*case, PROTOCOLS[name]) for case in cases]
        medians = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        cells = "".join(f"{ms:11.1f}" for ms in medians)
        print(f"{name:12}{h:>5}x{w}{cells}{peak_mebibytes(*cases[0], PROTOCOLS[name]):7.0f}")
        for processes in filter(None, args.processes.split(",")):
            speed = images_per_second(cases, PROTOCOLS[name], int(processes))
            print(f"{name:12}{processes:>9} processes: {speed:.1f} images/s")


def stage_times(prediction, truth, protocol) -> list[float]:
    """Seconds of each of STAGES."""
    ticks = [time.perf_counter()]

    def tick(value):
        ticks.append(time.perf_counter())
        return value

    levels = tick(protocol.levels(prediction))
    y, x, member = tick(thin_levels(levels, len(protocol.thresholds)))
    true_maps = tick(protocol.true_edges(truth))
    radius = protocol.max_dist * np.hypot(*prediction.shape)
    near = tick([pairs_within(y, x, true_map, radius) for true_map in true_maps])
    match = matching_sizes if len(near) == 1 else matched_pixels
    tick([match(member, *pairs) for pairs in near])
    tick(evaluate_image(prediction, truth, protocol))
    return list(np.diff(ticks))


def images_per_second(cases, protocol, processes: int) -> float:
    """Speed of an evaluation on so many processes, without their start."""
    metric = EdgeMetric(protocol)
    with Counter(processes) as counter:
        for repeats in (1, IMAGES_PER_PROCESS):
            start = time.perf_counter()
            for number in range(repeats * processes):
                counter.add(metric, "image", *cases[number % len(cases)])
            counter.finish()
        return IMAGES_PER_PROCESS * processes / (time.perf_counter() - start)


def peak_mebibytes(prediction, truth, protocol) -> float:
    """Peak of what NumPy and Python allocate during one evaluation."""
    tracemalloc.start()
    evaluate_image(prediction, truth, protocol)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def synthetic_image(h: int, w: int, protocol: str, seed: int):
    """A prediction (h, w) and its truth, in the form that the protocol takes."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(h * w // PIXELS_PER_REGION, 2)) * (h, w)
    warp = smooth_noise(rng, (2, h, w), 25) * 12
    prediction = predict(rng, points, warp)
    if PROTOCOLS[protocol].true_edges is annotators_edges:
        shifts = (smooth_noise(rng, (2, h, w), 8) * 1.5 for _ in range(ANNOTATORS))
        truth = annotated([region_boundaries(voronoi(points, warp + s))[0] for s in shifts])
        soft = prediction.astype(np.float32) / np.float32(255)
        return prediction if PROTOCOLS[protocol].suppress else suppress_non_maxima(soft), truth
    labels = voronoi(points, warp)
    if protocol == "nyud":
        return prediction, region_boundaries(labels)[0] * np.uint8(255)
    return prediction, labels


def predict(rng, points: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Boundaries of a perturbed copy of the regions, as a network might give them."""
    _, h, w = warp.shape
    kept = points[: int(0.9 * len(points))] + rng.normal(size=(int(0.9 * len(points)), 2)) * 2
    points = np.concatenate([kept, rng.uniform(size=(len(points) // 5, 2)) * (h, w)])
    labels = voronoi(points, warp + smooth_noise(rng, warp.shape, 8))
    strength = rng.uniform(0.2, 1, size=len(points))[labels]
    edges = ndimage.gaussian_filter(region_boundaries(labels)[0] * strength, 1.2) * 2.5
    haze = np.maximum(smooth_noise(rng, (h, w), 2), 0) * 0.04
    patches = np.maximum(smooth_noise(rng, (h, w), 6) - 1, 0)
    texture = np.abs(smooth_noise(rng, (h, w), 1)) * patches * 0.25
    return (255 * np.clip(edges + haze + texture, 0, 1)).astype(np.uint8)


def voronoi(points: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """(h, w) number of the point nearest to each displaced pixel."""
    positions = (np.indices(warp.shape[1:]) + warp).reshape(2, -1).T
    return spatial.cKDTree(points).query(positions)[1].reshape(warp.shape[1:])


def smooth_noise(rng, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance, blurred along the last two axes."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma, axes=(-2, -1))
    return noise / noise.std()


if __name__ == "__main__":
    main()
