"""Names of plugins: their forms, and which are refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from registry_scaffold.naming import LONGEST, check_free, parse_name

import registry
from registry import RegistryError
from registry.registry import Registry


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("my-head", ("my-head", "my-head", "my_head", "MyHead")),
        ("my_head", ("my_head", "my-head", "my_head", "MyHead")),
        ("My-Head", ("My-Head", "my-head", "my_head", "MyHead")),
        ("head2-b4", ("head2-b4", "head2-b4", "head2_b4", "Head2B4")),
        ("q", ("q", "q", "q", "Q")),
        ("none", ("none", "none", "none", "None")),  # `None` is a word of Python, `none` is not
    ],
)
def test_a_name_in_all_its_forms(text: str, forms: tuple[str, ...]) -> None:
    names = parse_name(text)
    assert (names.folder, names.distribution, names.package, names.stem) == forms


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "my-head"),
        ("   ", "my-head"),
        ("2fast", "my-head"),
        ("4 My Head!", "my-head"),
        ("colour net", "colour-net"),
        ("a/b", "a-b"),
        ("../up", "up"),
        (".", "my-head"),
        ("-x", "x"),
        ("x-", "x"),
        ("a--b", "a-b"),
        ("köpfe", "k-pfe"),
        ("a\nb", "a-b"),
        ("tête", "t-te"),
    ],
)
def test_what_is_no_name_is_refused_with_one_that_is(text: str, hint: str) -> None:
    with pytest.raises(RegistryError, match="is not a name") as caught:
        parse_name(text)
    assert str(caught.value).endswith(f"such as `{hint}`")
    assert parse_name(hint).distribution == hint


@pytest.mark.parametrize("text", ["class", "Lambda", "import", "is"])
def test_words_of_python_are_refused(text: str) -> None:
    with pytest.raises(RegistryError, match=f"`{text.lower()}` is a word of Python.*such as `my-{text.lower()}`"):
        parse_name(text)


@pytest.mark.parametrize("text", ["head", "part", "model", "export", "frozen-batch-norm"])
def test_a_class_of_the_core_is_not_hidden(text: str) -> None:
    hidden = text.title().replace("-", "") + "Spec"
    assert hasattr(registry.specs, hidden)
    with pytest.raises(RegistryError, match=f"would hide the class `{hidden}` of the core"):
        parse_name(text)


def test_the_longest_name() -> None:
    assert parse_name("a" * LONGEST).package == "a" * LONGEST
    with pytest.raises(RegistryError, match=rf"has {LONGEST + 1} characters; use at most {LONGEST}"):
        parse_name("a" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("json", "module of Python's standard library"),
        ("zoneinfo", "module of Python's standard library"),
        ("numpy", "a package `numpy` is installed here already"),
        ("registry", "a package `registry` is installed here already"),
        ("vision-registry", "a distribution `vision-registry` is installed here already"),
        ("scikit-learn", "a package that vision-registry uses"),
        ("detection", "there is a plugin `detection` of vision-registry"),
        ("mobilenet-v3", "there is a backbone `mobilenet_v3` of vision-registry"),
    ],
)
def test_names_that_are_taken(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PLUGINS", "")
    with pytest.raises(RegistryError, match=f"{message}.*choose another name, such as `my-{text}`"):
        check_free(parse_name(text), "backbone", Registry())


def test_a_type_of_another_kind_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PLUGINS", "")
    check_free(parse_name("mobilenet-v3"), "export", Registry())


def test_a_mere_folder_on_the_path_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mere_folder").mkdir()
    (tmp_path / "true_module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.util.find_spec("mere_folder") is not None
    check_free(parse_name("mere-folder"), "head", Registry([]))
    with pytest.raises(RegistryError, match="a package `true_module` is installed here already"):
        check_free(parse_name("true-module"), "head", Registry([]))
    assert "true_module" not in sys.modules
