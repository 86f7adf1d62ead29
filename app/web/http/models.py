"""Base models of the requests and answers of all dialects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from app.domain.number import DecimalFloat

Model = TypeVar("Model", bound=BaseModel)


def _parse_integer(text: Any) -> Any:
    """Parse an integer of a query string."""
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _parse_flag(text: Any) -> Any:
    """Parse a flag of a query string; without a value it is true."""
    if str(text).lower() not in _FLAGS:
        raise ValueError("must be true or false")
    return _FLAGS[str(text).lower()]


_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Count:
    """The annotation of a whole number of a query string, and its limits: `Annotated[int, Count(1, 200)]`."""

    minimum: int
    maximum: int

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> CoreSchema:
        """Return the validator; its JSON schema is that of the number."""
        number = core_schema.int_schema(ge=self.minimum, le=self.maximum)
        return core_schema.no_info_before_validator_function(_parse_integer, number, json_schema_input_schema=number)


Limit = Annotated[int, Count(1, 200)]
"""The number of sessions on a page of a list."""
Cursor = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_=-]{1,200}$", description="`nextCursor` of the page before; none: the first page.")
]
"""The position of a page of a list."""
Flag = Annotated[bool, BeforeValidator(_parse_flag, json_schema_input_type=bool)]
"""A flag of a query string."""


class Body(BaseModel):
    """A JSON body: camelCase, exact types, no unknown fields. A whole number may be written as 93.0."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, values: Any) -> Any:
        """Read 93.0 as 93 where a whole number belongs, as JSON Schema does; some programs know only floats."""
        if not isinstance(values, dict) or not any(isinstance(value, float) for value in values.values()):
            return values
        names = _whole_fields(cls)
        return {name: _as_whole(value) if name in names else value for name, value in values.items()}


@cache
def _whole_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that take whole numbers, and no others."""
    return frozenset(field.alias or name for name, field in model.model_fields.items() if _takes_int(field.annotation))


def _takes_int(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(type(value) is int for value in get_args(annotation))
    parts = (Annotated, Union, UnionType)
    return annotation is int or (get_origin(annotation) in parts and any(map(_takes_int, get_args(annotation))))


def _as_whole(value: Any) -> Any:
    """Return a float without a fraction as an int; a number of a request is exact in its text."""
    if not isinstance(value, float) or not value.is_integer():
        return value
    exact = Decimal(value.text if isinstance(value, DecimalFloat) else value)
    return int(exact) if exact == exact.to_integral_value() else value


class EmptyRequest(Body):
    """A call that takes no arguments."""


class LoginRequest(Body):
    """A token or JWT to exchange for a cookie."""

    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Query(BaseModel):
    """A query string: all values are text, no unknown parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class NoQuery(Query):
    """A call that takes no parameters."""


class Answer(BaseModel):
    """Data of an answer, in camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class UserAnswer(Answer):
    """The user of a token."""

    user_id: str


class StateAnswer(Answer):
    """The state of the process."""

    status: str


class ReadyAnswer(StateAnswer):
    """The state of a process that is ready; `notifications` of Postgres `arrive`, are `lost`, or are turned `off`.

    `write_problem` says why its sessions wait for the database, for example because the disk is full.
    """

    notifications: str
    write_problem: str | None


class EmptyAnswer(Answer):
    """No data: the call succeeded."""


def extended(model: type[Model], fields: Iterable[tuple[str, Any, Any]]) -> type[Model]:
    """Return a model with more fields: name, type and default of each."""
    more: dict[str, Any] = {name: (type_, default) for name, type_, default in fields}
    return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **more)


def answers_record(record: type[tuple[Any, ...]]) -> Callable[[type[Model]], type[Model]]:
    """Add to an answer every field of a named tuple."""
    return lambda model: extended(model, ((name, hint, ...) for name, hint in get_type_hints(record).items()))
