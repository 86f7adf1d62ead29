"""JSON schemas of the models, as the document shows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.web.http.route_spec import RouteSpec

TEMPLATE = "#/components/schemas/{model}"


def route_schemas(table: Sequence[RouteSpec]) -> dict[str, Any]:
    """Return the schemas of all bodies and answers by name."""
    return _model_schemas(
        frozenset(spec.body for spec in table if spec.body), frozenset(spec.answer for spec in table if spec.answer)
    )


@cache
def _model_schemas(bodies: frozenset[type[BaseModel]], answers: frozenset[type[BaseModel]]) -> dict[str, Any]:
    """Return the schemas of models by name; kept, as computing them takes half of a server's start."""
    modes: list[Any] = [*((body, "validation") for body in bodies), *((answer, "serialization") for answer in answers)]
    modes.sort(key=lambda pair: pair[0].__name__)
    definitions = models_json_schema(modes, by_alias=True, ref_template=TEMPLATE)[1]["$defs"]
    return {name: without_titles(schema) for name, schema in definitions.items()}


@cache
def query_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model of a query string."""
    return model.model_json_schema(by_alias=True)


def reference(name: str) -> dict[str, Any]:
    """Return a reference to a schema."""
    return {"$ref": TEMPLATE.format(model=name)}


def without_titles(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [without_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {key: without_titles(part) for key, part in schema.items() if key not in ("title", "properties")}
    if "properties" in schema:
        cleaned["properties"] = {name: without_titles(part) for name, part in schema["properties"].items()}
    return cleaned


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional parameter of a query string, in which there is no null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**kinds[0], **rest}
