"""What schemathesis checks besides its own checks: a valid request is never refused for its form."""

from __future__ import annotations

import schemathesis
from schemathesis import GenerationMode

OF_THE_FORM = {"malformed", "wrong_content_type", "method_not_allowed", "too_large"}


@schemathesis.check
def a_valid_request_is_not_refused_for_its_form(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Fail for a code that says that the request does not have the form which the document describes."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE or response.status_code < 400:
        return
    answer = response.json()
    if answer["code"] in OF_THE_FORM:
        raise AssertionError(f"a valid request is refused for its form: {answer['error']}")
