"""The key ring."""

from __future__ import annotations

import pytest

from core.keys import KeyRing

KEY = "one-of-the-keys"


def test_each_key_of_the_ring_is_admitted() -> None:
    ring = KeyRing([KEY, "another"])
    assert ring.admits(KEY)
    assert ring.admits("another")


@pytest.mark.parametrize(
    "presented",
    [None, "", " ", "x", KEY[:-1], KEY + " ", KEY.upper(), "ключ", "\udcff", "\x00", KEY * 1000],
)
def test_anything_else_is_not(presented: str | None) -> None:
    assert not KeyRing([KEY, "another"]).admits(presented)


def test_keys_may_have_any_characters() -> None:
    assert KeyRing(["ключ"]).admits("ключ")


@pytest.mark.parametrize("keys", [[], [""], ["", " ", "\t"]])
def test_a_ring_of_blank_keys_admits_nobody(keys: list[str]) -> None:
    ring = KeyRing(keys)
    assert not any(ring.admits(presented) for presented in (None, "", *keys))


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the time does not tell which key it was, or that there was none."""
    compared: list[bytes] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(right)
        return left == right

    monkeypatch.setattr("core.keys.hmac.compare_digest", compare)
    assert KeyRing(["a", "b", "c"]).admits("a")
    assert len(compared) == 3
    assert {len(digest) for digest in compared} == {32}


def test_its_repr_hides_the_keys() -> None:
    assert KEY not in repr(KeyRing([KEY]))
    assert KEY not in repr(vars(type("Holder", (), {"ring": KeyRing([KEY])})))
