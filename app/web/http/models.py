"""Base models of the requests and answers of all dialects."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _parse_integer(text: Any) -> Any:
    """Parse an integer of a query string."""
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError("must be a whole number")
    return int(text)


Count = Annotated[int, BeforeValidator(_parse_integer, json_schema_input_type=int)]


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
    """The state of a process that is ready; `notifications` of Postgres `arrive`, are `lost`, or are turned `off`."""

    notifications: str


class EmptyAnswer(Answer):
    """No data: the call succeeded."""
