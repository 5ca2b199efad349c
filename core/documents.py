"""Frozen dataclasses as JSON documents and back: what one worker plans, another carries out.

A dataclass becomes an object with its fields and, under `@class`, the name of its class; a fraction
becomes "1/25", an enum its value, a tuple a list.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

_KIND: Final = "@class"
_T = TypeVar("_T")


def to_document(value: object) -> Any:
    """Return `value` as what `json.dumps` takes; raises TypeError for what has no such form."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: to_document(getattr(value, field.name)) for field in fields(value)}
        return {_KIND: type(value).__name__, **members}
    if isinstance(value, Mapping):
        return {str(name): to_document(member) for name, member in value.items()}
    if isinstance(value, Sequence | frozenset):
        return [to_document(member) for member in value]
    raise TypeError(f"a {type(value).__name__} has no form as a document")


def from_document(kind: type[_T], document: Any) -> _T:
    """Return the `kind` that `to_document` has written.

    Raises ValueError for members that are missing, unknown or of another type.
    """
    try:
        value: _T = _read(kind, document)
    except (TypeError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"this is no {kind.__name__}: {error}") from error
    return value


def _read(hint: Any, document: Any) -> Any:
    if get_origin(hint) in {Union, types.UnionType}:
        return _read(_member(get_args(hint), document), document)
    if is_dataclass(hint) and isinstance(hint, type):
        return _object(hint, document)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), document)
    return _plain(hint, document)


def _plain(hint: Any, document: Any) -> Any:
    if hint is Fraction:
        return Fraction(_of(str, document))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(document)
    return float(_of((int, float), document)) if hint is float else _of(hint, document)


def _object(hint: Any, document: Any) -> Any:
    members = dict(_of(dict, document))
    if members.pop(_KIND) != hint.__name__:
        raise ValueError(f"this is no {hint.__name__}")
    hints = get_type_hints(hint)
    return hint(**{name: _read(hints[name], member) for name, member in members.items()})


def _tuple(hints: tuple[Any, ...], document: Any) -> tuple[Any, ...]:
    members = _of(list, document)
    if hints[-1] is Ellipsis:
        return tuple(_read(hints[0], member) for member in members)
    return tuple(_read(hint, member) for hint, member in zip(hints, members, strict=True))


def _member(hints: tuple[Any, ...], document: Any) -> Any:
    """Return which of a union's members was written."""
    if document is None:
        return type(None)
    if isinstance(document, Mapping) and _KIND in document:
        named = [hint for hint in hints if getattr(hint, "__name__", "") == document[_KIND]]
        if not named:
            raise ValueError(f"{document[_KIND]} may not stand here")
        return named[0]
    others = [hint for hint in hints if hint is not type(None) and not is_dataclass(hint)]
    if not others:
        raise ValueError("none of the kinds that may stand here")
    return others[0]


def _of(hint: Any, document: Any) -> Any:
    if hint is type(None):
        return document
    wrong = not isinstance(document, hint)
    if wrong or (isinstance(document, bool) and hint is not bool):
        raise ValueError(f"{type(document).__name__} where {hint} should be")
    return document
