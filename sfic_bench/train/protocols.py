"""The paper's three kinds of experiment, as selections of rows: what is trained on, and what is tested."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sfic_bench.data.importers.ffpp import LEAKING
from sfic_bench.data.manifest import Manifest
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.train.splits import Data

PROTOCOLS = {
    "intra": "trained and tested on the same data set and compression (Tables II, III and V)",
    "leave-one-out": "trained without one manipulation method, tested on it (Table IV)",
    "cross": "trained on one data set or compression, tested on another (Tables VI to VIII)",
}

AS_PRINTED = {
    "c23": "HQ",
    "c40": "LQ",
    "Deepfakes": "DF",
    "Face2Face": "FF",
    "FaceSwap": "FS",
    "NeuralTextures": "NT",
    "Celeb-DF v2": "CelebDF",
}
"""What the paper calls compressions, methods and data sets, by what a manifest does."""


def as_printed(name: str) -> str:
    """What the paper calls the data of an experiment. It split FF++ image by image, and does not say that this leaks."""
    return name.replace(LEAKING, "FF++")


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One column of a table: data, and what the paper calls them.

    Networks are trained on ``data``, and tested on its test split or, where it is given, on that of ``elsewhere``.
    Experiments of the same ``train_on`` share their training.
    """

    train_on: str
    test_on: str
    data: Data
    elsewhere: Manifest | None = None


def experiments(protocol: str, manifests: Sequence[Manifest]) -> list[Experiment]:
    """What ``protocol`` trains and tests, for each data set and compression that ``manifests`` have.

    Raises:
        UnknownName: for another protocol.
        InvalidValue: if there is nothing to do, as for ``cross`` with one data set of one compression.
        UnreadableData: for a split that is empty.
    """
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, PROTOCOLS)
    domains = dict(domain for manifest in manifests for domain in _domains(manifest))
    if len(domains) < sum(1 for manifest in manifests for _ in _domains(manifest)):
        raise InvalidValue(
            f"two manifests have the same data set and compression: {', '.join(sorted(domains))}"
        )
    trained = {name: Data.of(domain) for name, domain in domains.items() if len(domain.where(split="train"))}
    match protocol:
        case "intra":
            found = [Experiment(train_on=name, test_on=name, data=data) for name, data in trained.items()]
        case "leave-one-out":
            found = [each for name, data in trained.items() for each in _left_out(name, data)]
        case _:
            found = [
                Experiment(train_on=name, test_on=other, data=data, elsewhere=replace(domain, frame=tested))
                for name, data in trained.items()
                for other, domain in domains.items()
                if other != name and len(tested := domain.where(split="test"))
            ]
    if not found:
        raise InvalidValue(f"{protocol} has nothing to do with {', '.join(domains)}: {PROTOCOLS[protocol]}")
    return found


def _domains(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """By data set and compression, as the paper names them."""
    for (dataset, compression), rows in manifest.frame.groupby(["dataset", "compression"], sort=False):
        parts = (AS_PRINTED.get(part, part) for part in (dataset, compression))
        name = " ".join(part for part in parts if part)
        yield name, replace(manifest, frame=rows.reset_index(drop=True), name=name)


def _left_out(name: str, data: Data) -> Iterator[Experiment]:
    methods = sorted(set(data.train["method"]) - {""})
    for method in methods:
        without = {part: getattr(data, part) for part in ("train", "val")}
        without = {part: rows[rows["method"] != method] for part, rows in without.items()}
        test = data.test[data.test["method"].isin(["", method])]
        short = AS_PRINTED.get(method, method)
        label = f"{name} without {short}"
        yield Experiment(
            train_on=label, test_on=f"{name} {short}", data=replace(data, **without, test=test, name=label)
        )
