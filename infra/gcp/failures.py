"""Google's errors as the ports' own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from core.errors import Unavailable


@contextlib.contextmanager
def unavailable(service: str, *more: type[Exception]) -> Iterator[None]:
    """Turn what `service` fails with into Unavailable; `more` are its client's own errors.

    The message names the kind of error only: Google's texts hold URLs with their queries.
    """
    errors: tuple[type[Exception], ...] = (GoogleAPIError, GoogleAuthError, *more)
    try:
        yield
    except errors as error:
        code = f" {error.code}" if isinstance(error, GoogleAPICallError) else ""
        raise Unavailable(f"{service} answers{code} {type(error).__name__}; try again") from error
