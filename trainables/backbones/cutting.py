"""Which points a model is cut at: some eight backbone stages of even compute, the features, and the head.

A cut is a `Plan`: it names the nodes of each stage, so that whoever has the plan needs the graph alone to build them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from trainables.backbones.plans import HEAD, Carried, Piece
from trainables.backbones.points import PLAIN, Points, Uncuttable
from trainables.stages import Stage

BACKBONE_STAGES = 8
SLACK = 0.5  # of a stage's even share: so far from the even cut a shallower one is preferred


def plan(points: Points) -> list[Piece]:
    """The stages of a model, the last one its head. Raises Uncuttable where even the features are no point."""
    return pieces_between(points, best_cuts(points))


def best_cuts(points: Points) -> list[fx.Node]:
    """Where a model is best cut, the features last. Raises Uncuttable where even these are no point."""
    there = points.cuttable
    features = features_of(points, there)
    inner = [node for node in there if points.place[node] < points.place[features]]
    return [*even(points, inner, features), features]


def pieces_between(points: Points, cuts: Sequence[fx.Node]) -> list[Piece]:
    """The stages between cuts."""
    found, start = [], points.nodes[0]
    names: list[str] = []
    whole = max(sum(points.flops.values()), 1.0)
    for stop in [*cuts, None]:
        nodes, carried = points.stage(start, stop)
        result = stop or points.nodes[-1].all_input_nodes[0]
        names.append(HEAD if stop is None else apart(name_of(points, stop), [*names, HEAD]))
        sizes = points.values[0][result].sizes
        found.append(
            Piece(
                name=names[-1],
                nodes=tuple(node.name for node in nodes),
                start=start.name,
                stop=result.name,
                carried=carried,
                share=sum(points.flops[node] for node in nodes) / whole,
                elements=int(torch.Size(sizes[1:]).numel()),
            )
        )
        start = result
    return found


def features_of(points: Points, there: Sequence[fx.Node]) -> fx.Node:
    """The last point before the classifier and the dropout before it. Raises Uncuttable."""
    first = classified(points)
    before = [node for node in there if points.place[node] < first and reaches(points, node)]
    while len(before) > 1 and passes(points, before[-1]):
        before.pop()
    if not before:
        raise Uncuttable("no point before the classifier has one tensor")
    return before[-1]


def classified(points: Points) -> int:
    """Where the classifier begins."""
    own = classifier(points.model)
    return next((points.place[node] for node in points.nodes if points.state[node] & own), len(points.nodes))


def reaches(points: Points, node: fx.Node) -> bool:
    """Whether all that is carried behind it can be."""
    try:
        points.stage(node, None)
    except Uncuttable:
        return False
    return True


def classifier(model: nn.Module) -> set[int]:
    """The parameters of what timm calls the classifier."""
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    wanted = [names] if isinstance(names, str) else list(names)
    return {id(t) for name, t in model.named_parameters() for one in wanted if name.startswith(f"{one}.")}


def passes(points: Points, node: fx.Node) -> bool:
    """Whether a node gives in eval mode what it is given: it then belongs to what follows."""
    if node.op != "call_module":
        return False
    return isinstance(points.model.get_submodule(str(node.target)), nn.Identity | nn.modules.dropout._DropoutNd)


def even(points: Points, there: Sequence[fx.Node], features: fx.Node) -> list[fx.Node]:
    """The points that divide the compute up to the features most evenly.

    Of the points that are nearly as good, that which ends the outermost module.
    """
    done: dict[fx.Node, float] = {}
    total = 0.0
    for node in points.nodes:
        total += points.flops[node]
        done[node] = total
    backbone = done[features]
    if not backbone:
        return []
    chosen: list[fx.Node] = []
    good = [node for node in there if 0 < done[node] < backbone and not passes(points, node) and reaches(points, node)]
    for k in range(1, BACKBONE_STAGES):
        target = backbone * k / BACKBONE_STAGES
        # what is behind the last cut, and computes something since
        after = [n for n in good if not chosen or done[n] > done[chosen[-1]]]
        near = [n for n in after if abs(done[n] - target) <= SLACK * backbone / BACKBONE_STAGES]
        if near:
            chosen.append(min(near, key=lambda n: (depth(points, n), abs(done[n] - target), -points.place[n])))
        elif after:
            nearest = min(after, key=lambda n: (abs(done[n] - target), -points.place[n]))
            if abs(done[nearest] - target) <= backbone / BACKBONE_STAGES / 2:
                chosen.append(nearest)
    return [node for i, node in enumerate(chosen) if computes(points, (chosen[i - 1] if i else points.nodes[0]), node)]


def computes(points: Points, start: fx.Node, stop: fx.Node) -> bool:
    """Whether a stage can be built, and has a parameter."""
    try:
        nodes, _ = points.stage(start, stop)
    except Uncuttable:
        return False
    return any(points.state[node] for node in nodes)


def scope(node: fx.Node) -> list[str]:
    """The paths of the modules that a node is in, from the outermost; a layer is in itself."""
    return [path for path in node.meta.get("nn_module_stack", {}) if path] + (
        [str(node.target)] if node.op == "call_module" else []
    )


def ended(points: Points, node: fx.Node) -> str | None:
    """The outermost module that a node is the last of."""
    follows = next((n for n in points.nodes[points.place[node] + 1 :] if points.kinds[n] != PLAIN), None)
    inside = set(scope(follows)) if follows is not None else set()
    return next((path for path in scope(node) if path not in inside), None)


def depth(points: Points, node: fx.Node) -> int:
    path = ended(points, node)
    return path.count(".") if path else len(scope(node)) + 1


def name_of(points: Points, node: fx.Node) -> str:
    """The module that ends there, else where in a module it is."""
    path = ended(points, node)
    return path or ".".join([*scope(node)[-1:], node.name])


def apart(name: str, taken: Sequence[str]) -> str:
    """A name that no other stage has, also once its dots are underscores."""
    known = {one.replace(".", "_") for one in taken}
    candidates = (name, *(f"{name}.{i}" for i in range(2, 99)))
    return next(one for one in candidates if one.replace(".", "_") not in known)


class CutStage(fx.GraphModule):
    """A part of a graph, on the layers of the model that it was traced from. What it computes is part of its repr."""

    def extra_repr(self) -> str:
        return str(self.code)


def build(model: nn.Module, graph: fx.Graph, pieces: Sequence[Piece]) -> list[Stage]:
    """The stages of a plan, on the tensors of `model`."""
    nodes = {node.name: node for node in graph.nodes}
    stages = [Stage(piece.name, stage(model, nodes, piece)) for piece in pieces]
    keep_unused(model, stages)
    return stages


def stage(model: nn.Module, nodes: dict[str, fx.Node], piece: Piece) -> CutStage:
    graph = fx.Graph()
    boundary = graph.placeholder("boundary")
    if piece.layout:
        there = graph.call_method("contiguous", (graph.call_method("permute", (boundary, piece.layout)),))
        back = tuple(piece.layout.index(axis) for axis in range(len(piece.layout)))
        boundary = graph.call_method("permute", (there, back))
    copies: dict[fx.Node, Any] = {nodes[piece.start]: boundary}
    carried = dict(piece.carried)
    values: dict[fx.Node, Any] = {nodes[name]: written(graph, boundary, one) for name, one in carried.items()}
    copies |= values
    for name in piece.nodes:
        node = nodes[name]
        args = substituted(node.args, copies)
        kwargs = substituted(node.kwargs, copies)
        copies[node] = graph.create_node(node.op, node.target, args, kwargs, name=node.name)
    graph.output(copies[nodes[piece.stop]])
    built = CutStage(model, graph)
    as_in(model, built)
    return built


def substituted(given: Any, copies: dict[fx.Node, Any]) -> Any:
    """Arguments with every node replaced by what stands for it in a stage."""
    if isinstance(given, fx.Node):
        return copies[given]
    if isinstance(given, tuple | list):
        return type(given)(substituted(one, copies) for one in given)
    if isinstance(given, dict):
        return {key: substituted(one, copies) for key, one in given.items()}
    if isinstance(given, slice):
        return slice(*(substituted(one, copies) for one in (given.start, given.stop, given.step)))
    return given


def written(graph: fx.Graph, boundary: fx.Node, value: Carried) -> Any:
    """What is carried, in the graph of a stage."""
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(written(graph, boundary, one) for one in value["tuple"])
    if "device" in value:
        return graph.call_function(getattr, (boundary, "device"))
    rows = graph.call_method("size", (boundary, 0))
    return rows if value["rows"] == 1 else graph.call_function(int.__mul__, (rows, value["rows"]))


def as_in(model: nn.Module, built: nn.Module) -> None:
    """Buffers that are no part of the model's state are none of the stage's."""
    for path, module in built.named_modules():
        owner = submodule(model, path)
        if owner is None or owner is module:
            continue
        for name in module._buffers:
            if name not in owner._buffers or name in owner._non_persistent_buffers_set:
                module._non_persistent_buffers_set.add(name)


def submodule(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


def keep_unused(model: nn.Module, stages: Sequence[Stage]) -> None:
    """What the model has and does not compute with (a mask token, say) is kept by the head, and not trained.

    So a checkpoint of the stages has all that its library looks for, and pretrained weights may lack it.
    """
    held = {id(t) for one in stages for t in [*one.module.parameters(), *one.module.buffers()]}
    state = model.state_dict(keep_vars=True)
    unused: dict[str, Tensor] = {name: t for name, t in state.items() if id(t) not in held}
    for name, tensor in unused.items():
        stages[-1].module.register_buffer(f"unused_{name.replace('.', '_')}", tensor.requires_grad_(False))
