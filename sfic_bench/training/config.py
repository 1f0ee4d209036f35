"""What determines a run: network, recipe and data, by their content."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import Struct, structs, to_builtins
from msgspec.structs import asdict

from sfic_bench.choices import Initialisation, OnUnsupported
from sfic_bench.networks.external import file_of
from sfic_bench.networks.normalisation import IMAGENET, Normalisation
from sfic_bench.networks.start import Start
from sfic_bench.networks.variant import Variant
from sfic_bench.training.recipe import Recipe
from sfic_bench.training.splits import DataDigests, DataSplits

CHANGED = {
    "digests.rows": "the images' paths or labels have changed",
    "digests.sizes": "the sizes of the image files have changed",
    "network_file": "the file that defines the network has changed",
    "start.digest": "the weights that it starts from have changed",
}
"""What is said of a digest that differs, instead of the digests themselves."""


class StartRecord(Struct, frozen=True, kw_only=True):
    """The weights that a run started from.

    Attributes:
        source: where they came from.
        digest: the SHA-256 of names, shapes and values.
        normalisation: what the weights expect of pixels, in training and in every later use.
        fresh: names of the tensors of the classifier that the weights did not have, and that began at random.
    """

    source: str
    digest: str
    normalisation: Normalisation
    fresh: list[str] = []

    @classmethod
    def of(cls, start: Start, fresh: Sequence[str]) -> "StartRecord":
        """The record of ``start``."""
        return cls(source=start.source, digest=start.digest, normalisation=start.normalisation, fresh=list(fresh))


class RunConfig(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/run/3"):
    """All that determines a run: network, recipe and data.

    Attributes:
        data: the manifest's name.
        images: number of images of each split.
        digests: what tells the images from others; ``None`` where an older version began the run.
        network_file: the SHA-256 of the file that a network comes from; ``None`` for one from a library.
        start: the weights that it started from; ``None`` for random ones.
        framework: the other project that trained it, with its version of torch, see `sfic_bench.frameworks`. Of the
            recipe, only the input size is its own then. ``None`` for what sfic-bench has trained.
    """

    variant: Variant
    recipe: Recipe
    data: str
    images: dict[str, int]
    digests: DataDigests | None = None
    network_file: str | None = None
    start: StartRecord | None = None
    framework: str | None = None

    @classmethod
    def of(cls, variant: Variant, recipe: Recipe, data: DataSplits, start: StartRecord | None = None) -> "RunConfig":
        """What determines the training of ``variant`` by ``recipe`` with ``data``, from the weights ``start``."""
        return cls(
            variant=variant, recipe=recipe, data=data.name, images=data.images, digests=data.digests(),
            network_file=network_digest(variant.backbone), start=start,
        )  # fmt: skip

    @property
    def normalisation(self) -> Normalisation:
        """What the network expects of pixels."""
        return IMAGENET if self.start is None else self.start.normalisation

    def facts(self) -> dict[str, object]:
        """All of it by flat keys, such as ``recipe.epochs``."""
        # msgspec leaves fields that a file lacks to the class, and then writes them no more: a copy has them all.
        return _flat(to_builtins(structs.replace(self, recipe=replace(self.recipe))))

    def differences_from(self, old: "RunConfig") -> dict[str, str]:
        """What differs from ``old``, in words, by its key.

        Digests count only if ``old`` has them, and then tell the images, whatever their manifest is called.
        """
        facts, old_facts = self.facts(), old.facts()
        keys = [key for key in facts if facts[key] != old_facts.get(key)]
        ignored = CHANGED if old.digests is None else {"data"}
        keys = [key for key in keys if key not in ignored]
        if old.variant.on_unsupported is OnUnsupported.ERROR and self.variant.on_unsupported is OnUnsupported.JOIN:
            keys = [key for key in keys if key != "variant.on_unsupported"]  # nothing had to be joined
        return {key: CHANGED.get(key, f"{key} was {old_facts.get(key)!r} and is {facts[key]!r}") for key in keys}


class RunConfigV2(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/run/2"):
    """A run's configuration in run/2, when all first weights were torch's."""

    variant: Variant
    recipe: Recipe
    data: str
    images: dict[str, int]
    digests: DataDigests | None = None
    network_file: str | None = None

    def upgraded(self) -> RunConfig:
        recipe = replace(self.recipe, initialisation=Initialisation.TORCH)
        return RunConfig(**{**asdict(self), "recipe": recipe})


class RunConfigV1(RunConfigV2, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/run/1"):
    """A run's configuration in run/1, which has no digests."""


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested values by their joined keys, such as ``recipe.epochs``."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def network_digest(backbone: str) -> str | None:
    """The SHA-256 of the file that ``backbone`` comes from; ``None`` for a network that does not come from a file."""
    file = file_of(backbone)
    return None if file is None or not file.is_file() else hashlib.sha256(file.read_bytes()).hexdigest()
