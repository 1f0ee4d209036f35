"""A network's state, and that of the random generators, as they were before something ran the network's code."""

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import numpy as np
import torch
from torch import nn

from sfic_bench.modules import buffers_by_name, modules_by_name, parameters_by_name

CONTAINERS = (dict, OrderedDict, list, set)
HOOKS = frozenset(name for name, value in vars(nn.Module()).items() if isinstance(value, OrderedDict))


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Undo afterwards what the code of ``model`` does to its attributes, buffers and training flags, and to generators.

    Parameters are no code's to change; lists and dictionaries are restored, but not what lies in them.
    """
    modules = list(modules_by_name(model).values())
    attributes = [(vars(module), vars(module).copy()) for module in modules]
    contents = [content for module in modules for content in _contents(module)]
    buffers = [
        (b, b._version, b.detach().clone())
        for b in buffers_by_name(model).values()
        if not (b.is_meta or b.is_inference())
    ]
    devices = sorted({p.device.index for p in parameters_by_name(model).values() if p.is_cuda})
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            for own, before in attributes:
                own.clear()
                own.update(before)
            for container, content in contents:
                _restore(container, content)
            with torch.no_grad():
                for buffer, version, values in buffers:
                    if buffer._version != version:
                        buffer.copy_(values)


def _contents(module: nn.Module) -> list[tuple[object, object]]:
    """The containers that the code of ``module`` may fill, each with a copy; torch's own layers fill none."""
    if type(module).__module__.startswith("torch.nn."):
        return []
    return [(v, copy(v)) for name, v in vars(module).items() if type(v) in CONTAINERS and name not in HOOKS]


def _restore(container: object, content: object) -> None:
    if isinstance(container, list) and isinstance(content, list):
        container[:] = content
    elif (isinstance(container, dict) and isinstance(content, dict)) or (
        isinstance(container, set) and isinstance(content, set)
    ):
        container.clear()
        container.update(content)
