"""Result files with parts replaced, removed, cut off or overwritten."""

import json
from typing import Any

from hypothesis import strategies as st

from helpers.result_files import accuracy_file, accuracy_row, bench_file, cost_file, cost_row, timing_file, timing_row
from helpers.samples import quiet

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.just(2**70), st.just("\ud800"), st.just("<script>"), st.just("\x1b[31m"),
)  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A valid file in which parts were replaced, removed, cut off or overwritten."""
    times = [
        timing_row("net", quiet(n=6), sfic=False),
        timing_row("net", quiet(n=6)),
        timing_row("x", None),
    ]
    documents = [
        timing_file(times),
        cost_file([cost_row("net"), cost_row("other")]),
        accuracy_file([accuracy_row("net", 0.7), accuracy_row("other", 0.8)]),
        bench_file({"a": [1e-3, 2e-3], "b": [1e-3]}),
    ]
    document: Any = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(0, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(JUNK)
            break
    data = json.dumps(document).encode()
    if draw(st.booleans()):
        return data
    start = draw(st.integers(0, len(data)))
    return data[:start] + draw(st.binary(max_size=4)) + data[start + draw(st.integers(0, 40)) :]
