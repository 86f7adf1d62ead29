"""20,000 damaged candle files, each read in less than two seconds and in little memory."""

import random
import time
from itertools import islice
from pathlib import Path

import psutil
import pytest

from tests.support.mutations import check_reading, mutations, seeds

CASES = Path(__file__).parents[3] / "shared" / "cases"
MUTATED = 20_000
SMALL = 10_000

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3_600)]


def test_no_damaged_file_takes_long_or_much_memory(tmp_path: Path) -> None:
    results = [path for path in CASES.rglob("*") if path.is_file() and path.stat().st_size < SMALL]
    files = [*seeds(), *(path.read_bytes() for path in sorted(results))]
    draw = random.Random(1)
    idle = psutil.Process().memory_info().rss
    for number, data in enumerate(islice(mutations(1, files), MUTATED)):
        path = tmp_path / f"BTCUSDT-{number}.csv"
        path.write_bytes(data)
        begun = time.monotonic()
        check_reading(path, draw.choice(["1m", "5m", "1h", "1d", "3d", "1w"]))
        assert time.monotonic() - begun < 2 * 2, data[:200]  # It is read twice.
        assert psutil.Process().memory_info().rss - idle < 200 * 2**20
        path.unlink()
