"""Base models of the requests and answers of all dialects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema


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
    """A JSON body: camelCase, exact types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


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
