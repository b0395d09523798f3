"""Which columns of a table hold the images, the classes, and what else a study asks for; or why none of them can."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from study.data import multi_label
from study.text import shorten

# how the base64 of a PNG, JPEG, GIF, RIFF (WebP), BMP or TIFF begins, and what browsers write before it
BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0A", "data:image/")
Peek = Callable[[str], Any]  # the first value of a column that is not null


class Choice:
    """The columns of one table, as the user and their types say.

    Args:
        name: of the dataset, for messages.
        peek: a value of a column, where its type does not say whether it holds images.
    """

    def __init__(self, name: str, schema: pa.Schema, settings: Mapping[str, str], peek: Peek) -> None:
        self.name, self.schema, self.settings, self.peek = name, schema, settings, peek
        self.usable = [field for field in schema if field.name not in pandas_index(schema)]

    def image(self) -> str:
        """Raises ValueError."""
        return self.chosen("image", [self.surely_images, self.maybe_images], self.usable)

    def label(self, image: str | None) -> str:
        """Raises ValueError."""
        others = [field for field in self.usable if field.name != image]
        called = [field for field in others if field.name == self.settings.get("label", "label")]
        lists = [field.name for field in called or others if is_list(field.type)]
        fitting = [field for field in others if surely_labels(field) or maybe_labels(field)]
        if lists and (called or not fitting):
            raise ValueError(multi_label.refusal(self.name, f"lists in column {lists[0]!r}"))
        return self.chosen("label", [surely_labels, maybe_labels], others)

    def other(self, what: str) -> str | None:
        """A column that is only used where it is named. Raises ValueError where it is not there."""
        given = self.settings.get(what)
        if given is not None and given not in self.schema.names:
            raise ValueError(self.absent(what, given))
        return given

    def chosen(self, what: str, kinds: Sequence[Callable[[pa.Field], bool]], fields: Sequence[pa.Field]) -> str:
        """The column that holds something: the one that is set, that is called so, or the only one that can.

        Args:
            kinds: whether a column can hold it, the surest first: what can only just is asked where nothing surer is.
        """
        given = self.settings.get(what)
        if given is not None:
            if given not in self.schema.names:
                raise ValueError(self.absent(what, given))
            if not any(fits(self.schema.field(given)) for fits in kinds):
                raise ValueError(
                    f"{self.name}: column {given!r} holds {self.schema.field(given).type}, which is no {what}"
                )
            return given
        for field in fields:
            if field.name == what and any(fits(field) for fits in kinds):
                return what
        for fits in kinds:
            fitting = [field.name for field in fields if fits(field)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise ValueError(self.question(what, f"it could be {', '.join(fitting)}"))
        unable = [f"{field.name} ({field.type})" for field in self.schema]
        raise ValueError(self.question(what, f"none of its columns can be one: {shorten(unable, 6)}"))

    def absent(self, what: str, given: str) -> str:
        return f"{self.name} has no column {given!r} for {what}: it has {', '.join(self.schema.names)}"

    def question(self, what: str, seen: str) -> str:
        return f"{self.name}: no column called {what}; {seen}: say which by --data-option {what}=COLUMN"

    @staticmethod
    def surely_images(field: pa.Field) -> bool:
        kind = field.type
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
        return any(test(kind) for test in tests)

    def maybe_images(self, field: pa.Field) -> bool:
        """Text that is the base64 of an image, or a list of the numbers of its bytes."""
        if is_list(field.type) and pa.types.is_integer(field.type.value_type):
            return True
        if not is_text(field.type):
            return False
        value = self.peek(field.name)
        return isinstance(value, str) and value.startswith(BASE64)


def is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def stored(field: pa.Field) -> pa.DataType:
    return field.type.value_type if pa.types.is_dictionary(field.type) else field.type


def surely_labels(field: pa.Field) -> bool:
    return pa.types.is_integer(stored(field)) or is_text(stored(field))


def maybe_labels(field: pa.Field) -> bool:
    """Truth values, and numbers with a point, which are labels if no fraction is among them."""
    return pa.types.is_boolean(stored(field)) or pa.types.is_floating(stored(field))


def kind_of_labels(field: pa.Field) -> str:
    """The same for columns whose values can be put together: int8 and int64, both kinds of text."""
    kind = stored(field)
    if pa.types.is_boolean(kind):
        return "truth values"
    return "text" if is_text(kind) else "numbers"


def pandas_index(schema: pa.Schema) -> set[str]:
    """The columns that are the number of a row: no dataset's labels."""
    metadata = schema.pandas_metadata or {}
    named = {name for name in metadata.get("index_columns", []) if isinstance(name, str)}
    return named | {name for name in schema.names if name.startswith("__index_level_") or name == "Unnamed: 0"}


def multi_hot(schema: pa.Schema, image: str, values: Callable[[str], Sequence[Any]]) -> list[str]:
    """The columns of a multi-hot table: several of nothing but 0 and 1."""
    able = [
        field.name
        for field in schema
        if field.name != image and not is_text(stored(field)) and (surely_labels(field) or maybe_labels(field))
    ]
    return multi_label.columns({name: values(name) for name in able}) if len(able) > 1 else []


def as_bytes(value: Any) -> bytes | OSError:
    """An image's file from a cell: its bytes, their base64, a list of their numbers, or a struct with one of these."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if value is None:
        return OSError("no image in this row")
    if isinstance(value, str):
        try:
            return base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=False)
        except (binascii.Error, ValueError):
            return OSError("neither an image nor the base64 of one")
    if isinstance(value, list):
        try:
            return bytes(value)
        except (ValueError, TypeError):
            return OSError("a list of what are no bytes")
    return value
