"""A strategy named on the command line: a profile, or a user strategy as `module:Class`."""

from __future__ import annotations

from app.settings import Settings
from app.strategy_hosts.strategy_files import slug_of


def resolve_strategy(profile: str, settings: Settings) -> tuple[str, Settings]:
    """Return the slug of a profile, and settings that include it: `module:Class` is added to `strategies`."""
    _, colon, attribute = profile.partition(":")
    if not colon:
        return profile, settings
    strategies = dict.fromkeys((*settings.strategies, profile))
    return slug_of(attribute), settings.model_copy(update={"strategies": tuple(strategies)})
