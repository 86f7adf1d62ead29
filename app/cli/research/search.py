"""Choose parameters by Optuna's sampler instead of trying all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from app.cli.research.param_grid import Axis
from app.errors import SimError

BATCH = 8
"""Trials that are chosen at once; not the number of processes, so that every machine chooses the same."""

Evaluate = Callable[[list[dict[str, Any]]], Sequence[float | None]]
"""Runs some combinations and returns the figure of each, larger is better; null for one without it."""


def require_optuna() -> None:
    """Raise `SimError` when there is no Optuna."""
    if find_spec("optuna") is None:
        raise SimError("--search needs the package optuna; pip install 'zeon-sim[search]'")


def search(axes: Sequence[Axis], trials: int, seed: int, evaluate: Evaluate) -> None:
    """Try `trials` combinations, each batch chosen by what those before it gave.

    The same seed and the same figures choose the same combinations: a search that was interrupted goes on like this,
    and the runs that it made before are found again.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for first in range(0, trials, BATCH):
            asked = [study.ask() for _ in range(min(BATCH, trials - first))]
            chosen = [{axis.name: _choose(trial, axis) for axis in axes} for trial in asked]
            for trial, figure in zip(asked, evaluate(chosen), strict=True):
                if figure is None:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, figure)


def _choose(trial: Any, axis: Axis) -> Any:
    """Choose a value by its place, so that any JSON value can be one."""
    last = len(axis.values) - 1
    if axis.in_order:
        return axis.values[trial.suggest_int(axis.name, 0, last)]
    return axis.values[trial.suggest_categorical(axis.name, list(range(last + 1)))]
