"""The OpenAPI document, generated from the table of routes and its models."""

from app.web.openapi.document import openapi

__all__ = ["openapi"]
