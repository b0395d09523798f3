"""A model of timm as a graph: `torch.fx` with its layers, and what timm says does not trace, as leaves.

A submodule that cannot be traced becomes a leaf, too: one piece of the graph, which is cut around it. Where the model's
own `forward` cannot be traced there is no graph.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)
MOST_PIECES = 40  # kinds of submodules that may be leaves since they do not trace


@dataclass(frozen=True)
class Traced:
    """A model's graph; it may be run on any instance of the model.

    Attributes:
        pieces: the classes whose instances are leaves since they do not trace.
    """

    graph: fx.Graph
    pieces: tuple[str, ...]


class BufferProxy(fx.proxy.ParameterProxy):
    """A buffer, whose shape is a constant."""

    def __init__(self, tracer: fx.Tracer, node: fx.Node, name: str, buffer: torch.Tensor) -> None:
        fx.Proxy.__init__(self, node, tracer)
        self.param, self.name = buffer, name  # type: ignore[assignment]


class Tracer(fx.Tracer):
    """Every layer of torch, what is derived from one, and what timm says is a leaf."""

    def __init__(self, model: nn.Module, pieces: set[type[nn.Module]]) -> None:
        from timm.layers._fx import get_notrace_functions, get_notrace_modules
        from timm.layers.drop import DropBlock2d, DropPath

        super().__init__(autowrap_functions=tuple(get_notrace_functions()), param_shapes_constant=True)
        self.leaves = {*get_notrace_modules(), DropPath, DropBlock2d, *pieces}
        self.buffers = {id(buffer): name for name, buffer in model.named_buffers()}
        self.failed: nn.Module | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if type(m) in self.leaves or super().is_leaf_module(m, module_qualified_name):
            return True
        bases = [base for base in type(m).__mro__ if base not in CONTAINERS and not issubclass(base, CONTAINERS[1:])]
        return any(base.__module__.startswith("torch.nn.modules") and base is not nn.Module for base in bases)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed or m  # the innermost
            raise

    def _module_getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What is computed of a buffer is part of the graph, as of a parameter, and no constant of this instance."""
        name = self.buffers.get(id(attr_val)) if isinstance(attr_val, torch.Tensor) else None
        if name is None:
            return super()._module_getattr(attr, attr_val, parameter_proxy_cache)  # type: ignore[misc]
        if name not in parameter_proxy_cache:
            node = self.create_node("get_attr", name, (), {})
            parameter_proxy_cache[name] = BufferProxy(self, node, name, attr_val)
        return parameter_proxy_cache[name]

    def create_arg(self, a: Any) -> Any:
        """A tensor that is a plain attribute of a module is known by the module's name, as parameters are."""
        if isinstance(a, torch.Tensor) and not isinstance(a, nn.Parameter):
            for path, module in self.root.named_modules():
                for name, value in vars(module).items():
                    if value is a:
                        return self.create_node("get_attr", f"{path}.{name}".lstrip("."), (), {})
        return super().create_arg(a)


def defaults(model: nn.Module) -> dict[str, Any]:
    """What `forward` may be given beside the images: a mask, say. It is not."""
    _, *others = signature(model.forward).parameters.values()
    return {one.name: one.default for one in others if one.default is not Parameter.empty}


def traced(model: nn.Module) -> Traced | None:
    """The model's graph in the mode that it is in; None where its own `forward` does not trace."""
    pieces: set[type[nn.Module]] = set()
    while len(pieces) <= MOST_PIECES:
        without_constants(model)
        tracer = Tracer(model, pieces)
        try:
            graph = tracer.trace(model, concrete_args=defaults(model))
            dropouts_as_layers(graph)
            with_dropouts(model, graph)
            return Traced(graph, tuple(sorted(piece.__name__ for piece in pieces)))
        except Exception:  # whatever a model's own code raises when it is given proxies
            if tracer.failed is None or type(tracer.failed) in pieces:
                return None
            pieces.add(type(tracer.failed))
    return None


def without_constants(model: nn.Module) -> None:
    """Forgets what torch.fx left in a model that was traced before: it numbers constants by what is there already."""
    for name in [name for name in vars(model) if name.startswith("_tensor_constant")]:
        delattr(model, name)


RATE = "rate"  # of a node, in its meta: of the dropout that it has become a layer of


def dropouts_as_layers(graph: fx.Graph) -> None:
    """A call of `functional.dropout` becomes a layer: in a graph its `training` would be that of the moment."""
    for node in graph.nodes:
        if node.op == "call_function" and node.target is functional.dropout:
            given, *others = node.args
            node.meta[RATE] = float(others[0] if others else node.kwargs.get("p", 0.5))
            node.op, node.target, node.args, node.kwargs = "call_module", f"functional_{node.name}", (given,), {}


def with_dropouts(model: nn.Module, graph: fx.Graph) -> None:
    """Gives the model these layers, which its own `forward` does not use."""
    for node in graph.nodes:
        if RATE in node.meta and not hasattr(model, node.target):
            model.add_module(node.target, nn.Dropout(node.meta[RATE]))
