"""Finds the stages of a model, and checks that they compute what the model does, bit for bit.

This is done when a model is first used on a machine, for each size of its images: seconds, for a large model a minute.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cache

import torch
from torch import Tensor, fx, nn

from trainables.backbones import kept
from trainables.backbones.cutting import BACKBONE_STAGES, best_cuts, build, pieces_between, plan
from trainables.backbones.packing import Pack, packs, spread, with_packs
from trainables.backbones.plans import HEAD, IN_PIECES, TRACED, WHOLE, Cut, Piece
from trainables.backbones.points import ROWS, Points, Uncuttable
from trainables.backbones.tracing import Traced, traced, with_dropouts
from trainables.rates import residual_blocks
from trainables.stages import Stage, StagedModel

FEW = 4  # stages, the head among them: where branches may be cut together


def create(name: str, size: int, classes: int) -> nn.Module:
    """timm's model, for square images of that size; it remembers which it is. Raises ValueError where it has none."""
    import timm

    own = own_size(name)
    if size == own:
        model = timm.create_model(name, num_classes=classes)
    else:
        try:
            model = timm.create_model(name, num_classes=classes, img_size=size)
        except TypeError:  # no such argument: one that takes images of any size
            model = timm.create_model(name, num_classes=classes)
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(f"{name} cannot take images of {size} px: {first_line(error)}") from None
    residual_blocks(model)  # gives each its stochastic depth, so that it is in the graph
    model.built_for = (name, size)  # type: ignore[assignment]
    return model


def own_size(name: str) -> int:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    assert config is not None
    return int(config.input_size[-1])


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@cache
def cut(name: str, size: int) -> Cut:
    """As it is kept, or else found now. Raises ValueError where the model cannot take images of that size."""
    key = f"{name}@{size}"
    if known := kept.read(key):
        return Cut.read(known)
    found = find(name, size)
    kept.write(key, asdict(found))
    return found


def find(name: str, size: int) -> Cut:
    """Raises ValueError where the model cannot take images of that size, or can be used in no way."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    try:
        model = scrambled(create(name, size, 2))
        check_size(model, name, size)
        reasons = []
        for training in (True, False):
            try:
                found, why = found_in_graph(model, size, training=training)
            except Uncuttable as reason:
                reasons.append(str(reason))
                continue
            if not why:
                assert found is not None
                return found
            reasons.append(why)
        try:
            stages = as_one(model)
        except ValueError as error:
            raise ValueError(
                f"timm/{name} cannot be used: {'; '.join(dict.fromkeys([*reasons, str(error)]))}"
            ) from None
        if why := differs(model, stages, size):
            raise ValueError(f"timm/{name} cannot be used: {why}")
        return Cut(WHOLE, True, 0, (), features(stages, model), why="; ".join(dict.fromkeys(reasons)))
    finally:
        torch.random.set_rng_state(state)


def check_size(model: nn.Module, name: str, size: int) -> None:
    """Raises ValueError where the model cannot take such images, or gives no logits for them."""
    try:
        with torch.no_grad():
            result = model.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name} cannot take images of {size} px: {first_line(error)}") from None
    if not isinstance(result, Tensor) or result.shape != (1, 2):
        raise ValueError(f"timm/{name} is no classifier of images: it gives no logits")


@dataclass(frozen=True)
class Graphed:
    """A model with its graph, and where that may be cut.

    Attributes:
        size: of the images.
        training: the mode in which it was traced.
        packed: what was put into the graph.
    """

    model: nn.Module
    size: int
    training: bool
    whole: Traced
    points: Points
    packed: Sequence[Pack] = ()

    @classmethod
    def of(cls, model: nn.Module, size: int, packed: Sequence[Pack] = (), *, training: bool) -> "Graphed | None":
        """None where the model's forward does not trace."""
        whole = traced(model.train(training))
        if whole is None:
            return None
        with_packs(whole.graph, packed)
        return cls(model, size, training, whole, points_of(model, whole.graph, size), packed)


def found_in_graph(model: nn.Module, size: int, *, training: bool) -> tuple[Cut | None, str]:
    """The cut of a model traced in a mode, and why it is not exact, if it is not. Raises Uncuttable."""
    plain = Graphed.of(model, size, training=training)
    if plain is None:
        return None, "its forward does not trace"
    found, why = None, ""
    for packed in branches_together(plain.points):
        graphed = Graphed.of(model, size, packed, training=training) if packed else plain
        assert graphed is not None
        found, why = cut_at(graphed)
        if not why:
            break
    return found, why


def branches_together(points: Points) -> list[list[Pack]]:
    """What may be tried, the best first: cuts where one tensor is alive; where these are few, several as one, too.

    Raises Uncuttable where neither is possible.
    """
    there = packs(points)
    together = [spread(points, there, BACKBONE_STAGES), there[-1:]] if there else []
    try:
        return [*together, []] if len(plan(points)) <= FEW else [[]]
    except Uncuttable:
        if not together:
            raise
        return together


def cut_at(graphed: Graphed) -> tuple[Cut, str]:
    """The cut, and why it is not exact, if it is not: cuts that are not are left out first. Raises Uncuttable."""
    wanted = best_cuts(graphed.points)
    pieces, stages, why = tried(graphed, wanted)
    if why and (fewer := exact_alone(graphed, wanted)):
        pieces, stages, why = tried(graphed, fewer)
    whole = graphed.whole
    found = Cut(
        how=IN_PIECES if whole.pieces else TRACED,
        training=graphed.training,
        points=len(graphed.points.cuttable),
        pieces=tuple(pieces),
        features=features(stages, graphed.model),
        packs=tuple(graphed.packed),
        why=f"{', '.join(whole.pieces)} do not trace" if whole.pieces else "",
    )
    return found, why


def tried(graphed: Graphed, wanted: Sequence[fx.Node]) -> tuple[list[Piece], list[Stage], str]:
    """The stages between some cuts, and why they are not exact, if they are not."""
    model, graph, size = graphed.model, graphed.whole.graph, graphed.size
    plain = pieces_between(graphed.points, wanted)
    stages = build(model, graph, plain)
    pieces = laid_out(plain, stages, size)
    if pieces != plain:
        stages = build(model, graph, pieces)
    return pieces, stages, differs(model, stages, size)


def exact_alone(graphed: Graphed, wanted: Sequence[fx.Node]) -> list[fx.Node]:
    """Of some cuts those that are exact beside the features alone; none where there are not fewer, or these are not."""
    *inner, last = wanted
    if not inner or tried(graphed, [last])[-1]:
        return []
    return [*(one for one in inner if not tried(graphed, [one, last])[-1]), last]


def points_of(model: nn.Module, graph: fx.Graph, size: int) -> Points:
    """By a copy on the meta device, where nothing is computed, but for models that look at values."""
    try:
        return Points.of(deepcopy(model).to("meta").requires_grad_(False), graph, size)
    except (NotImplementedError, RuntimeError):
        return Points.of(deepcopy(model).requires_grad_(False), graph, size)


def features(stages: Sequence[Stage], model: nn.Module) -> tuple[str, ...]:
    return StagedModel(stages, model).features


def as_one(model: nn.Module) -> list[Stage]:
    """The whole model but for its classifier, and that. Raises ValueError where it has not one classifier."""
    name = getattr(model, "pretrained_cfg", {}).get("classifier")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no classifier that its backbone could do without")
    head = model.get_submodule(name)
    backbone = copy(model)
    owner = backbone
    *path, last = name.split(".")
    owner._modules = dict(owner._modules)
    for part in path:
        inner = copy(owner._modules[part])
        assert inner is not None
        inner._modules = dict(inner._modules)
        owner._modules[part] = inner
        owner = inner
    owner._modules[last] = nn.Identity()
    return [Stage("backbone", backbone), Stage(HEAD, head)]


def stages_of(model: nn.Module) -> list[Stage]:
    """A model of `create` as its stages."""
    name, size = model.built_for  # type: ignore[misc]
    found = cut(name, size)
    if found.how == WHOLE:
        return as_one(model)
    mode = model.training
    graph = graph_of(model, name, size, found)
    model.train(mode)
    return build(model, graph, found.pieces)


GRAPHS: dict[tuple[str, int], fx.Graph] = {}  # of this process, of models whose graph holds no tensor of its own


def graph_of(model: nn.Module, name: str, size: int, found: Cut) -> fx.Graph:
    if (name, size) in GRAPHS:
        with_dropouts(model, GRAPHS[name, size])
        return GRAPHS[name, size]
    whole = traced(model.train(found.training))
    assert isinstance(whole, Traced), f"{name} was traced before"
    with_packs(whole.graph, found.packs)
    if not any("_tensor_constant" in str(node.target) for node in whole.graph.nodes):
        GRAPHS[name, size] = whole.graph
    return whole.graph


# Whether the stages compute what the model does


@torch.no_grad()
def laid_out(pieces: Sequence[Piece], stages: Sequence[Stage], size: int) -> list[Piece]:
    """The pieces with the layout of what each is given, where rows that were stored would have another."""
    boundary, found = torch.randn(ROWS[0], 3, size, size), []
    for piece, one in zip(pieces, stages, strict=True):
        strides = boundary.stride()
        order = tuple(sorted(range(boundary.ndim), key=strides.__getitem__, reverse=True))
        found.append(replace(piece, layout=order) if torch.cat([boundary]).stride() != boundary.stride() else piece)
        boundary = one.module.eval()(boundary)
    return found


def scrambled(model: nn.Module) -> nn.Module:
    """Random numbers where builders put zeros and ones, so that no branch, norm or bias is without effect."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2 or not parameter.any():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def differs(model: nn.Module, stages: Sequence[Stage], size: int) -> str:
    """Where the stages one after the other are not the model bit for bit, in eval mode and in training; empty if so."""
    for rows in ROWS:
        images = torch.randn(rows, 3, size, size)
        for training in (False, True):
            if why := differs_on(model, stages, images, training=training):
                mode = "training" if training else "eval mode"
                return f"the stages are not the whole bit for bit in {mode}: {why}"
    return ""


@torch.no_grad()
def differs_on(model: nn.Module, stages: Sequence[Stage], images: Tensor, *, training: bool) -> str:
    """The first difference on a batch. Dropout is off, running statistics are put back."""
    for module in [model, *(one.module for one in stages)]:
        module.train(training)
    before = {name: t.clone() for name, t in model.named_buffers()}
    rates = [rate for one in [model, *(stage.module for stage in stages)] for rate in switched_off(one)]
    try:
        wanted = model(images.clone())
        after = [t.clone() for _, t in model.named_buffers()]
        put_back(model, before)
        if not isinstance(wanted, Tensor):
            return "" if training else "it gives more than logits"  # what it trains beside them is not trained here
        boundary = images.clone()
        for one in stages:
            given = boundary.clone()
            result = one.module(boundary)
            if not torch.equal(given, boundary):
                return f"{one.name} overwrites what it is given"
            boundary = result if training else torch.cat([result])  # as frozen stages give it
        if not torch.equal(boundary, wanted):
            return "the logits differ"
        if any(not torch.equal(a, b) for a, b in zip(after, (t for _, t in model.named_buffers()), strict=True)):
            return "the running statistics differ"
        return ""
    finally:
        put_back(model, before)
        for module, name, rate in rates:
            setattr(module, name, rate)


def put_back(model: nn.Module, buffers: Mapping[str, Tensor]) -> None:
    for name, tensor in model.named_buffers():
        tensor.copy_(buffers[name])


def switched_off(model: nn.Module) -> Iterator[tuple[nn.Module, str, float]]:
    """Sets every rate of dropout and stochastic depth to 0, and tells what it was.

    `drop_rate` is timm's name for the rate of a `functional.dropout`.
    """
    for module in model.modules():
        for name in ("p", "drop_prob", "drop_rate"):
            rate = getattr(module, name, None)
            if isinstance(rate, float) and rate:
                setattr(module, name, 0.0)
                yield module, name, rate
