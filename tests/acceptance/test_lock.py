"""What an installation takes: exact versions with hashes, a base image named by version, and the licence."""

from __future__ import annotations

import re
import tomllib

from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(text: str) -> dict[str, str]:
    return {normalized(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


def test_the_lock_has_every_dependency_in_the_version_of_the_constraints() -> None:
    locked, constrained = versions(LOCK), versions(CONSTRAINTS)
    needed = {normalized(re.split(r"[\[><=; ]", dependency)[0]) for dependency in PROJECT["dependencies"]}
    assert needed <= locked.keys(), "run `make lock`"
    different = {name for name in locked.keys() & constrained.keys() if locked[name] != constrained[name]}
    assert not different, "run `make lock`"


def test_every_locked_version_has_hashes_and_no_index_is_named() -> None:
    entries = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(versions(LOCK))
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert "://" not in LOCK + CONSTRAINTS
    assert "index" not in LOCK


def test_installations_use_the_hashes_and_the_image_names_its_base_by_version() -> None:
    for name in ("Makefile", "Dockerfile"):
        assert "--require-hashes --requirement requirements.lock" in (ROOT / name).read_text()
    assert re.match(r"FROM python:3\.\d+\.\d+-\S+\n", (ROOT / "Dockerfile").read_text())


def test_the_metadata_name_the_licence() -> None:
    assert PROJECT["license"] == (ROOT / "LICENSE").read_text().split()[0]
    assert PROJECT["license-files"] == ["LICENSE"]
