"""Each route that reads is declared for tokens that may only read, and no other is."""

from __future__ import annotations

from typing import Any, get_type_hints

from app.web.exchange.routes import FaceCalls
from app.web.routes import Handlers, route_table


def test_only_routes_that_read_are_for_tokens_that_may_only_read_and_links_show_one_session() -> None:
    classes: dict[str, Any] = get_type_hints(Handlers)
    classes["face"] = FaceCalls(**get_type_hints(FaceCalls))
    table = route_table(Handlers(**classes))
    closed = [spec for spec in table if not (spec.open or spec.face)]
    assert len(closed) > 25
    for spec in closed:
        assert (spec.scope != "trade") == (spec.method == "GET"), f"{spec.method} {spec.path}: scope={spec.scope!r}"
        assert spec.scope != "share" or "{id:uuid}" in spec.path, spec.path
