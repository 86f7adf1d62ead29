"""Derive requests and answers from the fields of a session's settings."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Gt, Le
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, TypeAdapter, WithJsonSchema

from app.domain.number import parse_decimal
from app.domain.session import SETTINGS, Pace, setting_to_json
from app.domain.setting import REQUIRED, Amount, SettingField, annotate, setting_fields, split_annotation, without_null
from app.domain.trading.settings import SIZES, Sizing
from app.web.http.models import extended

Model = TypeVar("Model", bound=BaseModel)

_DIGITS = 40
_LAST = Decimal(1).scaleb(-_DIGITS)
_WIDE = Context(prec=3 * _DIGITS)


def _decimal(value: Any) -> Any:
    """Parse a JSON number without loss; decimals after the fortieth are rounded."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    number = parse_decimal(value)
    if number.adjusted() > _DIGITS:
        raise ValueError(f"must have at most {_DIGITS} digits before the point")
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent >= -_DIGITS else number.quantize(_LAST, context=_WIDE)


def _sizing_schema() -> dict[str, Any]:
    """Return the schema of a sizing: one of its three sizes, perhaps with a step."""
    amount = TypeAdapter(_request_type(Amount)).json_schema()
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {size: amount, "qtyStep": amount},
                "required": [size],
                "additionalProperties": False,
            }
            for size in SIZES
        ]
    }


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def json_number(*limits: Any) -> Any:
    """Return type metadata: the value is a JSON number within limits, parsed as an exact decimal."""
    return BeforeValidator(_decimal, json_schema_input_type=annotate(float, [_as_shown(note) for note in limits]))


def _as_shown(limits: Any) -> Any:
    """Return limits as the JSON schema shows them: what rounds to zero is not more than zero."""
    parts = {type(part): part for part in getattr(limits, "metadata", ())}
    return Field(ge=float(_LAST), le=parts[Le].le if Le in parts else None) if Gt in parts else limits


Number = Annotated[
    Decimal,
    PlainSerializer(_number, return_type=int | float, when_used="json"),
    WithJsonSchema({"type": "number"}, mode="serialization"),
]
"""An exact decimal; in an answer it is a JSON number."""
_SIZING_KEYS = Literal["qty", "cash", "equityPct", "qtyStep"]


def takes_settings(*, fork: bool = False) -> Callable[[type[Model]], type[Model]]:
    """Add to a request the settings that a client may choose, or with `fork` those a fork may change, all optional."""

    def decorate(model: type[Model]) -> type[Model]:
        chosen = [field for field in SETTINGS if (field.setting.fork if fork else field.setting.in_request)]
        return extended(model, ((field.name, *_request_field(field, optional=fork)) for field in chosen))

    return decorate


def takes_pace(model: type[Model]) -> type[Model]:
    """Add to a request the settings of a pace, all optional."""
    return extended(model, ((field.name, *_request_field(field, optional=True)) for field in setting_fields(Pace)))


def answers_settings(model: type[Model]) -> type[Model]:
    """Add to an answer every setting of a session."""
    return extended(model, ((field.name, _answer_type(field.type), ...) for field in SETTINGS))


def _request_field(field: SettingField, *, optional: bool) -> tuple[Any, Any]:
    type_, default = _request_type(field.type), field.default
    if optional or field.setting.optional:
        type_, default = type_ | None, None
    if default is REQUIRED:
        return Annotated[type_, Field(description=field.setting.help)], ...
    default = setting_to_json(default)
    described: Any = Field(description=field.setting.help, json_schema_extra=partial(_show_default, default))
    return Annotated[type_, described], default


def _show_default(default: Any, schema: dict[str, Any]) -> None:
    """Write exact decimals as numbers; leave out a default that generators of clients do not take: an object."""
    if isinstance(default, Decimal):
        schema["default"] = _number(default)
    elif isinstance(default, dict):
        schema.pop("default", None)


def _request_type(type_: Any) -> Any:
    plain, notes = split_annotation(type_)
    if get_origin(plain) in (Union, UnionType):
        return _request_type(without_null(plain)) | None
    if plain is Sizing:
        return annotate(dict[_SIZING_KEYS, _request_type(Amount)], [WithJsonSchema(_sizing_schema())])  # type: ignore[misc]
    if plain is Decimal:
        return annotate(Decimal, [*notes, json_number(*notes)])
    if get_origin(plain) is tuple:
        return annotate(list[_request_type(get_args(plain)[0])], notes)  # type: ignore[misc]
    return type_


def _answer_type(type_: Any) -> Any:
    plain = split_annotation(type_)[0]
    if get_origin(plain) in (Union, UnionType):
        return _answer_type(without_null(plain)) | None
    if plain is Sizing:
        return dict[str, Number]
    if plain is Decimal:
        return Number
    if get_origin(plain) is tuple:
        return list[_answer_type(get_args(plain)[0])]  # type: ignore[misc]
    return plain
