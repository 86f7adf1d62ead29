"""A strategy named on the command line: a profile, a file, a folder, or a class as `module:Class`."""

from __future__ import annotations

from pathlib import Path

from app.domain.trading.slug import slug_of
from app.errors import BadInputError, StrategyFailedError
from app.settings import Settings
from app.strategy_hosts.local_strategy import LocalStrategy, find_local


def resolve_strategy(profile: str, settings: Settings) -> tuple[str, Settings]:
    """Return the slug of a profile, and settings that include it: a file or class is added to `strategies`."""
    place, colon, attribute = profile.partition(":")
    location = profile
    if place.endswith(".py") or (Path(place).expanduser().is_dir() and (colon or "/" in place)):
        local = _found(profile)
        attribute, location = local.strategy.__name__, f"{local.file}:{local.strategy.__name__}"
    elif not colon:
        return slug_of(profile), settings
    strategies = dict.fromkeys((*settings.strategies, location))
    return slug_of(attribute), settings.model_copy(update={"strategies": tuple(strategies)})


def _found(profile: str) -> LocalStrategy:
    """Return the strategy of a file; raises `BadInputError`, also if it cannot be imported."""
    try:
        local = find_local(profile)
    except StrategyFailedError as error:
        raise BadInputError(f"PROFILE: {error.message}") from None
    assert local is not None
    return local
