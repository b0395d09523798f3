"""Labels wherever they are written: columns of every kind, tables beside images, names of files; and those of none."""

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from study.data import resolve
from study.data.source import DatasetRequest
from study.data.splits import split
from tests.contract.photographs import hugging_face, parquet, plain, rows, write
from tests.unit.pictures import jpeg, load

IMAGES, LABELS = rows(8)
TWO = [label % 2 for label in LABELS]


def one(place: Path, table: pa.Table) -> Path:
    return parquet(place / "x.parquet", table)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([bool(label) for label in TWO], ("False", "True")),
        ([float(label) for label in LABELS], ("0", "1", "2")),
        (pa.array(LABELS, pa.int8()), ("0", "1", "2")),
        (pa.array(map(str, LABELS), pa.string_view()), ("0", "1", "2")),
    ],
)
def test_truth_values_and_whole_numbers_with_a_point_are_labels(
    values: object, classes: tuple[str, ...], tmp_path: Path
) -> None:
    table = pa.table({"image": IMAGES, "kind": values})
    assert load(one(tmp_path, table)).classes == classes


def test_fractions_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"column 'label' holds fractions such as 0\.5, which are no classes"):
        load(one(tmp_path, plain(IMAGES, [label + 0.5 for label in LABELS])))


def as_text(images: list[bytes]) -> pa.Array:
    return pa.array([base64.b64encode(image).decode() for image in images])


def as_address(images: list[bytes]) -> pa.Array:
    return pa.array([f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images])


def as_list(images: list[bytes]) -> pa.Array:
    return pa.array([list(image) for image in images], pa.list_(pa.uint8()))


def as_struct(images: list[bytes]) -> pa.Array:
    return pa.array([{"bytes": image, "path": "x.png"} for image in images])


def as_view(images: list[bytes]) -> pa.Array:
    return pa.array(images, pa.binary_view())


@pytest.mark.parametrize("kept", [as_text, as_address, as_list, as_struct, as_view])
def test_images_are_read_from_whatever_holds_their_bytes(
    kept: Callable[[list[bytes]], pa.Array], tmp_path: Path
) -> None:
    expected = list(load(one(tmp_path / "plain", plain(IMAGES, LABELS))).images.decoded(np.arange(24)))
    source = load(one(tmp_path / "kept", pa.table({"photo": kept(IMAGES), "label": LABELS})))
    assert (source.classes, source.left_out) == (("0", "1", "2"), ())
    for found, wanted in zip(source.images.decoded(np.arange(24)), expected, strict=True):
        assert np.array_equal(found, wanted)


def test_files_may_keep_labels_in_numbers_of_several_widths_two_folders_deep(tmp_path: Path) -> None:
    for number, kind in enumerate((pa.int8(), pa.int64())):
        images, labels = rows(4, first=4 * number)
        parquet(tmp_path / "a" / "b" / f"{number}.parquet", plain(images, pa.array(labels, kind)))
    assert load(tmp_path).classes == ("0", "1", "2")


def test_the_number_of_a_row_is_never_the_label(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGES, "kind": list(map(str, LABELS)), "__index_level_0__": range(24)})
    assert load(one(tmp_path, table)).classes == ("0", "1", "2")


def test_columns_that_are_not_able_are_said_to_be_that(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGES, "when": pa.array([1] * 24, pa.timestamp("ms"))})
    with pytest.raises(ValueError, match=r"none of its columns can be one: image \(binary\), when \(timestamp\[ms\]\)"):
        load(one(tmp_path, table))
    with pytest.raises(ValueError, match=r"column 'when' holds timestamp\[ms\], which is no label"):
        load(one(tmp_path, table), label="when")


def test_a_test_split_without_labels_is_said_to_be_that_and_can_be_left_out(tmp_path: Path) -> None:
    parquet(tmp_path / "train-0.parquet", hugging_face(IMAGES, LABELS))
    images, labels = rows(3, first=20)
    parquet(tmp_path / "test-0.parquet", hugging_face(images, [-1] * len(labels)))
    with pytest.raises(ValueError, match=r"its test split has no labels \(9 rows of -1 .*--data-option train=FILE"):
        load(tmp_path)
    assert split(load(tmp_path, train="train-*.parquet")).sizes() == {"train": 14, "val": 5, "test": 5}


def test_splits_of_tables_with_other_names_are_a_question(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet", hugging_face(IMAGES, LABELS))
    parquet(tmp_path / "dev.parquet", hugging_face(*rows(3, first=20)))
    with pytest.raises(ValueError, match=r"does dev\.parquet hold a split\? say which .*--data-option train=FILE"):
        load(tmp_path)
    source = load(tmp_path, train="train.parquet", val="dev.parquet")
    assert source.val_rows is not None
    assert len(source.val_rows) == 9
    with pytest.raises(ValueError, match=r"no file is x\.parquet, as --data-option train= says"):
        load(tmp_path, train="x.parquet")


def test_splits_and_groups_may_be_columns(tmp_path: Path) -> None:
    parts = (["train"] * 12 + ["dev"] * 6 + ["test"] * 6, [number // 3 for number in range(24)])
    table = plain(IMAGES, LABELS).append_column("part", [parts[0]]).append_column("patient", [parts[1]])
    place = one(tmp_path, table)
    assert split(load(place, label="label", split="part")).sizes() == {"train": 12, "val": 6, "test": 6}
    with pytest.raises(ValueError, match="has no column 'nurse' for group"):
        load(place, group="nurse")
    splits = split(load(place, group="patient"))
    assert splits.source.groups is not None
    of_each = [set(splits.source.groups[splits.rows(name)]) for name in ("train", "val", "test")]
    assert len(set.union(*of_each)) == sum(map(len, of_each)) == 8


@pytest.mark.parametrize(
    "labels",
    [
        [[1, 2]] * 24,
        [["cat", "dog"]] * 24,
        ["cat|dog", "cat", "dog"] * 8,
        ["cat, dog", "cat", "dog"] * 8,
    ],
)
def test_several_labels_an_image_are_said_not_to_be_supported(labels: list[object], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"several labels an image .*, which is not supported: .*one class an image"):
        load(one(tmp_path, plain(IMAGES, labels)))


def test_a_multi_hot_table_is_one_of_several_labels_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"several labels an image \(columns cat, dog of 0 and 1\)"):
        load(one(tmp_path / "a", pa.table({"image": IMAGES, "cat": [0, 1] * 12, "dog": [1, 1] * 12})))
    write(tmp_path / "b" / "0.jpg", jpeg(0))
    write(tmp_path / "b" / "labels.csv", b"file,cat,dog\n0.jpg,1,1\n")
    with pytest.raises(ValueError, match=r"several labels an image \(columns cat, dog of 0 and 1\)"):
        load(tmp_path / "b", labels="labels.csv")


def test_a_name_made_of_others_now_and_then_is_a_class(tmp_path: Path) -> None:
    labels = [*["fire"] * 4, *["truck"] * 4, *["fire truck"] * 4, *["a"] * 4, *["b"] * 4, *["c"] * 4]
    assert len(load(one(tmp_path, plain(IMAGES, labels))).classes) == 6


def flat(place: Path, each: int = 6) -> Path:
    for number, name in enumerate(("cat", "dog")):
        for i in range(each):
            write(place / "all" / f"{name}.{i}.jpg", jpeg(100 * number + i))
    return place


def table_of(place: Path, text: str) -> Path:
    write(place / "labels.csv", text.encode())
    return place


def test_a_table_of_labels_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    lines = [f"{name}.{i}.jpg,{name},{'test' if i > 3 else 'train'},{i}" for name in ("cat", "dog") for i in range(6)]
    table_of(flat(tmp_path), "\ufefffilename,breed,split,litter\n" + "\n".join(lines))
    source = load(tmp_path, labels="labels.csv")
    assert source.classes == ("cat", "dog")
    assert source.test_rows is not None
    assert len(source.test_rows) == 4
    assert load(tmp_path, labels="labels.csv", label="litter", group="breed").groups is not None
    with pytest.raises(ValueError, match=r"labels\.csv has no column 'kind' for label: it has filename, breed"):
        load(tmp_path, labels="labels.csv", label="kind")
    for other in (str(tmp_path / "labels.csv"), f"{tmp_path}/labels.csv"):
        assert load(tmp_path, labels=other).classes == ("cat", "dog")


@pytest.mark.parametrize("cell", ["all/cat.0.jpg", "cat.0.jpg", "cat.0", "all\\cat.0.jpg", "./all/cat.0.jpg"])
def test_a_cell_may_name_its_file_in_several_ways(cell: str, tmp_path: Path) -> None:
    table_of(flat(tmp_path), f"id;class\n{cell};cat\ncat.1.jpg;cat\ndog.0.jpg;dog\n")
    source = load(tmp_path, labels="labels.csv")
    assert [source.images.name(row) for row in range(3)] == ["all/cat.0.jpg", "all/cat.1.jpg", "all/dog.0.jpg"]
    assert source.aside == {"images in no class": 9, ".csv": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,class\ncat.0.jpg,cat\ncat.0.jpg,dog\n", "several labels an image .image 'cat.0.jpg' in several rows"),
        ("file,class\ncat.0.jpg,cat\ncat.1.jpg,\n", "1 rows of labels.csv have no label in column 'class'"),
        ("file,class\ncat.0.jpg,cat\nowl.0.jpg,owl\n", r"owl\.0\.jpg \(No such file or directory\)"),
        ("a,b,c\nx,y,z\n", "which column holds the classes. it has a, b and c: .*--data-option label=COLUMN"),
        ("file,class\ncat.0.jpg,cat,3\n", "row 2 has 3 cells, and the first row 2"),
        ("file,class\n", "has no rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    table_of(flat(tmp_path), text)
    with pytest.raises(ValueError, match=says):
        load(tmp_path, labels="labels.csv")


def test_a_table_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the table x\.csv that --data-option labels= names cannot be read: No such"):
        load(flat(tmp_path), labels="x.csv")


def test_the_class_may_be_in_the_name_of_the_file(tmp_path: Path) -> None:
    for name in ("train", "test1"):
        flat(tmp_path / name)
    with pytest.raises(ValueError, match=r"look like splits|hold the same folders"):
        load(tmp_path)
    flat(tmp_path / "y")
    source = load(tmp_path / "y" / "all", label_pattern=r"^(cat|dog)\.")
    assert (source.classes, len(source.labels)) == (("cat", "dog"), 12)
    with pytest.raises(ValueError, match=r"images whose names begin with cat, dog: .*--data-option label_pattern="):
        load(tmp_path / "y" / "all")
    table_of(tmp_path / "y" / "all", "a,b\n")
    with pytest.raises(ValueError, match=r"no images in class folders, but labels\.csv: .*labels=labels\.csv"):
        load(tmp_path / "y" / "all")


BOXES = {
    "YOLO": ("images/train/0.jpg", "images/val/1.jpg", "labels/train/0.txt", "labels/val/1.txt", "data.yaml"),
    "COCO": ("train2017/0.jpg", "val2017/1.jpg", "annotations/instances_train2017.json"),
    "Pascal VOC": ("JPEGImages/0.jpg", "Annotations/0.xml", "ImageSets/Main/train.txt"),
}


@pytest.mark.parametrize("kind", BOXES)
def test_boxes_are_known_for_what_they_are(kind: str, tmp_path: Path) -> None:
    for number, path in enumerate(BOXES[kind]):
        write(tmp_path / path, jpeg(number) if path.endswith("jpg") else b"0 0.5 0.5 0.1 0.1")
    with pytest.raises(ValueError, match=f"looks like {kind} .*which has boxes: a study tells one class an image"):
        load(tmp_path)


def test_splits_of_yolo_are_known_too(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write(tmp_path / part / "images" / "0.jpg", jpeg(len(part)))
        write(tmp_path / part / "labels" / "0.txt", b"0 0.5 0.5 0.1 0.1")
    with pytest.raises(ValueError, match="looks like YOLO"):
        load(tmp_path)


def test_a_dataset_on_the_network_is_not_touched_offline() -> None:
    with pytest.raises(ValueError, match="is on the network, and --offline is set: save it to disk first"):
        resolve.load("hf://datasets/nobody/nothing", DatasetRequest(offline=True))


def test_without_a_network_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"dataset hf://datasets/nobody/nothing cannot be read: ") as why:
        resolve.load("hf://datasets/nobody/nothing", DatasetRequest())
    assert "\n" not in str(why.value)
