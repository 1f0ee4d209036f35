"""One forward pass as shapes: which operations a network makes, and which parameters matter to it.

Every call of a torch function is intercepted. Where `rules` knows it, the answer is an empty tensor
on the meta device with the right shape; nothing is computed, and the network's own weights are only
asked for their shapes, so it may lie on any device. The few functions without a rule run on copies
on the meta device. The network itself is left as it was, also when its forward pass fails.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from sfic_bench.counting.flow import Flow, Weight, weights_of
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import Call, Op
from sfic_bench.counting.rules import RULES, VIEWS, Effect, InputTooSmall
from sfic_bench.errors import InvalidValue, UnsupportedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a forward pass does, in order.

    Attributes:
        ops: its operations.
        output: shape of the result (of the first tensor in it).
        weights: every parameter of the network, once.
    """

    ops: tuple[Op, ...]
    output: Shape
    weights: tuple[Weight, ...]


def trace(model: nn.Module, *input_sizes: Shape) -> Trace:
    """The operations of ``model.eval()`` for one float input of each of ``input_sizes``.

    Raises:
        InputTooSmall: if the input shrinks below a window; names the module.
        InvalidValue: if an input size does not fit the network.
        UnsupportedModel: if the forward pass needs values, not only shapes.
    """
    for size in input_sizes:
        if len(size) < 2 or min((size[0], *size[2:])) < 1:  # a branch may have no channels
            raise InvalidValue(f"input_size must be positive, such as (1, 3, 256, 256), got {size}")
    modules = dict(model.named_modules())
    with _evaluating(model, modules.values()), _Recorder(modules) as recorder:
        inputs = [torch.empty(size, device="meta") for size in input_sizes]
        try:
            # A GraphModule's __call__ prints a traceback of its own before it raises.
            forward = model.forward if isinstance(model, torch.fx.GraphModule) else model
            result = forward(*inputs)
        except (InputTooSmall, InvalidValue) as error:
            raise type(error)(f"{error} (at {recorder.path or 'the network itself'})") from None
        except (RuntimeError, NotImplementedError) as error:
            if "meta" not in str(error).lower():
                raise
            raise UnsupportedModel(
                f"{recorder.path or type(model).__name__} needs the values of a tensor, and a count "
                f"has only shapes: {str(error).splitlines()[0]}"
            ) from error
    outputs = _tensors([result])
    if not outputs:
        raise UnsupportedModel(f"{type(model).__name__} returns no tensor")
    return Trace(
        ops=tuple(recorder.ops),
        output=tuple(outputs[0].shape),
        weights=weights_of(modules, recorder.flow.reached_from(outputs)),
    )


def smallest_input(model: nn.Module, channels: int = 3, limit: int = 4096) -> int | None:
    """The least n for which ``model`` takes ``[1, channels, n, n]``; ``None`` if none up to ``limit`` will do."""

    def fits(n: int) -> bool:
        try:
            trace(model, (1, channels, n, n))
        except InvalidValue:
            return False
        return True

    low, high = 0, 1
    while not fits(high):
        low, high = high, high * 2
        if high > limit:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@contextmanager
def _evaluating(model: nn.Module, modules: Iterable[nn.Module]) -> Iterator[None]:
    training = [m for m in modules if m.training]
    try:
        if training:
            model.eval()
        yield
    finally:
        for m in training:
            m.training = True


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among ``values``, also in lists, tuples and dictionaries."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
        elif isinstance(value, dict):
            found += _tensors(value.values())
    return found


class _Recorder(TorchFunctionMode):
    """Records operations while it is entered."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.flow = Flow()
        self.path = ""
        self._stack: list[tuple[str, str, int]] = [("", "", 1)]
        self._names: dict[int, str] = {}
        self._parents: Counter[int] = Counter()
        for name, m in modules.items():
            self._names[id(m)] = name
            self._parents.update(set(map(id, m._modules.values())))

    def __enter__(self) -> "_Recorder":
        self._hooks = [
            register_module_forward_pre_hook(self._enter_module),
            register_module_forward_hook(self._leave_module),
        ]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def _enter_module(self, module: nn.Module, _: Any) -> None:
        kind = type(module)
        own = kind.__name__ if kind.__module__.startswith("torch.nn.modules") else ""
        # A module made during the forward pass has no name; its calls count as its caller's.
        self.path = self._names.get(id(module), self.path)
        self._stack.append((self.path, own, self._parents.get(id(module), 1)))

    def _leave_module(self, *_: Any) -> None:
        self._stack.pop()
        self.path = self._stack[-1][0]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name: str = func.__name__
        if name == "__get__" and func in _PLAIN_GETTERS:
            return func(*args)
        in_place = name[-1] == "_" and name[-2:] != "__"
        rule = RULES.get(name[:-1] if in_place else name)
        if rule is None:
            return self._run(func, name, args, kwargs)
        path, module, parents = self._stack[-1]
        sources: list[Tensor] = []
        key = (func, module, parents, _scan(args, sources), *kwargs, _scan(kwargs.values(), sources))
        call = _calls.get(key)
        if call is None:
            call = _calls[key] = _call(func, module, parents, rule(*args, **kwargs))
        self.ops.append(Op(path, call))
        result = sources[0] if in_place else _empty(call.output, sources[0].dtype)
        self.flow.link(sources, result)
        return result

    def _run(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function without a rule: done for real, on meta copies of whatever is not there yet."""
        sources = _tensors((*args, *kwargs.values()))
        if name in ("__get__", "__set__"):
            name = getattr(func.__self__, "__name__", name)
            result = func(*args, **kwargs)
        else:
            result = func(*_on_meta(args), **_on_meta(kwargs))
        made = _tensors([result])
        if name not in ("data", "grad", "detach"):
            for tensor in made:
                self.flow.link(sources, tensor)
        if made and sources and name not in VIEWS and name not in _PROPERTIES:
            path, module, parents = self._stack[-1]
            effect = Effect(
                kind=name.rstrip("_"),
                input=tuple(sources[0].shape),
                output=tuple(made[0].shape),
                read=sum(t.numel() for t in sources),
                macs=None,
            )
            self.ops.append(Op(path, _call(func, module, parents, effect)))
        return result


_calls: dict[Any, Call] = {}
"""Every call that any trace has met, by function, module class and shapes."""

_empties: dict[tuple[Shape, torch.dtype], Tensor] = {}


def _scan(values: Iterable[Any], tensors: list[Tensor]) -> tuple[Any, ...]:
    """Collect ``tensors``, and return what a rule looks at: of tensors only the shape. Hashable."""
    key: list[Any] = []
    for v in values:
        if isinstance(v, Tensor):
            tensors.append(v)
            key.append(v.shape)
        elif isinstance(v, list | tuple):
            key.append(_scan(v, tensors))
        else:
            key.append(v)
    return tuple(key)


def _call(func: Any, module: str, parents: int, effect: Effect) -> Call:
    return Call(
        kind=effect.kind,
        module=module,
        parents=parents,
        in_functional=getattr(func, "__module__", None) in _FUNCTIONAL,
        input=effect.input,
        output=effect.output,
        weight=effect.weight,
        bias=effect.bias,
        macs=effect.macs,
        elements_read=effect.read,
        elements_skipped=effect.skipped,
    )


def _empty(shape: Shape, dtype: torch.dtype) -> Tensor:
    """A new meta tensor. Naming an old one anew takes a fifth of the time that making one does."""
    if (shape, dtype) not in _empties:
        _empties[shape, dtype] = torch.empty(shape, dtype=dtype, device="meta")
    return _empties[shape, dtype].detach()


_FUNCTIONAL = ("torch.nn.functional", "torch._C._nn")
_PLAIN_GETTERS = frozenset(
    getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad")
)
_PROPERTIES = frozenset(("data", "grad", "T", "mT", "H", "mH", "real", "imag"))


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.is_meta else torch.empty_like(value, device="meta")
    if isinstance(value, list | tuple):
        return type(value)(_on_meta(v) for v in value)
    if isinstance(value, dict):
        return {k: _on_meta(v) for k, v in value.items()}
    return value
