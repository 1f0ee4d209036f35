"""Which frames of a video are used, and how faces are cropped."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfic_bench.data.faces import square
from sfic_bench.data.sampling import SAMPLING, ExtractionSettings, Sampling
from sfic_bench.data.videos import upright
from sfic_bench.errors import InvalidValue, SficBenchError


@given(st.integers(0, 400), st.integers(1, 12), st.integers(1, 60), st.booleans())
def test_sampling(frames: int, interval: int, count: int, first: bool) -> None:
    indices = Sampling(interval=interval, count=count, first=first).indices(frames)
    steps = -(-frames // interval)
    assert len(indices) == len(set(indices)) == min(count, steps)
    assert all(i % interval == 0 and 0 <= i < frames for i in indices) and list(indices) == sorted(indices)
    gaps = {b - a for a, b in pairwise(indices)}
    assert not gaps or max(gaps) - min(gaps) <= (0 if first else interval)


def test_sampling_is_the_papers() -> None:
    assert {kind: [(s.interval, s.count) for s in both] for kind, both in SAMPLING.items() if kind != "folder"} == {
        "ffpp": [(2, 50), (2, 16)], "dfdc": [(2, 35), (10, 5)], "celebdf": [(2, 100), (2, 16)],
    }  # fmt: skip
    # 100 frames, every second: 50; of these 4, in the middle of each quarter: 50 · (1, 3, 5, 7) / 8 = 6, 18, 31, 43
    assert Sampling(interval=2, count=4).indices(100) == (12, 36, 62, 86)
    assert Sampling(interval=2, count=4, first=True).indices(100) == (0, 2, 4, 6)
    with pytest.raises(InvalidValue):
        Sampling(interval=0, count=1)


@given(
    st.tuples(*[st.integers(-60, 120)] * 2),
    st.integers(1, 200),
    st.integers(1, 90),
    st.integers(1, 90),
    st.floats(0.5, 4),
)
def test_the_crop_is_a_square_inside_the_image(
    corner: tuple[int, int], box: int, height: int, width: int, enlarge: float
) -> None:
    x, y, side = square((*corner, corner[0] + box, corner[1] + box), height, width, enlarge)
    assert 0 <= x <= x + side <= width and 0 <= y <= y + side <= height
    assert side == max(1, min(round(box * enlarge), height, width))


def test_crop_sizes_by_hand() -> None:
    assert square((40, 30, 60, 50), 100, 100, 1.5) == (35, 25, 30)
    assert square((-10, 30, 10, 50), 100, 100, 1.0) == (0, 30, 20)  # moved in, not cut
    assert square((90, 90, 110, 130), 100, 100, 1.0) == (60, 60, 40)
    one = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    np.testing.assert_array_equal(upright(one, 90.0), np.rot90(one))
    np.testing.assert_array_equal(upright(one, -90.0), np.rot90(one, -1))
    np.testing.assert_array_equal(upright(one, 0.0), one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "hff"}, "has no videos"),
        ({"kind": "nothing"}, "unknown kind"),
        ({"kind": "ffpp", "format": "gif"}, "unknown image format"),
        ({"kind": "ffpp", "size": 0}, "size must be from 16 to 4096, got 0"),
        ({"kind": "ffpp", "enlarge": float("nan")}, "enlarge must be"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SficBenchError, match=message):
        ExtractionSettings(**options)
