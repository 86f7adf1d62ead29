"""The description of one field of a session's settings; HTTP, command line and database are derived from it.

A field is an attribute of a dataclass. Its annotation has its type, its limits (pydantic's `Field`) and a `Setting`;
its default is the dataclass's. The fields are in `SessionSpec` and `TradingSettings`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import MISSING, dataclass, is_dataclass
from decimal import Decimal
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, Field
from pydantic.alias_generators import to_camel

from app.errors import BadInputError

T = TypeVar("T")

REQUIRED: Final[Any] = object()
"""The default of a field that has none."""
MAX_TIME_MS: Final = 8_640_000_000_000_000
"""The last instant a browser's Date can hold."""
MAX_PAUSE_MS: Final = 365 * 86_400_000
RATE_LIMITS: Any = Field(ge=0, le=10_000)

Amount = Annotated[Decimal, Field(gt=0, le=10**18)]
Rate = Annotated[Decimal, RATE_LIMITS]
SignedRate = Annotated[Decimal, Field(ge=-10_000, le=10_000)]
Share100 = Annotated[Decimal, Field(gt=0, le=99)]
Share = Annotated[Decimal, Field(gt=0, le=1)]
TimeMs = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
PauseMs = Annotated[int, Field(ge=0, le=MAX_PAUSE_MS)]


@dataclass(frozen=True, slots=True)
class Setting:
    """The annotation of a field, besides type and limits.

    `help` is a sentence for the command line and the OpenAPI document, `metavar` the name of the option's value.
    `name` is the name of the column and, in camelCase, of the JSON field, if it is not the attribute's; `option` is
    the option's name, if it is not derived from `name`. A fork may change fields with `fork`. A request may leave out
    fields with `optional`: they have no default, or one that depends on other fields. The server sets fields without
    `in_request`. A diff of two sessions shows fields with `in_diff`.
    """

    help: str
    metavar: str = "TEXT"
    name: str = ""
    option: str = ""
    fork: bool = False
    optional: bool = False
    in_request: bool = True
    in_diff: bool = True


class SettingField(NamedTuple):
    """One field: its public name, the path of attributes to it, its type with limits, its default and `Setting`."""

    name: str
    path: tuple[str, ...]
    type: Any
    default: Any
    setting: Setting

    @property
    def json_name(self) -> str:
        """The name in JSON."""
        return to_camel(self.name)

    @property
    def option(self) -> str:
        """The name on the command line."""
        return self.setting.option or f"--{self.name.replace('_', '-')}"

    @property
    def nullable(self) -> bool:
        """Whether null is a valid value."""
        return NoneType in get_args(split_annotation(self.type)[0])

    @property
    def base_type(self) -> Any:
        """The type without null, limits and item types."""
        type_ = split_annotation(without_null(split_annotation(self.type)[0]))[0]
        return get_origin(type_) or type_

    def of(self, settings: Any) -> Any:
        """Return the field's value in an object of the dataclass."""
        return reduce(getattr, self.path, settings)


def setting_fields(cls: type) -> tuple[SettingField, ...]:
    """Return the settings of a dataclass in order, including those of nested dataclasses."""
    return _cached_fields(cast("Hashable", cls))


@cache
def _cached_fields(cls: Hashable) -> tuple[SettingField, ...]:
    return tuple(_read_fields(cast("type", cls), ()))


def _read_fields(cls: type, path: tuple[str, ...]) -> Iterator[SettingField]:
    nested = _nested(cast("Hashable", cls))
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        here = (*path, field.name)
        if field.name in nested:
            yield from _read_fields(nested[field.name], here)
            continue
        type_, notes = split_annotation(hints[field.name])
        setting = next((note for note in notes if isinstance(note, Setting)), None)
        if setting is not None:
            limits = [note for note in notes if note is not setting]
            default = field.default if field.default_factory is MISSING else field.default_factory()
            default = REQUIRED if default is MISSING else default
            yield SettingField(setting.name or field.name, here, annotate(type_, limits), default, setting)


@cache
def _nested(cls: Hashable) -> dict[str, type]:
    """Return the attributes that are themselves settings dataclasses."""
    hints = get_type_hints(cast("type", cls)).items()
    return {name: cast("type", hint) for name, hint in hints if is_dataclass(hint)}


def flatten(settings: Any) -> dict[str, Any]:
    """Return the values of a settings dataclass by the names of its fields."""
    return {field.name: field.of(settings) for field in setting_fields(type(settings))}


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return an object of a settings dataclass from values by name; missing ones get their defaults."""
    arguments: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for field in setting_fields(cls):
        if field.name not in values:
            continue
        attribute = field.path[0]
        if len(field.path) > 1:
            parts.setdefault(attribute, {})[field.name] = values[field.name]
        else:
            arguments[attribute] = values[field.name]
    nested = _nested(cast("Hashable", cls))
    return cls(**arguments, **{name: build(nested[name], part) for name, part in parts.items()})


def split_annotation(hint: Any) -> tuple[Any, list[Any]]:
    """Return the type of an annotation and its metadata."""
    if get_origin(hint) is not Annotated:
        return hint, []
    type_, *notes = get_args(hint)
    return type_, notes


def annotate(type_: Any, notes: list[Any]) -> Any:
    """Return a type annotated with metadata, the opposite of `split_annotation`."""
    return reduce(lambda annotated, note: Annotated[annotated, note], notes, type_)


def without_null(type_: Any) -> Any:
    """Return a type without null."""
    if get_origin(type_) not in (Union, UnionType):
        return type_
    return reduce(or_, [member for member in get_args(type_) if member is not NoneType])


class UnusableValueError(ValueError):
    """A value of the form that the API describes, which cannot be used."""


def checked(check: Callable[[str], Any], form: str | None = None) -> AfterValidator:
    """Return a pydantic validator from a function that raises `BadInputError`; pydantic adds the field's name.

    It raises `UnusableValueError` for a text of the `form`.
    """

    def validate(text: str) -> Any:
        try:
            return check(text)
        except BadInputError as error:
            kind = UnusableValueError if form is not None and re.search(form, text) else ValueError
            raise kind(error.message.partition(": ")[2]) from None

    return AfterValidator(validate)
