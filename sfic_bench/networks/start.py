"""The weights that a training starts from, other than random ones: published ones, a file, or another run's.

A `Start` is of one vanilla network, or of one of its SFIC forms. Everything in it must fit, except that a classifier of
another number of classes stays as it was drawn.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sfic_bench.choices import McsMode
from sfic_bench.convert import to_sfic
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.modules import on_meta
from sfic_bench.networks import registry
from sfic_bench.networks.detectors.detection import Detector
from sfic_bench.networks.head import head_tensors
from sfic_bench.networks.normalisation import IMAGENET, Normalisation
from sfic_bench.networks.variant import Variant
from sfic_bench.networks.weights import load


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Start:
    """Weights to start from.

    Attributes:
        state: the tensors by their names in the network.
        source: where they come from, for people and for the run's record.
        normalisation: what the weights expect of pixels.
    """

    state: Mapping[str, Tensor]
    source: str
    normalisation: Normalisation = IMAGENET

    @property
    def digest(self) -> str:
        """The SHA-256 of names, number formats, shapes and values; which kind of file has held them does not matter."""
        return digest_of(self.state)


def digest_of(state: Mapping[str, Tensor]) -> str:
    """The SHA-256 of the names, number formats, shapes and values of ``state``, in whichever order it has them."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_start(network: nn.Module, start: Start) -> list[str]:
    """Load ``start`` into ``network``; returns the names of the tensors of its classifier that stay as they were.

    They stay if the start has no classifier, or one for another number of classes. All else must fit.

    Raises:
        InvalidValue: with the names of the tensors that the start lacks, has besides, has in other shapes, or that hold
            values which are not finite.
    """
    needed, state = network.state_dict(), start.state
    fresh = [name for names in head_tensors(network) if _is_other(names, needed, state) for name in names]
    load(network, {**state, **{name: needed[name] for name in fresh}}, start.source)
    check_finite(start, without=fresh)
    return fresh


def _is_other(names: Sequence[str], needed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has no tensor of a classifier, or all of them for another number of classes."""
    if not any(name in state for name in names):
        return True
    return all(
        name in state
        and state[name].shape[1:] == needed[name].shape[1:]
        and len(state[name].shape) > 0
        and len(state[name]) != len(needed[name])
        for name in names
    )


def check_finite(start: Start, without: Sequence[str] = ()) -> None:
    """Raise `InvalidValue` if a tensor of ``start`` holds NaN or infinity in the format of weights, float32."""
    for name, tensor in start.state.items():
        if name not in without and tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise InvalidValue(f"{start.source} holds values in {name} that are not finite: nothing would be learned")


def check_same_network(source: str, of: Variant, wanted: Variant) -> None:
    """Check that weights from ``source``, of the network ``of``, may start ``wanted``: the same, or its vanilla form.

    Raises:
        InvalidValue: for weights of another network.
    """
    same_ratios = (of.alpha, of.beta) in ((None, None), (wanted.alpha, wanted.beta))
    if of.backbone != wanted.backbone or not same_ratios:
        expected = f"{wanted}" if wanted.is_vanilla else f"{wanted} or vanilla {wanted.backbone}"
        raise InvalidValue(f"{source} is of {of}, which cannot start {wanted}: expected a run of {expected}")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Started:
    """A network with the weights that its training starts from.

    Attributes:
        fresh: names of the tensors of its classifier that the start does not have, and that are random; mostly empty
            or a weight and a bias.
    """

    network: nn.Module
    fresh: tuple[str, ...]


def build_from(
    start: Start | None,
    variant: Variant,
    *,
    classes: int = 2,
    mcs: McsMode = McsMode.LEARNED,
    input_size: int = registry.INPUT_SIZE,
    device: torch.device | str | None = None,
) -> Started:
    """A new network with the weights of ``start``, which are its own or those of its vanilla form.

    A classifier for another number of classes stays random, as MCSConv does if the weights are vanilla. All else fits.

    Args:
        start: an SFIC start is loaded into the blocks, a vanilla one before they are made; ``None`` for random weights.
        variant: the network to build.
        classes: number of logits.
        mcs: see `sfic_bench.nn.MCSConv`.
        input_size: height and width, for networks whose weights or code depend on them.
        device: where the weights lie.

    Raises:
        InvalidValue: for weights that do not fit, or are not finite.
        UnsupportedModel: for a network that has no SFIC form.
        UnknownName, MissingDependency: as `sfic_bench.networks.registry.build` does.
    """
    vanilla = registry.build(variant.backbone, classes=classes, input_size=input_size, device=device)
    fresh: list[str] = []
    is_of_blocks = start is not None and _is_of_blocks(start, variant, vanilla)
    if start is not None and not is_of_blocks:
        fresh = load_start(vanilla, start)
    network = vanilla
    if variant.alpha is not None and variant.beta is not None:
        check_convertible(variant.backbone, vanilla)
        network = to_sfic(
            vanilla,
            alpha=variant.alpha,
            beta=variant.beta,
            mcs=mcs,
            on_unsupported=variant.on_unsupported,
            input_size=input_size,
        )
        if start is not None and is_of_blocks:
            fresh = load_start(network, start)
    return Started(network=network, fresh=tuple(fresh))


def _is_of_blocks(start: Start, variant: Variant, vanilla: nn.Module) -> bool:
    """Whether a start has tensors that only the SFIC form of ``vanilla`` has."""
    besides = set(start.state) - set(vanilla.state_dict())
    if variant.alpha is None or not besides:
        return False
    check_convertible(variant.backbone, vanilla)
    sfic = to_sfic(on_meta(vanilla), alpha=variant.alpha, beta=1.0, on_unsupported=variant.on_unsupported)
    return not besides.isdisjoint(sfic.state_dict())


def check_convertible(name: str, model: nn.Module) -> None:
    """Raise `UnsupportedModel` for a detector whose loss its SFIC form would lose."""
    if isinstance(model, Detector):
        raise UnsupportedModel(f"{name} has a loss of its own, which an SFIC form would lose")
