"""A strategy named on the command line: a profile, or a user strategy as `module:Class`."""

from __future__ import annotations

from app.domain.trading.slug import slug_of
from app.settings import Settings


def resolve_strategy(profile: str, settings: Settings) -> tuple[str, Settings]:
    """Return the slug of a profile, and settings that include it: `module:Class` is added to `strategies`."""
    _, colon, attribute = profile.partition(":")
    if not colon:
        return slug_of(profile), settings
    strategies = dict.fromkeys((*settings.strategies, profile))
    return slug_of(attribute), settings.model_copy(update={"strategies": tuple(strategies)})
