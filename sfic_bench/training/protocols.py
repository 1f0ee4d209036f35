"""The experiments of the paper's protocols: which rows of manifests are trained on and which are tested."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sfic_bench.data.choices import SplitName
from sfic_bench.data.draws import SEED, as_printed
from sfic_bench.data.manifest import Manifest
from sfic_bench.errors import InvalidValue, member
from sfic_bench.training.recipe import EvaluationProtocol
from sfic_bench.training.splits import DataSplits

PAPER_NAMES = {
    "c23": "HQ", "c40": "LQ", "Celeb-DF v2": "CelebDF",
    "Deepfakes": "DF", "Face2Face": "FF", "FaceSwap": "FS", "NeuralTextures": "NT",
}  # fmt: skip
"""The paper's names of compressions, methods and data sets, by the names in manifests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """A column of one of the paper's tables. Experiments with the same ``train_on`` share their training.

    Attributes:
        train_on: name of the data that networks are trained on.
        test_on: name of the data that they are tested on.
        data: the rows to train and validate with, and to test if there is no ``test_manifest``.
        test_manifest: rows of other data to test, if not the test split of ``data``.
    """

    train_on: str
    test_on: str
    data: DataSplits
    test_manifest: Manifest | None = None


def experiments(protocol: str, manifests: Sequence[Manifest]) -> list[Experiment]:
    """The experiments of a protocol, one of `EvaluationProtocol`, for each data set and compression of ``manifests``.

    Raises:
        UnknownName: for an unknown protocol.
        InvalidValue: if there are no experiments, as for ``cross`` with one data set of one compression.
        UnusableData: for a split that is empty.
    """
    protocol = member(EvaluationProtocol, protocol, "protocol")
    domains: dict[str, Manifest] = {}
    for name, domain in (domain for manifest in manifests for domain in _domains(manifest)):
        if name in domains:
            raise InvalidValue(f"two manifests have the same data set and compression: {name}")
        domains[name] = domain
    training = {
        name: DataSplits.of(domain) for name, domain in domains.items() if len(domain.where(split=SplitName.TRAIN))
    }
    match protocol:
        case EvaluationProtocol.INTRA:
            selected = [Experiment(train_on=name, test_on=name, data=data) for name, data in training.items()]
        case EvaluationProtocol.LEAVE_ONE_OUT:
            selected = [experiment for name, data in training.items() for experiment in _left_out(name, data)]
        case EvaluationProtocol.CROSS:
            selected = [
                Experiment(train_on=name, test_on=other, data=data, test_manifest=replace(domain, frame=rows))
                for name, data in training.items()
                for other, domain in domains.items()
                if other != name and len(rows := domain.where(split=SplitName.TEST))
            ]
    if not selected:
        raise InvalidValue(f"{protocol} has nothing to do with {', '.join(domains)}: {protocol.description}")
    return selected


def _domains(manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
    """The rows of each data set and compression, after the paper's name for them."""
    for (dataset, compression), rows in manifest.frame.groupby(["dataset", "compression"], sort=False):
        own, is_drawn, draw = dataset.partition(" (")
        parts = (f"{PAPER_NAMES.get(own, own)}{is_drawn}{draw}", PAPER_NAMES.get(compression, compression))
        name = " ".join(part for part in parts if part)
        yield name, replace(manifest, frame=rows.reset_index(drop=True), name=name)


def _left_out(name: str, data: DataSplits) -> Iterator[Experiment]:
    """For each of several methods an experiment that trains without it and tests its fakes alone, beside real images.

    Of images drawn as the paper draws them, fakes of the method come from the training images too, as in the paper,
    with as many real images, which are kept out of the training. A second experiment tests the same networks on the
    test split.
    """
    of_paper = as_printed(name) is not None
    methods = sorted(set(data.train["method"]) - {""})
    for method in methods if len(methods) > 1 else ():
        short_name = PAPER_NAMES.get(method, method)
        label = f"{name} without {short_name}"
        train, val = (rows[rows["method"] != method] for rows in (data.train, data.val))
        test = data.test[data.test["method"].isin(["", method])]
        target = data.train[data.train["method"] == method] if of_paper else test
        if of_paper:
            real = train.index[train["label"] == 0].to_numpy()
            kept_out = np.random.default_rng(SEED).permutation(real)[: min(len(target), len(real) // 2)]
            target, train = pd.concat([target, train.loc[kept_out]]), train.drop(index=kept_out)
        rest = replace(data, train=train, val=val, test=target, name=label)
        yield Experiment(train_on=label, test_on=f"{name} {short_name}", data=rest)
        if of_paper and len(test):
            other = Manifest(frame=test, folder=data.folder, name=f"{name} {short_name}, test split")
            yield Experiment(train_on=label, test_on=other.name, data=rest, test_manifest=other)
