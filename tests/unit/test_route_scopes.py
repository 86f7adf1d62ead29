"""Each route that reads is declared for tokens that may only read, and no other is."""

from __future__ import annotations

from typing import Any

from app.web import app as every_group
from app.web.http.route_spec import RouteGroup

assert every_group, "imported, so that all groups are defined"


def test_only_routes_that_read_are_for_tokens_that_may_only_read_and_links_show_one_session() -> None:
    groups: list[Any] = RouteGroup.__subclasses__()
    table = [route for group in groups for route in group.routes(group)]
    closed = [spec for spec in table if not (spec.open or spec.face)]
    assert len(closed) > 25
    for spec in closed:
        assert (spec.scope != "trade") == (spec.method == "GET"), f"{spec.method} {spec.path}: scope={spec.scope!r}"
        assert spec.scope != "share" or "{id:uuid}" in spec.path, spec.path


def test_every_route_but_web_pages_and_their_files_has_a_name_of_its_own() -> None:
    groups: list[Any] = RouteGroup.__subclasses__()
    table = [route for group in groups for route in group.routes(group)]
    names = [route.name for route in table if route.name]
    assert len(names) == len(set(names))
    unnamed = {route.path for route in table if not (route.name or route.face)}
    assert unnamed == {"/", "/compare", "/sessions/{id:uuid}", "/docs", "/static/{name:path}"}
