"""A strategy's parameters: its typed public attributes, their JSON schema, and the parser of a config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, ClassVar, NamedTuple, get_origin

from pydantic import TypeAdapter, ValidationError

from app.domain.event import render
from app.errors import BadInputError

_REQUIRED: Any = object()


class Parameter(NamedTuple):
    """One parameter: the type of its JSON value, and its default unless it is required."""

    type: TypeAdapter[Any]
    default: Any

    @property
    def required(self) -> bool:
        """Whether a config must have it."""
        return self.default is _REQUIRED


@cache
def parameters(cls: type, base: type) -> dict[str, Parameter]:
    """Return the annotated public attributes of `cls` and its parents below `base`, in order."""
    known: dict[str, Parameter] = {}
    for owner in reversed(cls.__mro__):
        if owner is base or not issubclass(owner, base):
            continue
        for name, hint in inspect.get_annotations(owner, eval_str=True).items():
            origin: object = get_origin(hint)
            if name.startswith("_") or origin is ClassVar:
                continue
            if hasattr(base, name):
                raise TypeError(f"{owner.__name__}: a parameter may not be called {name}")
            known[name] = Parameter(TypeAdapter(hint), getattr(cls, name, _REQUIRED))
    return known


def schema(cls: type, base: type) -> dict[str, Any]:
    """Return the JSON schema of a config for `cls`."""
    known = parameters(cls, base)
    properties = {}
    for name, parameter in known.items():
        properties[name] = parameter.type.json_schema()
        if not parameter.required:
            properties[name]["default"] = parameter.type.dump_python(parameter.default, mode="json")
    return {
        "type": "object",
        "description": inspect.cleandoc(cls.__doc__ or ""),
        "properties": properties,
        "required": [name for name, parameter in known.items() if parameter.required],
        "additionalProperties": False,
    }


def parse(cls: type, base: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a config into values for all parameters; raises `BadInputError`, which names the field."""
    known = parameters(cls, base)
    for name in config:
        if name not in known:
            raise BadInputError(f"config.{name}: {cls.__name__} has no such parameter{did_you_mean(name, known)}")
    return {name: _value(name, parameter, config) for name, parameter in known.items()}


def did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    """Return "did you mean" with the most similar known name, or the list of known names."""
    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(known)}" if known else ""


def _value(name: str, parameter: Parameter, config: Mapping[str, Any]) -> Any:
    if name not in config:
        if parameter.required:
            raise BadInputError(f"config.{name}: this parameter is required")
        return parameter.default
    try:
        return parameter.type.validate_json(render(config[name]), strict=True)
    except ValidationError as error:
        raise BadInputError(f"config.{name}: {error.errors()[0]['msg']}") from None
