"""Runs one third-party counter in this process, on networks that stdin describes in JSON; prints a JSON line for each.

``python -m sfic_bench.counting.peer_worker thop < networks.json``
"""

import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module

import torch
from torch import nn

from sfic_bench.counting.peers import COUNTERS, release_of


def _ptflops(model: nn.Module, shape: tuple[int, ...], **options: object) -> int:
    from ptflops import get_model_complexity_info

    if release_of(COUNTERS["ptflops"].version or "") >= (0, 7, 1):
        options.setdefault("backend", "pytorch")
    macs, _ = get_model_complexity_info(
        model, shape[1:], as_strings=False, print_per_layer_stat=False, verbose=False, **options
    )
    if macs is None:
        raise RuntimeError("ptflops gave no result")
    return int(macs)


def _ptflops_modules(model: nn.Module, shape: tuple[int, ...]) -> int:
    version = COUNTERS["ptflops"].version or ""
    if release_of(version) < (0, 7, 4):
        raise RuntimeError(f"ptflops {version} has no count_functional; 0.7.4 has")
    return _ptflops(model, shape, backend_specific_config={"count_functional": False})


def _fvcore(model: nn.Module, shape: tuple[int, ...]) -> int:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model.eval(), torch.zeros(shape))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(analysis.total())


def _thop(model: nn.Module, shape: tuple[int, ...]) -> int:
    import thop

    return int(thop.profile(model, (torch.zeros(shape),), verbose=False)[0])


def _flop_counter_mode(model: nn.Module, shape: tuple[int, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(shape))
    return int(counter.get_total_flops()) // 2


COUNT: dict[str, Callable[[nn.Module, tuple[int, ...]], int]] = {
    "ptflops": _ptflops,
    "ptflops-modules": _ptflops_modules,
    "ptflops-aten": partial(_ptflops, backend="aten"),
    "fvcore": _fvcore,
    "thop": _thop,
    "FlopCounterMode": _flop_counter_mode,
}
"""How each counter is called, by its name."""


def main(counter: str) -> None:
    """Count every network that stdin describes; what a counter prints is discarded, so that stdout has only results."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for builder, arguments, shape in json.load(sys.stdin):
        module, _, function = builder.partition(":")
        answer: dict[str, object] = {"macs": None, "reason": ""}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                model = getattr(import_module(module), function)(**arguments)
                with torch.no_grad():
                    answer["macs"] = COUNT[counter](model, tuple(shape))
        except Exception as error:  # a third-party tool may raise anything; the answer has its message
            answer["reason"] = f"{type(error).__name__}: {error}".splitlines()[0]
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
