"""Counting a network that is a graph of layers, by what is known of each layer."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import fx, nn

from sfic_bench.counting.cost import Cost
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import Part
from sfic_bench.counting.records import Inputs, LayerFlow, LayerRecord, Records, Table
from sfic_bench.counting.trace import Weight, check_input_sizes
from sfic_bench.counting.values import KnownValue, Shaped, Slot, key_of
from sfic_bench.errors import UnsupportedModel
from sfic_bench.nested import replaced


class Step(NamedTuple):
    """One call of a graph.

    Attributes:
        place: the node's number in the graph.
        path: the qualified name of the module that it calls, empty for a function or a method.
        sources: the numbers of the nodes that it reads.
        read: gives what is known of these nodes, as a `Table` names it, from what is known of all.
        arguments: what tells its arguments from others, see `Records.table`; ``None`` if nothing does.
    """

    place: int
    path: str
    sources: tuple[int, ...]
    read: Callable[[Mapping[int, KnownValue]], Inputs]
    arguments: Hashable | None


class GraphCounter:
    """Counts a network, given as a graph and what lies at each path that the graph names.

    Its counts are those of `count` for the network that is built of them, in which each path has a module and
    parameters of its own. In ``modules``, layers that are equal may be one object.
    """

    def __init__(self, graph: fx.Graph, modules: Mapping[str, object], records: Records) -> None:
        self.graph, self._nodes, self._modules, self._records = graph, list(graph.nodes), modules, records
        self._numbers = {node: i for i, node in enumerate(self._nodes)}
        called = [node for node in self._nodes if node.op.startswith("call")]
        self._steps = [self._step(node) for node in called]
        self._of_path: dict[str, list[int]] = {}
        for i, step in enumerate(self._steps):
            if step.path:
                self._of_path.setdefault(step.path, []).append(i)
        self._tables = [
            self._table(node.op, modules[step.path] if step.path else node.target, step.arguments)
            for node, step in zip(called, self._steps, strict=True)
        ]
        self._sources = [i for i, node in enumerate(self._nodes) if node.op in ("placeholder", "get_attr")]
        self._paths = [step.path for step in self._steps]
        self._result = [self._numbers[node] for node in self._nodes[-1].all_input_nodes]
        self._weights: dict[tuple[LayerFlow, ...], tuple[Weight, ...]] = {}

    def having(self, modules: Mapping[str, object]) -> "GraphCounter":
        """What counts a network of the same graph with other modules; cheaper to make than a new one."""
        other = copy(self)
        other._modules, other._weights = modules, {}
        other._tables = self._tables_with({path: modules[path] for path in self._of_path})
        return other

    def count(self, *input_sizes: Shape, instead: Mapping[str, nn.Module] | None = None) -> Cost:
        """What a forward pass costs, see `sfic_bench.counting.count`.

        ``instead`` has modules that take the place of others, by path, whose parameters are the same.
        """
        check_input_sizes(input_sizes)
        modules = {**self._modules, **instead} if instead else self._modules
        values = self._given(input_sizes)
        records = []
        with self._records.recording():
            for (place, path, sources, read, arguments), table in zip(
                self._steps, self._tables_with(instead or {}), strict=True
            ):
                inputs = read(values)
                record = table.get(inputs)
                if record is None:
                    given = tuple([values[source] for source in sources])
                    record = table[inputs] = self._record(self._nodes[place], modules.get(path), given, arguments)
                values[place] = record.output
                records.append(record)
        output = next((tensor for number in self._result for tensor in values[number].tensors), None)
        if output is None:
            raise UnsupportedModel("the network returns no tensor")
        return Cost(
            input_size=tuple(input_sizes[0]), output=output.shape,
            parts=tuple(map(Part, self._paths, records)),
            find_weights=partial(self._weights_of, records, values),
        )  # fmt: skip

    def _step(self, node: fx.Node) -> Step:
        nodes = node.all_input_nodes
        is_module = node.op == "call_module"
        arguments: Hashable | None = len(nodes)
        if node.kwargs or node.args != tuple(nodes):
            arguments = key_of(self._arguments(node))
        sources = tuple([self._numbers[n] for n in nodes])
        path = str(node.target) if is_module else ""
        read = itemgetter(*sources) if sources else _nothing
        return Step(self._numbers[node], path, sources, read, arguments)

    def _tables_with(self, instead: Mapping[str, object]) -> list[Table]:
        """What is known of each step, where ``instead`` has modules that take the place of others, by path."""
        tables = self._tables.copy()
        for path, module in instead.items():
            for i in self._of_path[path]:
                tables[i] = self._table("call_module", module, self._steps[i].arguments)
        return tables

    def _table(self, kind: str, called: object, arguments: Hashable | None) -> Table:
        # What is not known by a key is known to one step alone.
        return {} if arguments is None else self._records.table((kind, called), arguments)

    def _arguments(self, node: fx.Node) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments of ``node``, with a `Slot` for each node that it reads."""
        slots = {source: Slot(i) for i, source in enumerate(node.all_input_nodes)}
        arguments: tuple[tuple[object, ...], dict[str, object]] = (tuple(node.args), dict(node.kwargs))
        return replaced(arguments, lambda value: slots[value] if isinstance(value, fx.Node) else value)

    def _record(
        self, node: fx.Node, module: object, inputs: tuple[KnownValue, ...], arguments: Hashable | None
    ) -> LayerRecord:
        target = node.target
        called: object = partial(_call_method, target) if isinstance(target, str) else target
        path = str(target) if node.op == "call_module" else ""
        if path:
            called = module
        assert callable(called)
        replayed = self._records.replayed(called, arguments, inputs)
        return replayed or self._records.record(called, *self._arguments(node), inputs, path, arguments)

    def _given(self, input_sizes: Sequence[Shape]) -> dict[int, KnownValue]:
        """What is known before anything is called: the network's inputs, its parameters and its constants."""
        images: list[object] = [Shaped(tuple(size), torch.get_default_dtype()) for size in reversed(input_sizes)]
        values: dict[int, object] = {}
        for i in self._sources:
            node = self._nodes[i]
            if node.op == "get_attr":
                values[i] = self._modules[str(node.target)]
            else:
                values[i] = images.pop() if images else node.args[0]
        return {i: self._records.value(value) for i, value in values.items()}

    # Parameters

    def _weights_of(self, records: Sequence[LayerRecord], values: Mapping[int, KnownValue]) -> tuple[Weight, ...]:
        """Every parameter once; found out once for all inputs through which gradients flow in the same way."""
        flows = tuple([record.flow for record in records])
        if flows not in self._weights:
            self._weights[flows] = tuple(self._weights_given(self._reached(flows, values)))
        return self._weights[flows]

    def _reached(self, flows: Sequence[LayerFlow], values: Mapping[int, KnownValue]) -> set[object]:
        """All that the network's result depends on: tensors, and parameters by path and number."""
        tensors: dict[int, list[object]] = {}
        for i in self._sources:
            is_parameter = self._nodes[i].op == "get_attr"
            name = str(self._nodes[i].target) if is_parameter else i
            tensors[i] = [(name, j) for j in range(len(values[i].tensors))]
        sources: dict[object, list[object]] = {}
        for step, flow in zip(self._steps, flows, strict=True):
            names = [tensor for source in step.sources for tensor in tensors[source]]
            names += [(step.path, i) for i in range(flow.parameters)]
            for number, depends in flow.changed:
                sources.setdefault(names[number], []).extend([names[i] for i in depends])
            tensors[step.place] = []
            for j, (alias, depends) in enumerate(flow.outputs):
                if alias is None:
                    sources[step.place, j] = [names[i] for i in depends]
                tensors[step.place].append((step.place, j) if alias is None else names[alias])
        reached: set[object] = set()
        front = [tensor for number in self._result for tensor in tensors[number]]
        while front:
            tensor = front.pop()
            if tensor not in reached:
                reached.add(tensor)
                front += sources.get(tensor, ())
        return reached

    def _weights_given(self, reached: set[object]) -> Iterator[Weight]:
        for path in dict.fromkeys(str(n.target) for n in self._nodes if n.op in ("call_module", "get_attr")):
            value = self._modules[path]
            if isinstance(value, nn.Parameter):
                module, _, name = path.rpartition(".")
                is_dead = value.requires_grad and (path, 0) not in reached
                yield Weight(
                    module=module, name=name, elements=value.numel(), trainable=value.requires_grad, dead=is_dead
                )
            elif isinstance(value, nn.Module):
                for i, own in enumerate(self._records.layer(value).weights):
                    yield Weight(
                        module=f"{path}.{own.module}" if own.module else path, name=own.name, elements=own.elements,
                        trainable=own.trainable, dead=own.trainable and (path, i) not in reached,
                    )  # fmt: skip


def _nothing(_: object) -> Inputs:
    return ()


def _call_method(name: str, tensor: object, *args: object, **kwargs: object) -> object:
    return getattr(tensor, name)(*args, **kwargs)
