"""Texts become nodes with positions, or one clear problem; scalars mean what YAML 1.2 says.

Expected values come from the YAML 1.2 core schema (sections 10.2 and 10.3), positions from counting characters.
"""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.source import Mapping, Node, Sequence, SourceProblem, Span, plain, read_bytes, read_file, read_value
from registry.source.composer import MAX_DEPTH
from registry.source.reader import MAX_BYTES


def documents(text: str | bytes) -> list[Node]:
    return read_bytes(text if isinstance(text, bytes) else text.encode(), "m.yaml")


def document(text: str | bytes) -> Node:
    (node,) = documents(text)
    return node


def value(text: str | bytes) -> Any:
    return plain(document(text))


def problem(text: str | bytes) -> SourceProblem:
    with pytest.raises(SourceProblem) as caught:
        documents(text)
    return caught.value


def told(found: SourceProblem) -> str:
    return f"{found}; {found.suggestion} [{found.rule}]" if found.suggestion else f"{found} [{found.rule}]"


def at(node: Node, *path: str | int) -> Node:
    for step in path:
        if isinstance(node, Mapping):
            node = node.entries[str(step)].node
        else:
            assert isinstance(node, Sequence)
            assert isinstance(step, int)
            node = node.items[step]
    return node


def key(node: Node, *path: str | int) -> Span:
    parent = at(node, *path[:-1])
    assert isinstance(parent, Mapping)
    return parent.entries[str(path[-1])].key_span


def numbers(span: Span) -> tuple[int, int, int, int]:
    return span.line, span.column, span.end_line, span.end_column


# ---- scalars: YAML 1.2, section 10.3.2 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("12e03", 12000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+.5", 0.5),
        ("-.5e3", -500.0),
        ("1e-400", 0.0),
        ("1", 1),
        ("+1", 1),
        ("-19", -19),
        ("010", 10),
        ("-010", -10),
        ("0x10", 16),
        ("0xfF", 255),
        ("0o17", 15),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("+.INF", math.inf),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("NULL", None),
    ],
)
def test_words_of_the_core_schema_are_numbers_truth_values_and_null(word: str, meaning: object) -> None:
    found = value(f"a: {word}")["a"]
    assert (found, type(found)) == (meaning, type(meaning))


@pytest.mark.parametrize("word", [".nan", ".NaN", ".NAN"])
def test_the_three_spellings_of_nan_are_undefined_numbers(word: str) -> None:
    assert math.isnan(value(f"a: {word}")["a"])


@pytest.mark.parametrize(
    "word",
    # truth values, sexagesimal, grouped and binary numbers and dates are YAML 1.1's; the rest only looks like a number
    ["yes", "no", "on", "off", "y", "N", "Yes", "tRUE", "nULL", "1:30", "190:20:30", "1_000", "0b1", "2024-01-01"]
    + ["2001-12-14t21:59:43.10-05:00", "0X10", "-0x10", "0O17", "0o8", "0xG", "nan", "inf", ".iNF", "+.nan", ".Nan"]
    + ["e3", "1e", "1e+", ".", "+", ".e3", "+e1", "1.2.3", "--1", "1__0", "=", "12e", "١٢", "1٣", "²", "v1.0"],
)
def test_other_words_are_texts(word: str) -> None:
    assert value(f"a: {word}")["a"] == word


@pytest.mark.parametrize("quote", ["'{}'", '"{}"'])
@pytest.mark.parametrize("word", ["no", "1", "1e-3", "0x10", ".nan", "null", "", "~", "true"])
def test_quoted_words_are_texts(word: str, quote: str) -> None:
    assert value(f"a: {quote.format(word)}")["a"] == word


@pytest.mark.parametrize("style", ["|-", ">-"])
def test_block_scalars_are_texts(style: str) -> None:
    assert value(f"a: {style}\n  12\n")["a"] == "12"


def test_a_quoted_word_stays_a_text_under_the_non_specific_tag() -> None:
    assert value('a: ! "12"')["a"] == "12"  # YAML 1.2, section 6.9.1


def test_a_missing_value_is_null() -> None:
    assert value("a:\nb: [x, ]\nc: {d: }") == {"a": None, "b": ["x"], "c": {"d": None}}


def test_words_that_yaml_1_1_takes_for_truth_values_can_be_keys() -> None:
    assert value("no: 1\non: 2\ny: 3") == {"no": 1, "on": 2, "y": 3}


def test_a_number_of_400_characters_is_read() -> None:
    assert value("1" * 400) == int("1" * 400)


@pytest.mark.parametrize(
    "word",
    ["1" * 401, "0" * 401, "1" * 400 + ".", "1e" + "9" * 399, "-" + "1" * 400],
    ids=["digits", "zeros", "point", "exponent", "sign"],
)
def test_a_number_of_401_characters_is_refused(word: str) -> None:
    assert told(problem(f"a: {word}")) == "m.yaml:1:4: a number of 401 characters; at most 400 are read [REG006]"


@pytest.mark.parametrize("word", ["0x" + "f" * 399, "0o" + "7" * 399], ids=["hexadecimal", "octal"])
def test_long_hexadecimal_and_octal_numbers_are_refused_like_decimal_ones(word: str) -> None:
    assert told(problem(f"a: {word}")) == "m.yaml:1:4: a number of 401 characters; at most 400 are read [REG006]"


@pytest.mark.parametrize(
    "word",
    ["x" * 5000, "1" * 5000 + "x", "-" * 5000, '"' + "1" * 5000 + '"'],
    ids=["letters", "digits and a letter", "dashes", "quoted digits"],
)
def test_long_texts_are_read(word: str) -> None:
    assert value(f"a: {word}")["a"] == word.strip('"')


# ---- positions -------------------------------------------------------------------------------------------------------


def test_positions_of_block_and_flow_style() -> None:
    node = document("a: 1\nb:\n  - x\n  - {c: 'd', e: [1, 22]}\nfg: hi\n")
    assert numbers(key(node, "a")) == (1, 1, 1, 2)
    assert numbers(at(node, "a").span) == (1, 4, 1, 5)
    assert numbers(key(node, "b")) == (2, 1, 2, 2)
    assert numbers(at(node, "b").span)[:2] == (3, 3)
    assert numbers(at(node, "b", 0).span) == (3, 5, 3, 6)
    assert numbers(at(node, "b", 1).span) == (4, 5, 4, 25)
    assert numbers(key(node, "b", 1, "c")) == (4, 6, 4, 7)
    assert numbers(at(node, "b", 1, "c").span) == (4, 9, 4, 12)
    assert numbers(at(node, "b", 1, "e").span) == (4, 17, 4, 24)
    assert numbers(at(node, "b", 1, "e", 1).span) == (4, 21, 4, 23)
    assert numbers(key(node, "fg")) == (5, 1, 5, 3)
    assert numbers(at(node, "fg").span) == (5, 5, 5, 7)


def test_columns_count_characters_not_bytes() -> None:
    node = document("é: ü\n😀: {日本: 'ü😀', x: y}\n")
    assert numbers(key(node, "é")) == (1, 1, 1, 2)
    assert numbers(at(node, "é").span) == (1, 4, 1, 5)
    assert numbers(key(node, "😀", "日本")) == (2, 5, 2, 7)
    assert numbers(at(node, "😀", "日本").span) == (2, 9, 2, 13)
    assert numbers(key(node, "😀", "x")) == (2, 15, 2, 16)


def test_a_tab_is_one_column() -> None:
    node = document("a:\t1 \t# note\nb: {\n\tc: 2}\n")
    assert numbers(at(node, "a").span) == (1, 4, 1, 5)
    assert numbers(key(node, "b", "c")) == (3, 2, 3, 3)
    assert numbers(at(node, "b", "c").span) == (3, 5, 3, 6)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_every_line_break_of_yaml_ends_a_line(line_break: str) -> None:
    node = document(line_break.join(["a: 1", "b: 'x'", "c: [1,", "  2]", ""]))
    assert plain(node) == {"a": 1, "b": "x", "c": [1, 2]}
    assert numbers(at(node, "a").span) == (1, 4, 1, 5)
    assert numbers(at(node, "b").span) == (2, 4, 2, 7)
    assert numbers(at(node, "c").span) == (3, 4, 4, 5)


def test_a_byte_order_mark_takes_no_column() -> None:
    node = document(b"\xef\xbb\xbfa: 1\n")
    assert plain(node) == {"a": 1}
    assert numbers(key(node, "a")) == (1, 1, 1, 2)
    assert numbers(at(node, "a").span) == (1, 4, 1, 5)


def test_a_block_scalar_begins_at_its_indicator() -> None:
    node = document("a: |\n  x\n  y\nb: >-\n  z\n  w\nc: 1\n")
    assert plain(node) == {"a": "x\ny\n", "b": "z w", "c": 1}
    assert numbers(at(node, "a").span)[:2] == (1, 4)
    assert numbers(at(node, "b").span)[:2] == (4, 4)
    assert numbers(key(node, "c")) == (7, 1, 7, 2)


def test_a_plain_scalar_of_two_lines_ends_on_the_second() -> None:
    node = document("a: x\n   yz\nb: 1\n")
    assert plain(node) == {"a": "x yz", "b": 1}
    assert numbers(at(node, "a").span) == (1, 4, 2, 6)


def test_an_empty_value_is_a_point_after_its_key() -> None:
    assert numbers(at(document("a:\nb: 1\n"), "a").span) == (1, 3, 1, 3)


def test_an_alias_stands_where_its_anchor_was_written_under_its_own_key() -> None:
    node = document("a: &x {k: 1}\nb: *x\n")
    assert plain(node) == {"a": {"k": 1}, "b": {"k": 1}}
    assert numbers(key(node, "b")) == (2, 1, 2, 2)
    assert at(node, "b").span == at(node, "a").span
    assert numbers(at(node, "b", "k").span) == (1, 11, 1, 12)


def test_an_anchor_can_be_set_anew() -> None:
    assert value("- &a 1\n- *a\n- &a 2\n- *a\n") == [1, 1, 2, 2]


def test_anchors_end_with_their_document() -> None:
    assert told(problem("a: &x 1\n---\nb: *x\n")) == "m.yaml:3:4: there is no anchor `&x` above [REG003]"


def test_a_merge_key_brings_entries_with_the_place_that_wrote_them() -> None:
    node = document("base: &b {x: 1, y: 2}\nheir:\n  y: 3\n  <<: *b\n")
    assert plain(at(node, "heir")) == {"x": 1, "y": 3}
    assert numbers(key(node, "heir", "x")) == (1, 11, 1, 12)
    assert numbers(at(node, "heir", "x").span) == (1, 14, 1, 15)
    assert numbers(key(node, "heir", "y")) == (3, 3, 3, 4)


def test_the_first_of_several_merged_mappings_wins() -> None:
    assert value("<<: [{a: 1}, {a: 2, b: 3}]\nc: 4") == {"a": 1, "b": 3, "c": 4}


@pytest.mark.parametrize(("text", "column"), [("<<: 1", 5), ("<<: [1]", 6), ("<<: [[{a: 1}]]", 6), ("<<: x", 5)])
def test_a_merge_key_takes_mappings_only(text: str, column: int) -> None:
    assert told(problem(text)) == f"m.yaml:1:{column}: `<<` takes a mapping or a list of mappings [REG003]"


def test_several_documents_keep_their_lines() -> None:
    first, second, third = documents("a: 1\n---\nb: 2\n...\n---\nc: 3\n")
    assert [plain(node) for node in (first, second, third)] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert [key(first, "a").line, key(second, "b").line, key(third, "c").line] == [1, 3, 6]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "   \n\n", b"\xef\xbb\xbf"])
def test_a_text_without_a_document_has_none(text: str | bytes) -> None:
    assert documents(text) == []


def test_a_source_gives_its_lines_without_their_breaks() -> None:
    source = document("a: 1\r\nb: 2").span.source
    assert [source.line(number) for number in (0, 1, 2, 3)] == ["", "a: 1", "b: 2", ""]


def test_json_is_read_as_it_is() -> None:
    assert value('{"a": [1, 2.5e3, true, null, "\\u00e9\\n"]}') == {"a": [1, 2500.0, True, None, "é\n"]}


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "m.yaml:3:1: the key `a` stands twice, first on line 1 [REG004]"),
        ('{a: 1, "a": 2}', "m.yaml:1:8: the key `a` stands twice, first on line 1 [REG004]"),
        ("x:\n  a: 1\n  ? a\n  : 2", "m.yaml:3:5: the key `a` stands twice, first on line 2 [REG004]"),
        ("a: 1\n'a': {b: 1, b: 2}", "m.yaml:2:13: the key `b` stands twice, first on line 2 [REG004]"),
        ("{<<: {a: 1}, <<: {b: 2}}", "m.yaml:1:14: the key `<<` stands twice, first on line 1 [REG004]"),
    ],
)
def test_duplicate_keys_are_refused(text: str, expected: str) -> None:
    assert told(problem(text)) == expected


def test_a_key_that_only_merging_repeats_is_no_duplicate() -> None:
    assert value("<<: {a: 1}\na: 2") == {"a": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1: a", "m.yaml:1:1: a key must be a text, not `1`; quote it [REG005]"),
        ("true: a", "m.yaml:1:1: a key must be a text, not `true`; quote it [REG005]"),
        ("null: a", "m.yaml:1:1: a key must be a text, not `null`; quote it [REG005]"),
    ],
)
def test_keys_that_are_no_texts_are_shown_as_yaml_writes_them(text: str, expected: str) -> None:
    assert told(problem(text)) == expected


@pytest.mark.parametrize("text", ["[a]: b", "{a: 1}: b"])
def test_a_collection_as_a_key_is_refused_without_the_advice_to_quote_it(text: str) -> None:
    assert told(problem(text)) == "m.yaml:1:1: a key must be a text, not a list or mapping [REG005]"


@pytest.mark.parametrize(
    ("text", "column", "tag"),
    [
        ("!!python/object:os.system a", 1, "!!python/object:os.system"),
        ('!!python/object/apply:os.system ["ls"]', 1, "!!python/object/apply:os.system"),
        ("a: !!python/name:os.system", 4, "!!python/name:os.system"),
        ("a: !x b", 4, "!x"),
        ("a: !x {b: 1}", 4, "!x"),
        ("a: [!x [1]]", 5, "!x"),
        ("!x a: 1", 1, "!x"),
        ("a: !!str 1", 4, "!!str"),
        ('a: !!int "1"', 4, "!!int"),
        ("a: !!binary aGk=", 4, "!!binary"),
        ("a: !!set {b, c}", 4, "!!set"),
        ("a: !<tag:yaml.org,2002:str> 1", 4, "!!str"),
        ("a: &x !x b", 4, "!x"),
    ],
)
def test_tags_are_refused(text: str, column: int, tag: str) -> None:
    expected = f"m.yaml:1:{column}: the tag `{tag}` is not allowed; write the value alone [REG007]"
    assert told(problem(text)) == expected


NO_TOKEN = "not YAML: found character that cannot start any token (while scanning for the next token)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "1:5: not YAML: mapping values are not allowed in this context"),
        ("a: @b", f"1:4: {NO_TOKEN}"),
        ("a:\n\tb: 1", "2:1: not YAML: a tab in the indentation; indent with spaces"),
        ("a: [1, 2\nb: 3\n", "2:2: not YAML: did not find expected ',' or ']' (while parsing a flow sequence)"),
        ("a: *x", "1:4: there is no anchor `&x` above"),
        ("a: &x [*x]", "1:8: there is no anchor `&x` above"),
        ("%YAML 3.0\n---\na: no", "1:1: not YAML: found incompatible YAML document"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_place(text: str, expected: str) -> None:
    assert told(problem(text)) == f"m.yaml:{expected} [REG003]"


def test_a_value_cannot_hold_itself() -> None:
    assert told(problem("&x {a: *x}")) == "m.yaml:1:8: there is no anchor `&x` above [REG003]"


@pytest.mark.parametrize(
    ("text", "place", "character"),
    [
        ("a\x00b", "1:2", "U+0000"),
        ("a: 1\nb: \x07", "2:4", "U+0007"),
        ("a: \ufffe", "1:4", "U+FFFE"),
        ("é: \x00", "1:4", "U+0000"),
        ("é: 日本\nb: \x07", "2:4", "U+0007"),
        ("a: 1\rb: \x07", "2:4", "U+0007"),
    ],
)
def test_characters_that_yaml_forbids_are_named_with_their_place(text: str, place: str, character: str) -> None:
    expected = f"m.yaml:{place}: not YAML: {character} is not allowed; remove it [REG003]"
    assert told(problem(text)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xfea\x00", "m.yaml:1:1: the file is not UTF-8: byte 0xff at offset 0"),
        (b"kind: model\nname: caf\xe9\n", "m.yaml:2:10: the file is not UTF-8: byte 0xe9 at offset 21"),
        ("a: é\r\nb: ".encode() + b"\xe9\n", "m.yaml:2:4: the file is not UTF-8: byte 0xe9 at offset 10"),
        (b"\xef\xbb\xbfa: \xe9", "m.yaml:1:4: the file is not UTF-8: byte 0xe9 at offset 6"),
        (b"a: \xed\xa0\x80", "m.yaml:1:4: the file is not UTF-8: byte 0xed at offset 3"),
    ],
)
def test_bytes_that_are_not_utf_8_are_told_with_their_place(data: bytes, expected: str) -> None:
    assert told(problem(data)) == f"{expected}; save it as UTF-8 [REG002]"


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_fifty_levels_are_read_and_one_more_is_refused(opening: str, closing: str) -> None:
    assert MAX_DEPTH == 50
    document(opening * 50 + closing * 50)
    column = 50 * len(opening) + 1
    expected = f"m.yaml:1:{column}: values are nested more than 50 deep [REG006]"
    assert told(problem(opening * 51 + closing * 51)) == expected


def test_block_style_is_bounded_in_depth_too() -> None:
    text = "\n".join(f"{' ' * level}a:" for level in range(60))
    assert told(problem(text)) == "m.yaml:51:51: values are nested more than 50 deep [REG006]"


def test_a_hundred_thousand_brackets_are_refused_without_recursion() -> None:
    assert problem("[" * 100_000).rule in (
        "REG003",
        "REG006",
    )  # libyaml has a bound of its own, which it may meet first


def test_aliases_do_not_lead_past_the_depth() -> None:
    """Each line is 40 deep and holds the line before: 3,600 levels of 40."""
    lines = ["- &a0 " + "[" * 40 + "]" * 40]
    lines += [f"- &a{i} {'[' * 40}*a{i - 1}{']' * 40}" for i in range(1, 90)]
    found = problem("\n".join(lines))
    assert (found.rule, found.message) == ("REG006", "values are nested more than 50 deep")
    assert found.span.line == 2


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    found = problem("\n".join(lines))
    # 11 values at a0, and on each later line ten times the line before and one more: 11,111 at a3, 111,111 at a4
    assert told(found) == "m.yaml:5:5: more than 100,000 values, aliases followed [REG006]"


def test_an_alias_bomb_of_merge_keys_is_refused() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(10)) + "}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12)]
    assert problem("\n".join(lines)).rule == "REG006"


def test_a_text_of_four_million_bytes_is_read_and_one_more_is_refused() -> None:
    assert MAX_BYTES == 4_000_000
    text = b"a: 1\n#".ljust(4_000_000, b"x")
    assert value(text) == {"a": 1}
    assert told(problem(text + b"x")) == "m.yaml:1:1: the text has more than 4,000,000 bytes; split it [REG006]"


# ---- files -----------------------------------------------------------------------------------------------------------


def file_problem(path: str | Path) -> str:
    with pytest.raises(SourceProblem) as caught:
        read_file(path)
    return told(caught.value)


def test_a_file_is_read_under_the_name_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.yaml").write_bytes(b"a: 1\n---\nb: 2\n")
    monkeypatch.chdir(tmp_path)
    first, second = read_file("m.yaml")
    assert (plain(first), plain(second)) == ({"a": 1}, {"b": 2})
    assert str(key(second, "b")) == "m.yaml:3:1"


def test_an_empty_file_has_no_document(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.touch()
    assert read_file(path) == []


def test_a_missing_file_is_told() -> None:
    assert file_problem("nowhere/m.yaml") == "nowhere/m.yaml:1:1: there is no such file [REG001]"


def test_a_folder_is_told(tmp_path: Path) -> None:
    assert file_problem(tmp_path) == f"{tmp_path}:1:1: this is a folder, not a file [REG001]"


def test_a_circle_of_links_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.symlink_to(path)
    reason = os.strerror(errno.ELOOP)
    assert file_problem(path) == f"{path}:1:1: the file cannot be read: {reason} [REG001]"


def test_a_path_that_no_file_can_have_is_told() -> None:
    assert file_problem("a\0b") == "a\0b:1:1: the file cannot be read: embedded null byte [REG001]"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)
    assert file_problem(path) == f"{path}:1:1: the file has more than 4,000,000 bytes; split it [REG006]"


def test_a_windows_file_with_everything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes("\ufeffname: Größe\r\nlist:\r\n- 1e-3\r\n".encode())
    (node,) = read_file(path)
    assert plain(node) == {"name": "Größe", "list": [0.001]}


# ---- single values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("", None), (" ", None), ("0.5", 0.5), ("no", "no"), ("[1, a]", [1, "a"]), ("{a: 1}", {"a": 1}), ("a=b", "a=b")],
)
def test_a_value_is_read_as_a_document_would_be(text: str, meaning: object) -> None:
    assert plain(read_value(text, "--set")) == meaning


def test_several_documents_are_no_value() -> None:
    with pytest.raises(SourceProblem) as caught:
        read_value("1\n---\n2", "--set")
    assert told(caught.value) == "--set:1:1: one value was expected, not several documents [REG003]"


def test_a_value_from_undecodable_arguments_is_a_problem_not_a_crash() -> None:
    """Bytes of a command line that are not UTF-8 arrive as lone surrogates."""
    with pytest.raises(SourceProblem) as caught:
        read_value("a\udcff", "--set")
    assert caught.value.rule == "REG003"
    assert str(caught.value.span) == "--set:1:2"


# ---- anything at all -------------------------------------------------------------------------------------------------


def nodes(node: Node) -> list[Node]:
    found, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, Mapping):
            waiting += [entry.node for entry in node.entries.values()]
        elif isinstance(node, Sequence):
            waiting += node.items
    return found


def outcome(data: bytes) -> list[Node] | SourceProblem:
    try:
        return read_bytes(data, "m.yaml")
    except SourceProblem as refused:
        return refused


def check_anything(data: bytes) -> None:
    found = outcome(data)
    if isinstance(found, SourceProblem):
        assert found.rule in {f"REG00{number}" for number in range(2, 8)}
        assert found.message
        assert str(found.span).startswith("m.yaml:")
        return
    lines = len(data.decode("utf-8-sig").splitlines()) + 1
    for tree in found:
        plain(tree)
        for node in nodes(tree):
            line, column, end_line, end_column = numbers(node.span)
            assert 1 <= line <= end_line <= lines + 1
            assert (line, column) <= (end_line, end_column)
            assert column <= len(node.span.source.line(line)) + 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_place(data: bytes) -> None:
    check_anything(data)


#: Pieces of YAML that a random text strings together.
TOKENS = [
    "a",
    "b",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x",
    "<<",
    "!x ",
    "!",
]
TOKENS += [
    "'",
    '"',
    "|",
    ">",
    "# ",
    "---\n",
    "...\n",
    "? ",
    "1e-3",
    "0x1",
    ".nan",
    "~",
    "\t",
    "\r\n",
    "é",
    "😀",
    "\\",
    "%",
]
TOKENS += ["\x00", "\x85", "\u2028", "\ufeff", "null", "@"]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
def test_any_mixture_of_yaml_is_read_or_refused_with_a_place(text: str) -> None:
    check_anything(text.encode())


#: Texts without the few characters that JSON allows unescaped and YAML forbids, or takes for a line break.
TEXTS = st.text(
    st.characters(exclude_categories=("Cc", "Cn", "Cs", "Zl", "Zp"), exclude_characters="\ufeff")
    | st.sampled_from('\n\r\t\0"\\')
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=10
    )
)
def test_json_survives_the_way_through_the_reader(data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False)
    if '"<<"' not in text:  # a merge key, and no key of JSON's
        assert value(text) == data


def test_columns_count_the_escapes_of_a_pair_as_they_are_written() -> None:
    """JSON writes one character past U+FFFF as two escapes of six characters each, which the parser reads as one."""
    text = '{"a": "\\ud83d\\ude00", "b": "\\uD83D\\uDE00x", "c": 1}'
    (document,) = read_bytes(text.encode(), "m.json")
    assert plain(document) == {"a": "\U0001f600", "b": "\U0001f600x", "c": 1}
    for key in "abc":
        entry = document.entries[key]
        span = entry.key_span
        assert text[span.column - 1 : span.end_column - 1] == f'"{key}"'
    value = document.entries["c"].node.span
    assert text[value.column - 1 : value.end_column - 1] == "1"
