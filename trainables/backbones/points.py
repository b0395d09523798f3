"""Where a traced model may be cut: the points at which exactly one tensor is alive.

Everything that a graph computes is one of three kinds. TENSOR: tensors that follow from the images. CONSTANT: tensors
that follow from parameters and shapes alone (a class token for every image, a table of positions); a stage that needs
one computes it. PLAIN: all else (a batch size, a height, a device). What is plain and needed behind a cut is carried
along as what it is: a constant where it is the same for two batch sizes, else a multiple of the boundary's own.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.backbones.plans import Carried

TENSOR, CONSTANT, PLAIN = "tensor", "constant", "plain"
ROWS = (2, 3)  # the two batch sizes


class Uncuttable(Exception):
    """A value that is needed behind a cut can be neither computed there nor carried."""


class Watcher(fx.Interpreter):
    """Runs a graph and keeps, of every node, its value (of tensors shape and dtype) and its operations, if counted."""

    def __init__(self, model: nn.Module, graph: fx.Graph, counter: FlopCounterMode | None) -> None:
        super().__init__(model, graph=graph)
        self.counter = counter
        self.values: dict[fx.Node, Any] = {}
        self.flops: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        before = self.counted
        value = super().run_node(n)
        self.flops[n] = self.counted - before
        self.values[n] = fx.node.map_aggregate(value, shape_of)
        return value

    @property
    def counted(self) -> int:
        return self.counter.get_total_flops() if self.counter else 0


@dataclass(frozen=True)
class Shape:
    """Of a tensor."""

    sizes: tuple[int, ...]
    dtype: torch.dtype


def shape_of(value: Any) -> Any:
    return Shape(tuple(value.shape), value.dtype) if isinstance(value, Tensor) else value


def has_tensor(value: Any) -> bool:
    found: list[Any] = []
    fx.node.map_aggregate(value, lambda one: found.append(one) if isinstance(one, Shape) else None)
    return bool(found)


@dataclass
class Points:
    """A graph with what it computes for two batch sizes.

    Attributes:
        nodes: of the graph, from the images to the result.
        values: of each node, for each of ROWS.
        flops: of each node, an image.
    """

    model: nn.Module
    nodes: list[fx.Node]
    values: Sequence[Mapping[fx.Node, Any]]
    flops: Mapping[fx.Node, float]

    @classmethod
    def of(cls, model: nn.Module, graph: fx.Graph, size: int) -> "Points":
        """Runs the graph on the device of the model, which may be `meta`, in eval mode.

        Args:
            model: without gradients, which the counter of operations would look for.
            graph: of it.
            size: of the images.
        """
        mode = model.training
        device = next(iter(model.parameters())).device
        watchers: list[Watcher] = []
        with torch.no_grad():
            for rows in ROWS:
                counter = None if watchers else FlopCounterMode(display=False)
                watcher = Watcher(model.eval(), graph, counter)
                with counter or nullcontext():
                    watcher.run(torch.zeros(rows, 3, size, size, device=device))
                watchers.append(watcher)
        model.train(mode)
        flops = {node: count / ROWS[0] for node, count in watchers[0].flops.items()}
        return cls(model, list(graph.nodes), [watcher.values for watcher in watchers], flops)

    @cached_property
    def place(self) -> Mapping[fx.Node, int]:
        return {node: i for i, node in enumerate(self.nodes)}

    @cached_property
    def kinds(self) -> Mapping[fx.Node, str]:
        kinds: dict[fx.Node, str] = {}
        for node in self.nodes:
            follows = node.op == "placeholder" or any(kinds[one] == TENSOR for one in node.all_input_nodes)
            tensor = has_tensor(self.values[0][node])
            kinds[node] = PLAIN if not tensor else TENSOR if follows else CONSTANT
        return kinds

    def own_state(self, node: fx.Node) -> set[int]:
        """The tensors that a node computes with and that are no other node's result: by their identity."""
        if node.op == "call_module":
            module = self.model.get_submodule(str(node.target))
            state = [*module.parameters()]
            return {id(t) for t in ([*state, *module.buffers()] if self.kinds[node] == TENSOR else state)}
        if node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            value = getattr(self.model.get_submodule(owner), name)
            return {id(value)} if isinstance(value, nn.Parameter) else set()
        return set()

    @cached_property
    def state(self) -> Mapping[fx.Node, frozenset[int]]:
        """The same with that of the constants that it needs."""
        state: dict[fx.Node, frozenset[int]] = {}
        for node in self.nodes:
            others = [state[one] for one in node.all_input_nodes if self.kinds[one] != TENSOR]
            state[node] = frozenset(self.own_state(node)).union(*others)
        return state

    @cached_property
    def cuttable(self) -> list[fx.Node]:
        """The points, from the first to the last: images and logits are none."""
        return [node for alive, node in self.alive if alive == {node} and self.is_boundary(node)]

    @cached_property
    def alive(self) -> list[tuple[set[fx.Node], fx.Node]]:
        """Behind each tensor that parts the uses of no parameter: the tensors that are needed from there on."""
        last_use: dict[fx.Node, int] = {}
        first_need: dict[int, int] = {}
        last_need: dict[int, int] = {}
        for i, node in enumerate(self.nodes):
            if self.kinds[node] != TENSOR and node.op != "output":
                continue
            for one in node.all_input_nodes:
                if self.kinds[one] == TENSOR:
                    last_use[one] = i
            for tensor in self.state[node]:
                first_need.setdefault(tensor, i)
                last_need[tensor] = i
        open_until, result = -1, list(self.nodes[-1].all_input_nodes)
        closes: dict[int, int] = {}
        for tensor, first in first_need.items():
            closes[first] = max(closes.get(first, -1), last_need[tensor])
        points: list[tuple[set[fx.Node], fx.Node]] = []
        alive: set[fx.Node] = set()
        for i, node in enumerate(self.nodes[:-1]):
            open_until = max(open_until, closes.get(i, -1))
            if self.kinds[node] != TENSOR:
                continue
            alive = {one for one in alive if last_use.get(one, -1) > i} | {node}
            if open_until <= i and node not in result:
                points.append((alive, node))
        return points

    def is_boundary(self, node: fx.Node) -> bool:
        """Whether its value is one floating-point tensor with a row for each image, which nobody overwrites."""
        if node.op == "placeholder" or not node.users:
            return False
        values = [at[node] for at in self.values]
        if not all(isinstance(value, Shape) and value.dtype.is_floating_point and value.sizes for value in values):
            return False
        rows = tuple(value.sizes[0] for value in values)
        same = {value.sizes[1:] for value in values}
        return rows == ROWS and len(same) == 1 and not any(self.overwrites(user) for user in node.users)

    def overwrites(self, node: fx.Node) -> bool:
        """Whether it computes in place, as far as that shows in the graph."""
        if node.op == "call_module":
            return bool(getattr(self.model.get_submodule(str(node.target)), "inplace", False))
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        return name.endswith("_") or name in ("iadd", "imul", "isub", "setitem") or bool(node.kwargs.get("inplace"))

    def stage(self, start: fx.Node, stop: fx.Node | None) -> tuple[list[fx.Node], dict[str, Carried]]:
        """What a stage computes: the nodes from behind `start` up to `stop`, None for the result, and what it carries.

        Raises Uncuttable.
        """
        last = self.nodes[-1] if stop is None else stop
        inner = [n for n in self.nodes[self.place[start] + 1 : self.place[last] + 1] if n.op != "output"]
        within = {node for node in inner if self.kinds[node] == TENSOR}
        needed, carried = set(within), dict[str, Carried]()

        def need(node: fx.Node) -> None:
            if node in needed or node is start or node.name in carried:
                return
            if self.kinds[node] == TENSOR:
                raise Uncuttable(f"{node.name} is needed behind {start.name}")
            if self.kinds[node] == PLAIN:
                values = [at[node] for at in self.values]
                if values[0] == values[1] and is_plain(values[0]):
                    carried[node.name] = as_json(values[0])
                    return
                known, kept = set(needed), dict(carried)
                try:
                    for one in node.all_input_nodes:
                        need(one)
                except Uncuttable:
                    needed.clear()
                    needed.update(known)
                    carried.clear()
                    carried.update(kept | {node.name: multiple(values)})
                    return
            else:
                for one in node.all_input_nodes:
                    need(one)
            needed.add(node)

        for node in sorted(within, key=self.place.__getitem__):
            for one in node.all_input_nodes:
                need(one)
        return sorted(needed, key=self.place.__getitem__), carried


def is_plain(value: Any) -> bool:
    """Whether a constant may stand for it on every device and in every precision."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def as_json(value: Any) -> Carried:
    return {"tuple": [as_json(one) for one in value]} if isinstance(value, list | tuple) else value


def multiple(values: Sequence[Any]) -> Carried:
    """What is no constant, by the boundary. Raises Uncuttable."""
    first, second = values
    if isinstance(first, torch.device):
        return {"device": True}
    if isinstance(first, tuple | list) and isinstance(second, tuple | list) and len(first) == len(second):
        return {"tuple": [multiple(pair) for pair in zip(first, second, strict=True)]}
    if first == second and is_plain(first):
        return first
    if type(first) is int and type(second) is int and first * ROWS[1] == second * ROWS[0] and first % ROWS[0] == 0:
        return {"rows": first // ROWS[0]}
    raise Uncuttable(f"{values} follows from no boundary")
