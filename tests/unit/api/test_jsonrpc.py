import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.api.errors import BadJson, BadRequest, NotBuiltYet, RpcError, sentence_of
from fulmen.api.jsonrpc import MAX_DEPTH, MAX_REQUEST, Objects, error_text, parse_call
from fulmen.core.base.faults import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=4)


@given(OBJECTS, st.integers(1, 40), st.sampled_from(["", " ", "\n\n"]))
def test_objects_come_out_however_the_stream_is_cut(objects, cut, between):
    stream = between.join(json.dumps(one, ensure_ascii=False) for one in objects).encode()
    reader = Objects()
    found = [one for at in range(0, len(stream), cut) for one in reader.feed(stream[at : at + cut])]
    assert [json.loads(one) for one in found] == objects


@pytest.mark.parametrize("text", [b"hello", b"5", b'"x"', b"]", b"\x00", b"\xff\xfe"])
def test_what_begins_with_no_object_is_refused(text):
    with pytest.raises(BadJson):
        list(Objects().feed(text))


def test_a_deep_request_is_refused_before_it_is_read():
    with pytest.raises(BadJson, match="nest"):
        list(Objects().feed(b'{"a":' * (MAX_DEPTH + 1)))


def test_an_endless_request_is_refused_at_the_bound():
    reader = Objects()
    list(reader.feed(b'{"a":"'))
    with pytest.raises(BadJson, match="bytes"):
        for _ in range(MAX_REQUEST // 65536 + 2):
            list(reader.feed(b"x" * 65536))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"{", BadJson),
        (b'{"a":\xff}', BadJson),
        (b'{"method":"\\ud800"}', BadJson),
        (b"[]", BadRequest),
        (b"{}", BadRequest),
        (b'{"method":5}', BadRequest),
        (b'{"method":"x","id":{}}', BadRequest),
        (b'{"method":"x","id":[1]}', BadRequest),
    ],
)
def test_what_is_no_request_is_refused(text, fault):
    with pytest.raises(fault):
        parse_call(text)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_stumble(data):
    try:
        for one in Objects().feed(data):
            parse_call(one)
    except (BadJson, BadRequest):
        pass


def test_an_error_names_its_fault_and_hides_no_detail():
    class TooCold(Refused):
        pass

    error = json.loads(error_text(7, TooCold("It is too cold.", degrees=-5, key=b"\x01")))["error"]
    assert error["code"] == -1
    assert error["message"] == "It is too cold (degrees -5, key 01)."
    assert error["data"] == {"name": "TooCold", "degrees": -5, "key": "01"}


def test_a_fault_without_words_says_what_its_class_says():
    class TooCold(Refused):
        """Nobody can work at such a temperature.

        Below -40 even the lines freeze.
        """

    class TooDark(Refused):
        pass

    assert sentence_of(TooCold()) == "Nobody can work at such a temperature."
    assert sentence_of(TooCold("much too cold")) == "Much too cold."
    assert sentence_of(TooCold(degrees=-50)) == "Nobody can work at such a temperature (degrees -50)."
    assert sentence_of(TooCold("much too cold", why="it is winter.", degrees=-5)) == (
        "Much too cold: it is winter (degrees -5)."
    )
    assert sentence_of(TooCold(why="")) == "Nobody can work at such a temperature."
    assert sentence_of(RpcError("No.", reason="x")) == "No."
    assert sentence_of(NotBuiltYet()).endswith(".")
