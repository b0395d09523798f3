"""How the stages of a model of timm are found: its names, its points, what is carried over a cut, what is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables import architecture
from trainables.backbones import cutting, declared, finding, kept, names
from trainables.backbones.points import Points, Uncuttable, multiple
from trainables.backbones.tracing import traced
from trainables.stages import Stage, StagedModel
from trainables.weights import Weights, check, timm_hub


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    return tmp_path


class Model(nn.Module):
    """A stem, some blocks and a classifier, around what a test is about."""

    def __init__(self, between: Callable[["Model", Tensor], Tensor]) -> None:
        super().__init__()
        self.pretrained_cfg = {"classifier": "fc"}
        self.between = between
        self.drop_rate = 0.3
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)])
        self.table = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.unused = nn.Parameter(torch.randn(5))
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.between(self, self.act(self.stem(x))).mean((2, 3)))


def blocks(model: Model, x: Tensor) -> Tensor:
    for block in model.blocks:
        x = block(x)
    return x


def with_residuals(model: Model, x: Tensor) -> Tensor:
    for block in model.blocks:
        x = x + block(x)
    return x


def with_rows(model: Model, x: Tensor) -> Tensor:
    rows, channels, height, width = x.shape
    for block in model.blocks:
        x = block(x).reshape(rows * 2, channels // 2, height, width).reshape(rows, channels, height, width)
    return x


def with_a_shared_table(model: Model, x: Tensor) -> Tensor:
    for block in model.blocks:
        x = block(x) + model.table
    return x


def with_a_function_that_drops(model: Model, x: Tensor) -> Tensor:
    return functional.dropout(blocks(model, x), p=model.drop_rate, training=model.training)


def with_a_query_of_its_own(model: Model, x: Tensor) -> Tensor:
    """What is given to a layer follows from a parameter alone."""
    return blocks(model, x) * model.fc(model.table.flatten(1).expand(2, -1)).mean()


def with_two_branches(model: Model, x: Tensor) -> Tensor:
    first, second, third = model.blocks
    return third(first(x) * second(x))


def points_of(model: Model) -> Points:
    whole = traced(model)
    assert whole is not None
    return Points.of(model, whole.graph, 16)


def cut(model: Model) -> list[Stage]:
    whole = traced(model)
    assert whole is not None
    return cutting.build(model, whole.graph, cutting.plan(points_of(model)))


MODELS = [blocks, with_residuals, with_rows, with_a_shared_table, with_two_branches, with_a_function_that_drops]


@pytest.mark.parametrize("between", MODELS)
def test_the_stages_are_the_model_bit_for_bit_for_two_batch_sizes_and_in_both_modes(
    between: Callable[[Model, Tensor], Tensor],
) -> None:
    model = Model(between)
    assert finding.differs(model, cut(model), 16) == ""


def test_a_cut_is_where_one_tensor_is_alive() -> None:
    of_blocks, of_branches = (
        [node.name for node in points_of(Model(one)).cuttable] for one in (blocks, with_two_branches)
    )
    assert of_blocks == ["act", "blocks_0", "blocks_1", "blocks_2", "mean"]
    assert of_branches == ["act", "mul", "blocks_2", "mean"]


def test_branches_that_meet_behind_the_classifier_are_one_boundary_side_by_side() -> None:
    class Branches(Model):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            first, second = self.blocks[0](x).mean((2, 3)), self.blocks[1](x).amax((2, 3))
            return self.fc(first) + self.fc(second)

    model = Branches(blocks)
    found, why = finding.found_in_graph(model, 16, training=True)
    assert (why, found and found.pieces[-2].elements) == ("", 2 * 8)


def test_a_function_that_drops_is_a_layer_whose_rate_a_run_sets_and_which_is_off_where_its_stage_is_frozen() -> None:
    model = Model(with_a_function_that_drops)
    stages = cut(model)
    staged = StagedModel(stages, model)
    assert staged.features == ("dropout",)
    assert staged.set_rates(dropout=0.7)
    assert [m.p for m in staged.modules() if isinstance(m, nn.Dropout)] == [0.7]
    images = torch.randn(2, 3, 16, 16)
    for training in (False, True):
        model.train(training)
        staged.train(training)
        assert torch.equal(staged(images), staged(images)) is not training


def test_a_layer_that_is_given_a_parameter_is_no_hindrance_to_counting() -> None:
    model = Model(with_a_query_of_its_own)
    whole = traced(model)
    assert whole is not None
    assert finding.points_of(model, whole.graph, 16).cuttable


class Viewed(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found.view_as(found)


class Looks(nn.Conv2d):
    """Computes something else where it is given rows that were stored."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x._is_view() else 1)


def test_a_cut_that_is_not_exact_is_left_out_and_the_others_stay() -> None:
    model = Model(blocks)
    model.blocks = nn.ModuleList([kind(8, 8, 3, padding=1) for kind in (Viewed, Looks, nn.Conv2d)])
    wanted = [one.name for one in cut(model)]
    found, why = finding.found_in_graph(model, 16, training=True)
    assert found is not None
    assert why == ""
    assert "blocks.0" in wanted
    assert [piece.name for piece in found.pieces] == [name for name in wanted if name != "blocks.0"]


def test_no_cut_parts_the_uses_of_a_parameter() -> None:
    found = [node.name for node in points_of(Model(with_a_shared_table)).cuttable]
    assert found == ["act", "blocks_0", "add_2", "mean"]


def test_what_is_about_to_be_overwritten_is_no_boundary() -> None:
    assert "stem" not in [node.name for node in points_of(Model(blocks)).cuttable]


def test_the_last_stage_is_the_classifier_and_keeps_what_the_model_does_not_compute_with() -> None:
    model = Model(blocks)
    *_, head = cut(model)
    assert head.name == "head"
    assert {id(p) for p in head.module.parameters()} == {id(p) for p in model.fc.parameters()}
    assert any(buffer is model.unused for buffer in head.module.buffers())


def test_a_row_count_is_carried_by_the_boundary_and_a_height_as_what_it_is() -> None:
    assert multiple((2, 3)) == {"rows": 1}
    assert multiple(((4, 7), (6, 7))) == {"tuple": [{"rows": 2}, 7]}
    assert multiple((torch.device("cpu"), torch.device("cpu"))) == {"device": True}
    with pytest.raises(Uncuttable):
        multiple((2, 5))


def test_a_stage_that_is_not_the_model_is_noticed() -> None:
    model = Model(blocks)
    stages = cut(model)
    wrong = Stage("wrong", nn.Sequential(nn.Dropout(0.0), stages[-1].module, nn.Softplus()))
    assert "the logits differ" in finding.differs(model, [*stages[:-1], wrong], 16)


def test_the_structure_of_a_stage_tells_what_it_computes() -> None:
    one, other = (repr([stage.module for stage in cut(Model(between))]) for between in (blocks, with_residuals))
    assert one != other


def test_a_model_that_holds_constants_has_the_same_graph_however_often_it_was_traced() -> None:
    model = Model(lambda model, x: blocks(model, x) + torch.arange(8.0).reshape(1, 8, 1, 1))
    found = [traced(model) for _ in range(2)]
    one, other = ([node.name for node in whole.graph.nodes] for whole in found if whole)
    assert one == other
    assert any("_tensor_constant" in name for name in one)


def test_the_names_are_those_of_timm() -> None:
    found = {name for name in timm.list_models() if timm.models.model_entrypoint(name).__module__.startswith("timm.")}
    assert set(names.tags()) == found  # those that this package adds are not timm's


def test_nearly_every_tag_that_is_read_is_one_of_timms() -> None:
    read = {f"{name}.{tag}" for name, tags in names.tags().items() for tag in tags}
    own = set(timm.list_models(pretrained=True, include_tags=True))
    assert len(read ^ own) < 0.05 * len(own)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("timm/resnt18", r"did you mean timm/resnet18\?"),
        ("timm/", "unknown model 'timm/'"),
        ("timm/test_resnet.nope", "unknown weights of timm/test_resnet 'nope': choose one of r160_in1k"),
    ],
)
def test_a_name_that_timm_lacks_is_refused(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        architecture.get(given)


def test_what_was_found_is_kept_and_what_is_damaged_is_found_again(folder: Path) -> None:
    kept.write("model@64", {"points": 3})
    assert kept.read("model@64") == {"points": 3}
    [path] = folder.rglob("model@64.json")
    path.write_text(path.read_text().replace("3", "4", 1))
    assert kept.read("model@64") is None
    assert kept.read("other@64") is None


def test_pretraining_is_named_by_its_data() -> None:
    tags = ("a1_in1k", "augreg_in21k_ft_in1k", "fcmae_ft_in22k_in1k", "laion2b")
    assert [declared.pretraining_of(tag) for tag in tags] == ["in1k", "in21k", "fcmae", "laion2b"]


def test_weights_may_lie_in_a_folder_by_the_name_of_the_model(tmp_path: Path) -> None:
    weights = timm_hub("resnet18.a1_in1k")
    with pytest.raises(ValueError, match=r"no weights at .*resnet18\.a1_in1k\.safetensors"):
        check(weights, tmp_path)
    (tmp_path / "resnet18.a1_in1k.safetensors").touch()
    check(weights, tmp_path)
    assert Weights("file", lambda offline: tmp_path).at(tmp_path) == tmp_path
