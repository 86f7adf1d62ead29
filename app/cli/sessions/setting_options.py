"""Options for a session's settings, derived from their model; the API sets the defaults of those not given."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, get_args, get_origin

import typer

from app.cli.options import time_ms
from app.domain.number import DecimalFloat
from app.domain.session import SETTINGS
from app.domain.setting import SettingField
from app.domain.trading.settings import Sizing
from app.web.sim.requests import FEE_HELP

Command = Callable[..., None]
Given = dict[str, Any]
"""The options that were given, as fields of the request: name in JSON -> value."""

NEW_SESSION = frozenset(field.name for field in SETTINGS if field.setting.in_request)
FORK = frozenset(field.name for field in SETTINGS if field.setting.fork)

_NULL: Any = object()
"""The value of the word none: an explicit null."""


class _Option(NamedTuple):
    """An option, and the field of the request that it sets."""

    json_name: str
    parameter: inspect.Parameter


def takes_settings(
    names: Collection[str], *, required: Collection[str] = (), defaults: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Add an option for each of these settings to a command; its first argument is a dict of those that are given.

    `required` options must be given; `defaults` apply only to the command line.
    """

    def decorate(command: Command) -> Command:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        options = {option.parameter.name: option for option in _options(names, required, defaults or {})}

        @wraps(command)
        def call(**values: Any) -> None:
            given = {option.json_name: merged(values.pop(name)) for name, option in options.items()}
            command({name: _value(value) for name, value in given.items() if value not in (None, [])}, **values)

        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters[1:]]
        arguments = [parameter for parameter in own if parameter.default is inspect.Parameter.empty]
        others = [parameter for parameter in own if parameter.default is not inspect.Parameter.empty]
        shown = [*arguments, *(option.parameter for option in options.values()), *others]
        vars(call)["__signature__"] = inspect.Signature(shown)
        vars(call)["__annotations__"] = {parameter.name: parameter.annotation for parameter in shown}
        return call

    return decorate


def merged(value: Any) -> Any:
    """Return the objects of a repeated option as one."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return {name: item for part in value for name, item in part.items()}
    return value


def _value(value: Any) -> Any:
    return None if value is _NULL else value


def _options(names: Collection[str], required: Collection[str], defaults: Mapping[str, Any]) -> list[_Option]:
    """Return the options in the order of the settings, required ones first."""
    options = []
    for field in SETTINGS:
        if field.name in names:
            options += [_fee_option()] if field.name == "maker_fee_bps" else []
            default = inspect.Parameter.empty if field.name in required else defaults.get(field.name)
            options.append(_option(field, default))
    return sorted(options, key=lambda option: option.parameter.default is not inspect.Parameter.empty)


def _option(field: SettingField, default: Any) -> _Option:
    hint, parser = _READ.get(field.base_type, (str, None))
    if field.setting.metavar == "TIME":
        parser = time_ms
    if field.nullable and parser is parse_number:
        parser = parse_number_or_none
    option = typer.Option(
        field.option, parser=parser, metavar=_metavar(field), help=field.setting.help.replace("null:", "none:")
    )
    return _Option(field.json_name, _parameter(field.name, Annotated[hint | None, option], default))


def _fee_option() -> _Option:
    option = typer.Option("--fee-bps", parser=parse_number, metavar="BPS", help=FEE_HELP)
    return _Option("feeBps", _parameter("fee_bps", Annotated[float | None, option], None))


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _metavar(field: SettingField) -> str:
    return "|".join(get_args(field.type)) if get_origin(field.type) is Literal else field.setting.metavar


def parse_number(text: str) -> DecimalFloat:
    """Parse the number of an option; it keeps every digit."""
    try:
        return DecimalFloat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:40]!r} is not a number") from None


def parse_number_or_none(text: str) -> Any:
    """Parse the number of an option, or the word none as an explicit null."""
    try:
        return _NULL if text == "none" else DecimalFloat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:40]!r} is neither a number nor none") from None


def parse_json(text: str) -> Any:
    """Parse the JSON of an option; numbers keep every digit."""

    def refuse(word: str) -> NoReturn:
        raise typer.BadParameter(f"{word} is not a JSON number")

    try:
        return json.loads(text, parse_float=DecimalFloat, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"this is not JSON: {error}") from None


def parse_object(text: str) -> dict[str, Any]:
    """Parse the JSON object of an option."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object")
    return value


def parse_config(text: str) -> dict[str, Any]:
    """Parse parameters: a JSON object, or NAME=VALUE."""
    return parse_object(text) if text.lstrip()[:1] in ("{", "[") or "=" not in text else dict([parse_param(text)])


def parse_param(text: str) -> tuple[str, Any]:
    """Parse one parameter, NAME=VALUE: the value is JSON, any other word is text."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value):
        raise typer.BadParameter(f"{text[:60]!r} is not NAME=VALUE, as in fast=10")
    if re.fullmatch(r"-?[\d.]+\.\.-?[\d.:]+", value):
        raise typer.BadParameter(f"{text[:60]!r} is a range; give one value, or use zeon sweep")
    try:
        return name.strip(), json.loads(value, parse_float=DecimalFloat)
    except json.JSONDecodeError:
        return name.strip(), value


_READ: dict[Any, tuple[Any, Callable[[str], Any] | None]] = {
    int: (int, None),
    Decimal: (float, parse_number),
    tuple: (list[str], None),
    dict: (list[str], parse_config),
    Sizing: (str, parse_object),
}
"""Type of a setting -> type and parser of its option; text for all other types."""
