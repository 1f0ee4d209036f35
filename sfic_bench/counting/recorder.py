"""`Recorder`, which intercepts every call of a torch function and writes down the operation.

Where `sfic_bench.counting.rules` knows the function, the answer is an empty tensor on the meta device with the right
shape. The few functions without a rule run on copies of their arguments on the meta device.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from sfic_bench.counting.op import Effect, Op
from sfic_bench.counting.requests import Request, TorchFunction
from sfic_bench.counting.rules import RULES, VIEWS, WITHOUT_MACS
from sfic_bench.initialisation import meta_tensor
from sfic_bench.nested import replaced


def tensors_in(values: Iterable[object]) -> list[Tensor]:
    """The tensors among ``values``, also in lists, tuples and dictionaries."""
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += tensors_in(value)
        elif isinstance(value, dict):
            tensors += tensors_in(value.values())
    return tensors


class Flow:
    """Which tensor was computed from which, as far as a gradient would flow back."""

    def __init__(self) -> None:
        self._sources: dict[int, list[int]] = {}
        self._results: list[Tensor] = []  # keeps ids from being used again

    def link(self, sources: list[Tensor], result: Tensor) -> None:
        """Note that ``result`` was computed from ``sources``, if a gradient would flow through that operation."""
        if not torch.is_grad_enabled() or not (result.is_floating_point() or result.is_complex()):
            return
        self._results.append(result)
        self._sources.setdefault(id(result), []).extend([id(t) for t in sources])

    def depends(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` was computed, or changed in place."""
        return id(tensor) in self._sources

    def reached(self, output: Tensor, numbers: Mapping[int, int]) -> frozenset[int]:
        """Which of the tensors with these ids, each of which has a number, ``output`` depends on."""
        return frozenset([numbers[tensor] for tensor in self.reached_from([output]) if tensor in numbers])

    def reached_from(self, outputs: list[Tensor]) -> set[int]:
        """Ids of all tensors that ``outputs`` depend on."""
        reached: set[int] = set()
        front = [id(t) for t in outputs]
        while front:
            tensor = front.pop()
            if tensor not in reached:
                reached.add(tensor)
                front += self._sources.get(tensor, ())
        return reached


class ModuleNames:
    """The qualified names of a network's modules, and how many modules hold each of them, by identity."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.names = {id(module): name for name, module in modules.items()}
        self.parents: Counter[int] = Counter()
        for module in modules.values():
            self.parents.update({id(child) for child in module._modules.values()})


class Recorder(TorchFunctionMode):
    """Records the operations of a network, or of several one after another, while it is entered.

    Attributes:
        ops: the operations so far.
        requests: the call that is each of them, and its result.
        flow: which tensor depends on which.
        path: qualified name of the module whose forward pass runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin(ModuleNames({}))

    def begin(self, modules: ModuleNames) -> None:
        """Forget what has been recorded, for a network with these modules."""
        self._names, self._parents = modules.names, modules.parents
        self.ops: list[Op] = []
        self.requests: list[tuple[Request, Tensor]] = []
        self.flow = Flow()
        self.path = ""
        self._stack: list[tuple[str, str, int]] = [("", "", 1)]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Know which module's forward pass runs, as long as the context lasts."""
        enter, leave = self._enter_module, self._leave_module
        hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, _: object) -> None:
        kind = type(module)
        own = kind.__name__ if kind.__module__.startswith("torch.nn.modules") else ""
        # A module made during the forward pass has no name; its calls count as its caller's.
        self.path = self._names.get(id(module), self.path)
        self._stack.append((self.path, own, self._parents.get(id(module), 1)))

    def _leave_module(self, *_: object) -> None:
        self._stack.pop()
        self.path = self._stack[-1][0]

    def __torch_function__(
        self, func: TorchFunction, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        name = func.__name__
        if (name == "__get__" and func in _PLAIN_GETTERS) or name in _PLAIN_METHODS:
            return func(*args, **(kwargs or {}))
        kwargs = kwargs or {}
        in_place = name[-1] == "_" and name[-2:] != "__"
        rule = RULES.get(name[:-1] if in_place else name)
        if rule is None:
            return self._run(func, name, args, kwargs)
        path, module, parents = self._stack[-1]
        sources: list[Tensor] = []
        request = Request(func, rule, module, parents, args, kwargs)
        call = request.answer(sources)
        self.ops.append(Op(path, call))
        result = sources[0] if in_place else meta_tensor(call.output, sources[0].dtype)
        self.flow.link(sources, result)
        self.requests.append((request, result))
        return result

    def _run(self, func: TorchFunction, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call a function that has no rule, on copies of its tensors on the meta device."""
        sources = tensors_in((*args, *kwargs.values()))
        if name in ("__get__", "__set__"):
            name = getattr(getattr(func, "__self__", None), "__name__", name)
            result = func(*args, **kwargs)
        else:
            result = func(*replaced(args, _on_meta), **replaced(kwargs, _on_meta))
        results = tensors_in([result])
        if name not in ("data", "grad", "detach"):
            for tensor in results:
                self.flow.link(sources, tensor)
        if results and sources and name not in VIEWS and name not in _PROPERTIES:
            path, module, parents = self._stack[-1]
            effect = Effect(
                kind=name.rstrip("_"), input=tuple(sources[0].shape), output=tuple(results[0].shape),
                elements_read=sum(t.numel() for t in sources), macs=0 if name in WITHOUT_MACS else None,
            )  # fmt: skip
            request = Request(func, None, module, parents, args, kwargs)
            self.ops.append(Op(path, request.counted(effect)))
            self.requests.append((request, results[0]))
        return result


_PLAIN_GETTERS = frozenset(
    getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad")
)
_PLAIN_METHODS = frozenset(("dim", "size", "numel", "is_floating_point"))
_PROPERTIES = frozenset(("data", "grad", "T", "mT", "H", "mH", "real", "imag"))


def _on_meta(value: object) -> object:
    """``value``, as a meta tensor of its shape if it is a tensor."""
    return torch.empty_like(value, device="meta") if isinstance(value, Tensor) and not value.is_meta else value
