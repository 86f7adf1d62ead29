"""Where things are in the checkout under test."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
