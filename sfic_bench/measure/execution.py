"""Ways to run a network, each made ready once and then called many times.

A way that this machine lacks raises `Unavailable` with the reason; it is never replaced by another.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Unavailable(Exception):
    """This way of running does not exist here; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A network made ready for one input.

    Attributes:
        run: one inference, or one training step; returns the network's result.
        setup_s: what compiling or capturing took.
    """

    run: Callable[[], Tensor]
    setup_s: float


Maker = Callable[[nn.Module, Tensor, bool], Ready]


def _step(
    model: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor, training: bool
) -> Callable[[], Tensor]:
    """One inference without autograd, or forward, backward and fresh gradients of all parameters."""

    def infer() -> Tensor:
        with torch.no_grad():
            return forward(x)

    def train() -> Tensor:
        for p in model.parameters():
            p.grad = None
        result = forward(x)
        result.float().square().mean().backward()  # type: ignore[no-untyped-call]
        return result.detach()

    return train if training else infer


def eager(model: nn.Module, x: Tensor, training: bool) -> Ready:
    """Operation by operation."""
    return Ready(run=_step(model, model, x, training), setup_s=0.0)


def compiled(mode: str) -> Maker:
    """`torch.compile` in ``mode``; compile time is set-up."""

    def make(model: nn.Module, x: Tensor, training: bool) -> Ready:
        if mode == "reduce-overhead" and x.device.type != "cuda":
            raise Unavailable("reduce-overhead captures CUDA graphs, and this is no CUDA device")
        run = _step(model, torch.compile(model, mode=mode), x, training)
        start = time.perf_counter()
        run()
        return Ready(run=run, setup_s=time.perf_counter() - start)

    return make


def cuda_graph(model: nn.Module, x: Tensor, training: bool) -> Ready:
    """One capture into a CUDA graph with static buffers, then replay."""
    if x.device.type != "cuda":
        raise Unavailable("CUDA graphs need a CUDA device")
    start = time.perf_counter()
    step = _step(model, model, x, training)
    side = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(side):  # lazy initialisation must not be captured
        for _ in range(3):
            step()
    torch.cuda.current_stream(x.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay() -> Tensor:
        graph.replay()
        return result

    return Ready(run=replay, setup_s=time.perf_counter() - start)


MAKERS: Mapping[str, Maker] = {
    "eager": eager,
    "compiled": compiled("default"),
    "compiled-reduce-overhead": compiled("reduce-overhead"),
    "compiled-max-autotune": compiled("max-autotune"),
    "cuda-graph": cuda_graph,
}
"""By name; `torch.compile`'s modes by theirs."""
