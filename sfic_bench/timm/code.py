"""The code of a graph as a function that can be copied and pickled."""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import cast

from torch import Tensor, fx, nn


class Code:
    """The code of a graph as a function of the module that it belongs to, and of its input."""

    def __init__(self, source: str, names: Mapping[str, object]) -> None:
        self._source, self._names = source, names
        scope: dict[str, object] = {
            name: importlib.import_module(value.name) if isinstance(value, _Imported) else value
            for name, value in names.items()
        }
        exec(compile(source, "<sfic_bench.timm>", "exec"), scope)
        self._run = cast("Callable[[nn.Module, Tensor], list[Tensor]]", scope["forward"])

    @classmethod
    def of(cls, graph: fx.Graph) -> "Code":
        code = graph.python_code("self")
        names = {n: _Imported(v.__name__) if isinstance(v, ModuleType) else v for n, v in code.globals.items()}
        return cls(code.src, names)

    def __call__(self, module: nn.Module, x: Tensor) -> list[Tensor]:
        return self._run(module, x)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Code, (self._source, self._names)

    def __deepcopy__(self, _: object) -> "Code":
        return self


class _Imported:
    """Stands for a module of Python among the names of a `Code`, since modules cannot be pickled."""

    def __init__(self, name: str) -> None:
        self.name = name
