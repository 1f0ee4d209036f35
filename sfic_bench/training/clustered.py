"""Scores of the same images by one run or several, and what resampling their clusters makes of them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sfic_bench.results.scores import Level

RESAMPLES = 1000
"""The number of draws of a bootstrap."""

AT_ONCE = 20_000_000
"""The most counts of clusters in draws that are in memory at a time."""

STRETCH = 64
"""The most images, next to each other in the order of scores, that are compared pair by pair."""

Array = NDArray[np.float64]
Counts = NDArray[np.float32]
"""How often each cluster is in each draw, clusters × draws. Sums of as few small counts are exact in this format."""


def rates(tp: Array, fp: Array, fake: Array, real: Array) -> dict[str, Array]:
    """Accuracy, balanced accuracy, F1, FPR and TPR of counts; NaN unless there are fake and real images.

    Args:
        tp: number of fakes that are called fake.
        fp: number of real images that are called fake.
        fake: number of fakes.
        real: number of real images.
    """
    fake, real = (np.where((fake > 0) & (real > 0), count, np.nan) for count in (fake, real))
    tpr, fpr = tp / fake, fp / real
    return {
        "acc": (tp + real - fp) / (fake + real),
        "bacc": (tpr + 1 - fpr) / 2,
        "f1": 2 * tp / (tp + fp + fake),
        "fpr": fpr,
        "tpr": tpr,
    }


class ClusteredScores:
    """The scores of the same images by one run or several, resampled by video, or by group where the images have any.

    The images of a video resemble each other. Resampling single images would make intervals too narrow, as if there
    were more independent images (Field & Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 2007).

    Attributes:
        codes: by level, the number of each score's cluster: of its video, or of its group.
        clusters: the number of clusters.
        levels: by level, the scores of each run, R×N, and the labels, N.
    """

    def __init__(self, runs: Sequence[pd.DataFrame]) -> None:
        first = runs[0]
        videos = first.groupby(["dataset", "video", "label"], sort=True).ngroup().to_numpy()
        clusters = _clusters(first, videos)
        scores = np.stack([run["score"].to_numpy(dtype=float) for run in runs])
        label = first["label"].to_numpy(dtype=float)
        images, one_of_each = np.bincount(videos), np.unique(videos, return_index=True)[1]
        of_video = np.stack([np.bincount(videos, weights=score) / images for score in scores])
        self.clusters = int(clusters.max()) + 1
        self.codes: dict[Level, NDArray[np.int64]] = {"frame": clusters, "video": clusters[one_of_each]}
        self.levels: dict[Level, tuple[Array, Array]] = {
            "frame": (scores, label),
            "video": (of_video, label[one_of_each]),
        }

    def means(self, level: Level) -> dict[str, float | None]:
        """The mean over the runs of what `bootstrap` resamples; ``None`` if only one class is present."""
        of_runs = self._resampled(level, np.ones((self.clusters, 1), np.float32))
        known = {name: values.mean() for name, values in of_runs.items()}
        return {name: None if np.isnan(mean) else float(mean) for name, mean in known.items()}

    def bootstrap(self, level: Level) -> dict[str, Array]:
        """`RESAMPLES` values of AUC, and of accuracy, balanced accuracy and F1 at 0.5, drawn with a fixed seed.

        A draw takes as many clusters and runs as there are, with replacement; it is NaN if it has only one class.
        """
        parts = []
        for counts, runs in self._draws():
            values = self._resampled(level, counts)
            parts.append({name: of[runs, np.arange(len(runs))[:, None]].mean(axis=1) for name, of in values.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def bootstrap_at(self, level: Level, thresholds: Sequence[float]) -> list[dict[str, Array]]:
        """The values of `rates` of the first run in the draws of `bootstrap`, for each threshold."""
        parts = [[self._rates(level, counts, 0, t) for t in thresholds] for counts, _ in self._draws()]
        return [
            {name: np.concatenate([part[i][name] for part in parts]) for name in parts[0][i]}
            for i in range(len(thresholds))
        ]

    def rates_at(self, level: Level, threshold: float) -> dict[str, float]:
        """The `rates` of the first run; NaN if only one class is present."""
        whole = self._rates(level, np.ones((self.clusters, 1), np.float32), 0, threshold)
        return {name: float(value[0]) for name, value in whole.items()}

    def _draws(self) -> Iterator[tuple[Counts, NDArray[np.int64]]]:
        """The draws, some at a time: how often each has each cluster, clusters × draws, and its runs, draws × runs."""
        clusters, runs = self.clusters, len(self.levels["frame"][0])
        rng = np.random.default_rng(0)
        step = max(1, AT_ONCE // clusters)
        for start in range(0, RESAMPLES, step):
            draws = min(step, RESAMPLES - start)
            counts, chosen = np.empty((draws, clusters), np.float32), np.empty((draws, runs), np.int64)
            for i in range(draws):
                counts[i] = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
                chosen[i] = rng.integers(runs, size=runs)
            yield np.ascontiguousarray(counts.T), chosen

    def _resampled(self, level: Level, counts: Counts) -> dict[str, Array]:
        """AUC, and accuracy, balanced accuracy and F1 at 0.5, of each run in each draw: runs × draws."""
        runs = range(len(self.levels[level][0]))
        at_half = [self._rates(level, counts, run, 0.5) for run in runs]
        auc = np.stack([self._auc(level, counts, run) for run in runs])
        return {"auc": auc, **{name: np.stack([of[name] for of in at_half]) for name in ("acc", "bacc", "f1")}}

    def _rates(self, level: Level, counts: Counts, run: int, threshold: float) -> dict[str, Array]:
        """The `rates` of one run at a threshold, in each draw."""
        scores, label = self.levels[level]
        called = scores[run] > threshold
        chosen = (called & (label == 1), called & (label == 0), label == 1, label == 0)
        return rates(*self._sums(counts, *(self.codes[level][images] for images in chosen)))

    def _sums(self, counts: Counts, *codes: NDArray[np.int64]) -> Array:
        """How many images are in each draw, for each of several lists of images' clusters: lists × draws."""
        sums: Array = np.stack([np.bincount(of, minlength=self.clusters) for of in codes]) @ counts.astype(float)
        return sums

    def _auc(self, level: Level, counts: Counts, run: int) -> Array:
        """The AUC of one run in each draw: the share of pairs in which the fake has the higher score; ties are halves.

        The images are sorted once. Each stretch of them is compared with all real images before it, of which only the
        number in each draw counts, and pair by pair within itself.
        """
        scores, label = self.levels[level]
        order = np.argsort(scores[run], kind="stable")
        score, is_fake, codes = scores[run][order], label[order] == 1, self.codes[level][order]
        won, before, fakes = (np.zeros(counts.shape[1]) for _ in range(3))
        for stretch in _stretches(score):
            fake, real = (codes[stretch][of] for of in (is_fake[stretch], ~is_fake[stretch]))
            if len(fake) + len(real) > STRETCH:  # all have the same score
                of_fake, of_real = self._sums(counts, fake, real)
                won += of_fake * (before + of_real / 2)
            else:
                drawn, drawn_real = counts[fake], counts[real]
                low, high = score[stretch][~is_fake[stretch]], score[stretch][is_fake[stretch], None]
                beaten = ((low < high).astype(np.float32) + (low <= high)) / np.float32(2)
                of_fake, of_real = drawn.sum(axis=0), drawn_real.sum(axis=0)
                won += before * of_fake + np.einsum("ij,ij->j", drawn, beaten @ drawn_real)
            before += of_real
            fakes += of_fake
        with np.errstate(invalid="ignore", divide="ignore"):
            auc: Array = won / (fakes * before)
        return auc


def _clusters(frame: pd.DataFrame, videos: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each image's cluster: of its group, or of its video if it has no group."""
    groups = pd.Series("", index=frame.index) if "group" not in frame else frame["group"].fillna("").astype(str)
    has_group = (groups != "").to_numpy()
    if not has_group.any():
        return videos
    names = np.where(has_group, frame["dataset"].astype(str) + "/" + groups, [str(number) for number in videos])
    return np.unique(names, return_inverse=True)[1]


def _stretches(score: Array) -> Iterator[slice]:
    """Parts of sorted scores, each of at most `STRETCH` of them or of a single one many times; no tie is cut."""
    ends = np.append(np.flatnonzero(np.diff(score)) + 1, len(score))
    start = 0
    while start < len(score):
        end = int(ends[max(np.searchsorted(ends, start + STRETCH, side="right") - 1, np.searchsorted(ends, start + 1))])
        yield slice(start, end)
        start = end
