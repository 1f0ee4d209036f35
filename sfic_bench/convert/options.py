"""What can be chosen about a conversion."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from sfic_bench.choices import McsMode, OnUnsupported
from sfic_bench.convert.prototypes import Prototypes


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a tensor becomes a pair, and where the pair becomes a tensor again.

    Everything in between follows from the data flow: a convolution that a pair reaches is a Stage 2
    unless it is named as a Stage 3, and one that a single tensor reaches stays as it is.

    Attributes:
        stage1, stage3: qualified names of convolutions.
        reads: convolutions that read the input of another one instead of their own.
        joins: join the pair without a Stage 3 where the classifier reads it.
    """

    stage1: tuple[str, ...]
    stage3: tuple[str, ...]
    reads: Mapping[str, str] = field(default_factory=dict)
    joins: bool = False

    def within(self, names: Collection[str]) -> "Placement":
        """The placement of a part of the network that has only the convolutions called ``names``."""
        return replace(
            self,
            stage1=tuple(name for name in self.stage1 if name in names),
            stage3=tuple(name for name in self.stage3 if name in names),
            reads={name: other for name, other in self.reads.items() if name in names and other in names},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionOptions:
    """All choices of one conversion; `sfic_bench.to_sfic` describes each but the last three.

    Attributes:
        rounds_down: see `sfic_bench.nn.ConvOptions`.
        share: use the modules that stay as they are instead of copies of them.
        prototypes: make equal modules once, for a network that is not built; needs ``share``.
    """

    placement: Placement
    alpha: float
    beta: float
    mcs: McsMode | str = McsMode.LEARNED
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN
    rounds_down: bool = False
    share: bool = False
    prototypes: Prototypes | None = None

    @property
    def of_stages(self) -> "StageOptions":
        """What of these choices a stage depends on."""
        return StageOptions(
            alpha=self.alpha, beta=self.beta, mcs=self.mcs, rounds_down=self.rounds_down, share=self.share
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StageOptions:
    """The choices of a conversion that its stages depend on, see `ConversionOptions`."""

    alpha: float
    beta: float
    mcs: McsMode | str
    rounds_down: bool
    share: bool
