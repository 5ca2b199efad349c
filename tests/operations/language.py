"""As much of the Logging query language as the project uses, evaluated on entries.

https://cloud.google.com/logging/docs/view/logging-query-language. What is not known here raises
UnknownSyntax, so that a query is never believed which Cloud Logging would read in another way:
AND must be written, and AND and OR do not stand side by side without parentheses (OR binds
more tightly than AND there). A comparison with a field that the payload or the labels do not have
is false, also with `!=` and `!~`; fields of the type LogEntry have a default instead.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tests.operations.entries import SEVERITIES, LogEntry

Query = Callable[[LogEntry], bool]

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<op>!=|>=|<=|=~|!~|=|>|<|:)
  | (?P<paren>[()])
  | (?P<word>[A-Za-z0-9_.*/-]+)
    """,
    re.VERBOSE,
)
_BOOLEAN: Final = frozenset({"AND", "OR", "NOT"})
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "severity": "DEFAULT",
    "trace": "",
    "spanId": "",
    "traceSampled": False,
    "textPayload": "",
    "timestamp": "",
    "httpRequest.status": 0,
    "httpRequest.requestMethod": "",
    "httpRequest.latency": "",
    "sourceLocation.function": "",
}
"""Fields of the type, and what they are where a line does not set them."""
_NOT_RE2: Final = re.compile(r"\(\?[=!<]|\\[1-9]")
"""Looking around and back: Python knows it, RE2 does not."""


class UnknownSyntax(ValueError):
    """The query uses what is not known here."""


def parse(text: str) -> Query:
    """Return what tells whether an entry matches; raises UnknownSyntax."""
    parser = _Parser(tokens=list(_tokens(text)))
    query = parser.expression()
    if parser.tokens:
        raise UnknownSyntax(f"{parser.tokens[0].text!r} is one too many: write AND or OR")
    return query


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UnknownSyntax(f"cannot read {text[at : at + 20]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group())


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]

    def expression(self) -> Query:
        """Read terms that are joined by AND alone, or by OR alone."""
        terms, joined = [self.term()], ""
        while (word := self._peek().text) in ("AND", "OR"):
            if joined not in ("", word):
                raise UnknownSyntax("AND and OR stand side by side; use parentheses")
            joined = self._take().text
            terms.append(self.term())
        if joined == "OR":
            return lambda entry: any(term(entry) for term in terms)
        return lambda entry: all(term(entry) for term in terms)

    def term(self) -> Query:
        """Read NOT and a term, a group, or a comparison."""
        token = self._take()
        if token == _Token("word", "NOT"):
            negated = self.term()
            return lambda entry: not negated(entry)
        if token == _Token("paren", "("):
            group = self.expression()
            self._expect(")")
            return group
        if token.kind != "word" or token.text in _BOOLEAN or self._peek().kind != "op":
            raise UnknownSyntax(f"{token.text!r} is no comparison of a field")
        return self._comparison(token.text, self._take().text)

    def _comparison(self, field: str, op: str) -> Query:
        look = _looker(field)
        tests = [_comparer(field, op, value) for value in self._values()]
        return lambda entry: (
            (value := look(entry)) is not None and any(test(value) for test in tests)
        )

    def _values(self) -> Iterator[_Token]:
        if self._peek() != _Token("paren", "("):
            yield self._value()
            return
        self._take()
        yield self._value()
        while self._peek().text == "OR":
            self._take()
            yield self._value()
        self._expect(")")

    def _value(self) -> _Token:
        token = self._take()
        if token.kind not in ("string", "word") or token.text in _BOOLEAN:
            raise UnknownSyntax(f"{token.text!r} is no value")
        return token

    def _expect(self, text: str) -> None:
        if (token := self._take()).text != text:
            raise UnknownSyntax(f"{token.text!r} where {text!r} should be")

    def _take(self) -> _Token:
        token = self._peek()
        if not self.tokens:
            raise UnknownSyntax("the query ends too early")
        self.tokens.pop(0)
        return token

    def _peek(self) -> _Token:
        return self.tokens[0] if self.tokens else _Token("end", "")


def _looker(field: str) -> Callable[[LogEntry], Any]:
    """Return what finds the field's value in an entry, or None."""
    head, _, rest = field.partition(".")
    match head:
        case "jsonPayload" if rest:
            return lambda entry: _inside(entry.payload, rest)
        case "labels" if rest:
            return lambda entry: entry.labels.get(rest)
        case "resource" if rest == "type" or rest.startswith("labels."):
            return lambda entry: _inside(entry.resource, rest)
        case _ if field in _DEFAULTS:
            return lambda entry: _known(entry, field)
    raise UnknownSyntax(f"{field} is no field of a log entry")


def _known(entry: LogEntry, field: str) -> Any:
    found = _inside(entry.known, field)
    return _DEFAULTS[field] if found is None else found


def _inside(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _comparer(field: str, op: str, token: _Token) -> Callable[[Any], bool]:
    wanted = _text(token)
    if op == ":" and token.text == "*":
        return lambda value: value not in ("", False, 0) or field.startswith("jsonPayload.")
    if op in ("=~", "!~"):
        pattern = _regex(token)
        return lambda value: bool(pattern.search(_shown(value))) is (op == "=~")
    if op == ":":
        return lambda value: wanted.lower() in _shown(value).lower()
    if op in ("=", "!="):
        if field == "severity":
            _rank(wanted)
        return lambda value: _equal(value, wanted) is (op == "=")
    return _ordered(field, _ORDER[op], wanted)


def _ordered(field: str, compare: Callable[[Any, Any], bool], wanted: str) -> Callable[[Any], bool]:
    if field == "severity":
        rank = _rank(wanted)
        return lambda value: compare(_rank(value), rank)
    if field == "timestamp":
        moment = datetime.fromisoformat(wanted)
        return lambda value: bool(value) and compare(datetime.fromisoformat(value), moment)
    number = _number(wanted)
    if number is None:
        raise UnknownSyntax(f"{field} is put in order with {wanted!r}, which is no number")
    return lambda value: not isinstance(value, str | bool) and compare(value, number)


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, int | float):
        return value == _number(wanted)
    return str(value).lower() == wanted.lower()


def _regex(token: _Token) -> re.Pattern[str]:
    if token.kind != "string":
        raise UnknownSyntax("a regular expression stands in quotation marks")
    pattern = _text(token)
    if _NOT_RE2.search(pattern):
        raise UnknownSyntax(f"RE2 does not know {pattern!r}")
    return re.compile(pattern)


def _rank(severity: str) -> int:
    if severity.upper() not in SEVERITIES:
        raise UnknownSyntax(f"{severity!r} is no severity")
    return SEVERITIES.index(severity.upper())


def _text(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text[1:-1])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
