"""Several tensors as one, where a model has branches: a boundary is one tensor with a row for each image.

The graph is given nodes that lay the tensors side by side and take them apart again, so that there is a point between.
"""

import operator
from collections.abc import Sequence

import torch
from torch import fx

from trainables.backbones.cutting import classified, passes
from trainables.backbones.points import Points, Shape

MOST = 3  # tensors side by side
Pack = tuple[tuple[str, tuple[int, ...]], ...]  # the names of nodes and the sizes of each row; it is behind the last


def packs(points: Points) -> list[Pack]:
    """Where two or three tensors are alive, each with a row for each image; the last one is before the classifier."""
    found: list[Pack] = []
    end = classified(points)
    for alive, last in points.alive:
        if points.place[last] >= end or passes(points, last):
            continue
        several = sorted({*alive, last}, key=points.place.__getitem__)
        shapes = [points.values[0][node] for node in several]
        if not 1 < len(several) <= MOST or not all(points.is_boundary(node) for node in several):
            continue
        if len({shape.dtype for shape in shapes if isinstance(shape, Shape)}) == 1:
            found.append(tuple((node.name, shape.sizes[1:]) for node, shape in zip(several, shapes, strict=True)))
    return found


def with_packs(graph: fx.Graph, wanted: Sequence[Pack]) -> None:
    """Puts them into the graph."""
    now = {node.name: node for node in graph.nodes}  # what stands for each behind the packs so far
    for pack in wanted:
        tensors = [now[name] for name, _ in pack]
        with graph.inserting_after(tensors[-1]):
            end = graph.call_function(torch.cat, ([], 1))
        later = list(graph.nodes)[list(graph.nodes).index(end) + 1 :]
        rows = []
        with graph.inserting_before(end):
            for tensor in tensors:
                rows.append(graph.call_method("flatten", (tensor, 1)))
        end.args = (rows, 1)
        start = 0
        with graph.inserting_before(later[0]):
            for tensor, (name, sizes) in zip(tensors, pack, strict=True):
                stop = start + torch.Size(sizes).numel()
                columns = graph.call_function(operator.getitem, (end, (slice(None), slice(start, stop))))
                apart = graph.call_method("reshape", (columns, -1, *sizes))
                start = stop
                for user in later:
                    user.replace_input_with(tensor, apart)
                now[name] = apart
    graph.lint()


def spread(points: Points, found: Sequence[Pack], stages: int) -> list[Pack]:
    """Of all packs the last one, and those that divide the compute before it most evenly."""
    done, total = {}, 0.0
    for node in points.nodes:
        total += points.flops[node]
        done[node.name] = total
    end = done[found[-1][-1][0]]
    near = [
        min(found, key=lambda pack, at=end * k / stages: abs(done[pack[-1][0]] - at))  # type: ignore[misc]
        for k in range(1, stages)
    ]
    return [pack for pack in found if pack in near or pack == found[-1]]
