"""Pretrained weights: files in each library's own layout load, and a file that does not fit is refused by name."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.contract.variants import CLASSES, EVERY, MINI, MODELS_OF_THE_PAPER, Pair, library_model, library_name, title
from trainables import architecture, building
from trainables.weights import PACKAGED
from trainables.weights.reading import digest

MINI_WITH_WEIGHTS = [pair for pair in MINI if pair[1].weights]
PAPER_WITH_WEIGHTS = [pair for pair in MODELS_OF_THE_PAPER if pair[1].weights]
mini_with_weights = pytest.mark.parametrize("pair", MINI_WITH_WEIGHTS, ids=title)


def write(state: dict[str, Tensor], folder: Path, *, published_as: str) -> Path:
    """A file in the format of the published one: torchvision's are pickles, timm's safetensors."""
    path = folder / f"weights{Path(published_as.split()[0]).suffix}"
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def random_state(pair: Pair, classes: int) -> dict[str, Tensor]:
    torch.manual_seed(7)
    state = library_model(pair[1], classes).state_dict()
    return {name: torch.randn(t.shape) if t.is_floating_point() else t + 3 for name, t in state.items()}


@pytest.mark.parametrize("pair", [*MINI_WITH_WEIGHTS, *PAPER_WITH_WEIGHTS], ids=title)
def test_a_file_as_published_fills_the_backbone_and_leaves_the_head_alone(pair: Pair, tmp_path: Path) -> None:
    family, variant = pair
    assert variant.weights is not None
    state = random_state(pair, classes=11)  # the published head is for other classes
    path = write(state, tmp_path, published_as=variant.weights.file)
    pretrained = building.pretrained(family, variant, path=path)
    path.unlink()
    assert pretrained is not None
    model = building.assemble(family, variant, CLASSES)
    head = {name: t.clone() for name, t in model.head.state_dict().items()}
    model.load(pretrained, head=False)
    loaded = model.tensors(head=False)
    assert loaded.keys() == pretrained.keys()
    assert all(torch.equal(t, state[name]) for name, t in loaded.items())
    assert all(torch.equal(t, head[name]) for name, t in model.head.state_dict().items())


def test_a_digest_tells_weights_apart_by_their_values_and_names_and_not_by_their_order() -> None:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1)}
    known = digest(state)
    assert digest(dict(reversed(state.items()))) == known
    others = [
        state | {"b": torch.tensor(2)},
        state | {"a.weight": state["a.weight"].reshape(3, 2)},
        state | {"b": torch.tensor(1.0)},
        {"a.weight": state["a.weight"], "c": state["b"]},
    ]
    assert len({known, *map(digest, others)}) == 5
    assert digest(None) is None


def test_the_published_alexnet_is_a_pickle_and_the_others_are_safetensors() -> None:
    published = {library_name(v): v.weights.file.split()[0] for _, v in EVERY if v.weights and v.scale == "paper"}
    assert published.pop("alexnet").endswith(".pth")
    assert set(published.values()) == {"model.safetensors"}


@mini_with_weights
def test_weights_in_half_precision_become_what_the_model_computes_in(pair: Pair, tmp_path: Path) -> None:
    family, variant = pair
    state = random_state(pair, CLASSES)
    small = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    pretrained = building.pretrained(family, variant, path=write(small, tmp_path, published_as="a.safetensors"))
    assert pretrained is not None
    for name, tensor in pretrained.items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, small[name].to(state[name].dtype))


Spoil = Callable[[dict[str, Tensor], str], None]


def shortened(state: dict[str, Tensor], name: str) -> None:
    state[name] = state[name][:-1].clone()


def taken_out(state: dict[str, Tensor], name: str) -> None:
    del state[name]


@mini_with_weights
@pytest.mark.parametrize("spoil", [shortened, taken_out])
def test_a_tensor_that_is_missing_or_of_another_shape_is_refused_by_name(
    pair: Pair, spoil: Spoil, tmp_path: Path
) -> None:
    family, variant = pair
    state = random_state(pair, CLASSES)
    backbone = building.assemble(family, variant, CLASSES).tensors(head=False)
    name = [name for name, t in backbone.items() if t.ndim == 1 and name.endswith("bias")][-1]
    spoil(state, name)
    path = write(state, tmp_path, published_as="a.safetensors")
    with pytest.raises(ValueError, match=rf"{name}\b") as refusal:
        building.pretrained(family, variant, path=path)
    assert str(path) in str(refusal.value)
    assert variant.name in str(refusal.value)


@mini_with_weights
def test_the_weights_of_a_larger_model_of_the_family_are_refused(pair: Pair, tmp_path: Path) -> None:
    family, variant = pair
    larger = family.variant("paper")
    path = write(library_model(larger).state_dict(), tmp_path, published_as="a.safetensors")
    with pytest.raises(ValueError, match=r"do not fit .*_mini"):
        building.pretrained(family, variant, path=path)
    path.unlink()


@mini_with_weights
def test_the_weights_of_another_family_are_refused(pair: Pair, tmp_path: Path) -> None:
    family, variant = pair
    stranger = timm.create_model("test_efficientnet", num_classes=CLASSES)
    path = write(stranger.state_dict(), tmp_path, published_as="a.safetensors")
    with pytest.raises(ValueError, match=r"tensors are missing, the first is"):
        building.pretrained(family, variant, path=path)


@mini_with_weights
@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_a_file_that_is_no_weights_is_refused_by_name_in_one_line(pair: Pair, name: str, tmp_path: Path) -> None:
    family, variant = pair
    path = tmp_path / name
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=f"{name} cannot be read") as refusal:
        building.pretrained(family, variant, path=path)
    assert "\n" not in str(refusal.value)


@mini_with_weights
def test_a_file_that_is_cut_short_is_refused_by_name(pair: Pair, tmp_path: Path) -> None:
    family, variant = pair
    path = write(random_state(pair, CLASSES), tmp_path, published_as="a.safetensors")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"weights\.safetensors cannot be read"):
        building.pretrained(family, variant, path=path)


@pytest.mark.parametrize("content", [[1, 2, 3], {"features.0.weight": "text"}, torch.zeros(3)], ids=repr)
def test_a_pickle_of_something_else_is_refused_by_name(content: object, tmp_path: Path) -> None:
    family = architecture.get("alexnet")
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"other\.pth"):
        building.pretrained(family, family.variant("mini"), path=path)


@mini_with_weights
def test_a_file_that_is_not_there_is_refused_by_name_and_with_the_one_that_is_wanted(
    pair: Pair, tmp_path: Path
) -> None:
    family, variant = pair
    assert variant.weights is not None
    with pytest.raises(ValueError, match=r"nowhere\.pth") as refusal:
        building.pretrained(family, variant, path=tmp_path / "nowhere.pth")
    assert variant.weights.file in str(refusal.value)


@pytest.mark.parametrize("pair", [pair for pair in EVERY if pair[1].scale == "paper" and pair[1].weights], ids=title)
def test_weights_that_are_not_cached_are_refused_offline_with_the_way_out(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, variant = pair
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"--offline is set .* --weights PATH, or choose --pretraining none"
    ) as refusal:
        building.pretrained(family, variant, offline=True)
    assert variant.weights is not None
    assert variant.weights.file in str(refusal.value)
    assert list(tmp_path.rglob("*.safetensors")) == []


@mini_with_weights
def test_the_weights_of_a_mini_variant_ship_with_the_package_and_are_small(pair: Pair) -> None:
    _, variant = pair
    assert variant.weights is not None
    path = variant.weights.fetch(True)
    assert path == PACKAGED / f"{variant.name}.safetensors"
    assert path.stat().st_size < 1_200_000


@mini_with_weights
def test_the_weights_that_ship_fit_their_variant(pair: Pair) -> None:
    family, variant = pair
    state = building.pretrained(family, variant, offline=True)
    assert state is not None
    model = building.assemble(family, variant, CLASSES)
    model.load(state, head=False)
    assert all(torch.isfinite(t).all() for t in model.state_dict().values())


def test_a_variant_without_weights_refuses_a_file_of_weights() -> None:
    family = architecture.get("vit")
    with pytest.raises(ValueError, match=r"leave out --weights a\.safetensors"):
        building.pretrained(family, family.variant("mini", "none"), path=Path("a.safetensors"))
    assert building.pretrained(family, family.variant("mini", "none")) is None
