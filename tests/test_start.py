"""Weights to start from: what fits is loaded whole, a classifier of other classes stays as it was drawn."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.networks import randomised
from safetensors.torch import save_file
from torch import Tensor

from sfic_bench import api
from sfic_bench.errors import InvalidValue
from sfic_bench.networks import registry
from sfic_bench.networks.start import Start, build_from, check_same_network, digest_of, load_start
from sfic_bench.networks.start_sources import file_start
from sfic_bench.networks.variant import Variant

SMALL = "mobilenet"
HEAD = ("classifier.weight", "classifier.bias")
SFIC = Variant(backbone=SMALL, alpha=0.5, beta=0.5)
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def of_thousand() -> State:
    """The weights of a vanilla network of 1,000 classes, all of which differ from those of a new one."""
    return randomised(registry.build(SMALL, classes=1000)).float().state_dict()


def start_of(state: State) -> Start:
    return Start(state=state, source="the file")


def test_a_classifier_of_other_classes_stays_as_it_was_drawn(of_thousand: State) -> None:
    network = registry.build(SMALL)
    before = copy.deepcopy(network.state_dict())
    assert load_start(network, start_of(of_thousand)) == list(HEAD)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, (before if name in HEAD else of_thousand)[name])


def test_a_classifier_of_the_same_classes_is_loaded(of_thousand: State) -> None:
    network = registry.build(SMALL, classes=1000)
    assert load_start(network, start_of(of_thousand)) == []
    assert digest_of(network.state_dict()) == digest_of(of_thousand)


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


def test_a_start_without_a_classifier_leaves_it_as_it_was_drawn(of_thousand: State) -> None:
    assert load_start(registry.build(SMALL), start_of(without(of_thousand, *HEAD))) == list(HEAD)


FIRST = "features.0.0.weight"
CHANGES: dict[str, Callable[[State], State]] = {
    "lacks features.0.0.weight": lambda state: without(state, FIRST),
    "lacks classifier.bias": lambda state: without(state, "classifier.bias"),
    "has besides teacher.weight": lambda state: state | {"teacher.weight": torch.ones(2)},
    "has in other shapes features.0.0.weight": lambda state: state | {FIRST: torch.ones(32, 1, 3, 3)},
    "has in other shapes classifier.weight": lambda state: state | {HEAD[0]: torch.ones(1000, 512)},
    "has as other than real numbers features.0.0.weight": lambda state: state | {FIRST: state[FIRST].to(torch.int8)},
    "holds values in features.0.0.weight that are not finite": lambda state: state | {FIRST: state[FIRST] / 0},
    "holds values in classifier.bias that are not finite": lambda state: (
        state | {HEAD[0]: torch.ones(2, 1024), HEAD[1]: torch.tensor([math.nan, 0])}
    ),
}


@pytest.mark.parametrize("words", CHANGES)
def test_all_but_the_classifier_must_fit(of_thousand: State, words: str) -> None:
    with pytest.raises(InvalidValue, match=f"^the file {words}"):
        load_start(registry.build(SMALL), start_of(CHANGES[words](of_thousand)))


def test_vanilla_weights_carry_over_into_the_blocks(of_thousand: State) -> None:
    started = build_from(start_of(of_thousand), SFIC)
    assert started.fresh == HEAD
    vanilla = registry.build(SMALL)
    load_start(vanilla, start_of(of_thousand))
    expected = api.to_sfic(vanilla, alpha=0.5, beta=0.5).state_dict()
    state = started.network.state_dict()
    assert list(state) == list(expected)
    random = {*HEAD, *(name for name in state if "mcs" in name)}
    assert len(random) > 2
    assert all(torch.equal(state[name], expected[name]) for name in state if name not in random)


def test_weights_of_an_sfic_network_start_the_same_one_alone() -> None:
    state = randomised(api.build(SMALL, alpha=0.5, classes=7)).float().state_dict()
    started = build_from(start_of(state), SFIC)
    assert started.fresh == HEAD
    assert all(torch.equal(t, state[n]) for n, t in started.network.state_dict().items() if n not in HEAD)
    with pytest.raises(InvalidValue, match="the file has in other shapes "):
        build_from(start_of(state), Variant(backbone=SMALL, alpha=0.25, beta=0.5))
    with pytest.raises(InvalidValue, match="the file lacks "):
        build_from(start_of(state), Variant(backbone=SMALL))


def test_building_with_a_file_leaves_nothing_random(of_thousand: State, tmp_path: Path) -> None:
    save_file(of_thousand, tmp_path / "vanilla.safetensors")
    with pytest.raises(InvalidValue, match=r"classifier.weight, classifier.bias: expected a classifier of 2 classes"):
        api.build(SMALL, weights=tmp_path / "vanilla.safetensors")
    built = api.build(SMALL, weights=tmp_path / "vanilla.safetensors", classes=1000)
    assert digest_of(built.state_dict()) == digest_of(of_thousand)


@pytest.mark.parametrize("ratios", [(None, None), (0.5, 0.5)])
def test_a_run_starts_the_same_network_or_an_sfic_form_of_it(ratios: tuple[float | None, float | None]) -> None:
    check_same_network("runs/a", Variant(backbone=SMALL, alpha=ratios[0], beta=ratios[1]), SFIC)


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (Variant(backbone="resnet26"), Variant(backbone=SMALL)),
        (SFIC, Variant(backbone=SMALL)),
        (SFIC, Variant(backbone=SMALL, alpha=0.5, beta=1.0)),
        (Variant(backbone="resnet26", alpha=0.5, beta=0.5), SFIC),
    ],
)
def test_a_run_of_another_network_is_an_error(of: Variant, wanted: Variant) -> None:
    with pytest.raises(InvalidValue, match=r"^runs/a is of .* which cannot start .*: expected a run of "):
        check_same_network("runs/a", of, wanted)


def test_the_format_of_a_file_does_not_matter(of_thousand: State, tmp_path: Path) -> None:
    torch.save({"state_dict": {f"module.{n}": t for n, t in of_thousand.items()}}, tmp_path / "a.pth")
    save_file(of_thousand, tmp_path / "b")
    starts = [file_start(tmp_path / name, SMALL) for name in ("a.pth", "b")]
    assert {start.digest for start in starts} == {digest_of(of_thousand)}
    assert starts[0].source == str(tmp_path / "a.pth")


def test_the_digest_is_of_names_shapes_formats_and_values() -> None:
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3, dtype=torch.bfloat16), "c": torch.empty(0)}
    digests = {
        digest_of(state)
        for state in (
            one,
            {**one, "a": torch.tensor([1.0, -2.0])},
            {**one, "a": torch.tensor([[1.0, 2.0]])},
            {**one, "a": torch.tensor([1.0, 2.0], dtype=torch.float64)},
            {"A": one["a"], "b": one["b"], "c": one["c"]},
            {"a": one["a"], "b": one["b"]},
        )
    }
    assert len(digests) == 6
    assert digest_of(dict(reversed(one.items()))) == digest_of(one)
    assert digest_of({**one, "a": torch.tensor([1.0, 0.0, 2.0])[::2]}) == digest_of(one)
