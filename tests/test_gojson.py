"""JSON as Go writes and refuses it; the expected texts are Go 1.26's own."""

from __future__ import annotations

import json
import math

import pytest

from helpers.practice.gojson import BadBody, decode_base64, encode, float32, parse, spell

REFUSED = {
    b"{bad": "invalid character 'b' looking for beginning of object key string",
    b'{"a":1': "unexpected EOF",
    b'{"a" 1}': "invalid character '1' after object key",
    b'{"a":1 "b"}': "invalid character '\"' after object key:value pair",
    b'{"a":1,}': "invalid character '}' looking for beginning of object key string",
    b"[1 2]": "invalid character '2' after array element",
    b"{'a'": r"invalid character '\'' looking for beginning of object key string",
    b'"a\nb"': r"invalid character '\n' in string literal",
    b'"\\x"': "invalid character 'x' in string escape code",
    b'"\\u12g4"': r"invalid character 'g' in \u hexadecimal character escape",
    b"nope": "invalid character 'o' in literal null (expecting 'u')",
    b"-x": "invalid character 'x' in numeric literal",
    b"NaN": "invalid character 'N' looking for beginning of value",
    b"\xc3": "invalid character 'Ã' looking for beginning of value",
    b"{\x00": r"invalid character '\x00' looking for beginning of object key string",
    b"[1\x7f]": r"invalid character '\x7f' after array element",
    b"\x85": r"invalid character '\u0085' looking for beginning of value",
    b"[" * 20_000: "exceeded max depth",
}


@pytest.mark.parametrize(("body", "text"), REFUSED.items(), ids=lambda value: repr(value)[:30])
def test_what_is_no_json_is_refused_in_gos_words(body: bytes, text: str) -> None:
    with pytest.raises(BadBody) as refused:
        parse(body)
    assert str(refused.value) == text


def test_only_the_first_value_is_read() -> None:
    assert parse(b' {"a": 1} and the rest') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "byte"),
    [
        ("AAA", 0),
        ("AAAA=", 4),
        ("AAAA==", 4),
        ("AAAAA===", 5),
        ("AA=", 3),
        ("AA=A", 2),
        ("AAA==", 4),
        ("AAA=A", 4),
        ("AA\n=\n=\nA", 7),
        ("AAAAAA\r\n", 6),
        ("AA!A", 2),
    ],
    ids=repr,
)
def test_where_base64_goes_wrong(text: str, byte: int) -> None:
    with pytest.raises(BadBody, match=f"^illegal base64 data at input byte {byte}$"):
        decode_base64(text)


@pytest.mark.parametrize("text", ["", "AAAA", "AA==", "AAA=", "AA\n=\r\n=\n", "\nAAAA"], ids=repr)
def test_base64_with_line_ends(text: str) -> None:
    assert set(decode_base64(text)) <= {0}


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert parse(rb'["\ud83d", "\ud83d\ude00"]') == ["\ufffd", "\U0001f600"]


SPELT = {
    1e-7: "1e-7", 5e-5: "0.00005", 1.5e-6: "0.0000015", 0.7: "0.7", 1.0: "1", 1e16: "10000000000000000",
    1.2345e20: "123450000000000000000", 1e21: "1e+21", 1.5e22: "1.5e+22", 0.0: "0", -2.5: "-2.5",
}  # fmt: skip


@pytest.mark.parametrize(("number", "text"), SPELT.items())
def test_floats_are_spelt_as_go_spells_them(number: float, text: str) -> None:
    assert spell(number) == text
    assert json.loads(encode({"x": [number, 1e-7]}))["x"][0] == number


def test_a_text_stays_a_text_beside_floats() -> None:
    assert encode({"a": "\0", "b": 1e-7}) == rb'{"a":"\u0000","b":1e-7}'


def test_angle_brackets_and_line_separators_are_escaped() -> None:
    assert encode({"a": "<b> & \u2028"}) == rb'{"a":"\u003cb\u003e \u0026 \u2028"}'


@pytest.mark.parametrize("number", [0.1, 1 / 3, -0.08727889508008957, 1e-9, 123456.789])
def test_a_float32_is_short_and_still_the_same_float32(number: float) -> None:
    short = float32(number)
    assert math.isclose(short, number, rel_tol=1e-7)
    assert len(repr(short)) <= 15


def test_a_number_between_two_float32s_becomes_one_of_them() -> None:
    assert float32(16777217) == 16777216


def test_base64_that_is_none_names_the_byte() -> None:
    assert decode_base64("aGk=") == b"hi"
    with pytest.raises(BadBody, match="illegal base64 data at input byte 2"):
        decode_base64("aG@@")
