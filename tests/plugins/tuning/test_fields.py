"""What `--search` takes, and what it says of everything else."""

from __future__ import annotations

import pytest
from registry_tuning.fields import parsed

from registry.errors import RegistryError


def test_ranges_have_their_ends() -> None:
    log, linear, whole, stepped = parsed(["a.b=log:1e-6,1e-4", "c=linear:0,0.5", "d=int:2,9", "e=int:8,64,8"])
    assert (log.path, log.kind, log.ends()) == ("a.b", "log", [1e-6, 1e-4])
    assert (linear.kind, linear.ends()) == ("linear", [0.0, 0.5])
    assert (whole.kind, whole.ends(), whole.step) == ("int", [2, 9], 1)
    assert (stepped.ends(), stepped.step) == ([8, 64], 8)


def test_choices_are_yaml() -> None:
    (field,) = parsed(["recipe.x=choice:sgd, 3, null, 0.5, true, {kind: a, b: 1}, [1, 2]"])
    assert field.ends() == ["sgd", 3, None, 0.5, True, {"kind": "a", "b": 1}, [1, 2]]
    stored = list(field.choices or ())
    assert field.value(stored[5]) == {"kind": "a", "b": 1}
    assert isinstance(stored[5], str)


def test_equal_definitions_have_equal_texts() -> None:
    assert parsed(["a=log:1e-6,1e-4"])[0].text == parsed(["a = log: 0.000001 , 0.0001"])[0].text
    assert parsed(["a=log:1e-6,1e-4"])[0].text != parsed(["a=linear:1e-6,1e-4"])[0].text
    assert parsed(["a=int:1,9"])[0].text != parsed(["a=int:1,9,2"])[0].text


def test_what_decides_which_settings_there_are_comes_first() -> None:
    found = parsed(["recipe.optimizer.momentum=linear:0,0.9", "recipe.optimizer.kind=choice:sgd,rmsprop"])
    assert [field.path for field in found] == ["recipe.optimizer.kind", "recipe.optimizer.momentum"]


MISTAKES = {
    "recipe.rate": "does not say what is searched; write for instance --search recipe.rate=log:1e-4,1e-2",
    "recipe.rate=1e-4,1e-2": "does not say what is searched",
    "recipe.rate=lgo:1e-4,1e-2": "does not say what is searched",
    "recipe..rate=log:1e-4,1e-2": "does not say what is searched",
    "recipe.rate=log:1e-2,1e-4": "is the wrong way round; write recipe.rate=log:1e-4,1e-2",
    "recipe.x=int:64,8,8": "is the wrong way round; write recipe.x=int:8,64,8",
    "recipe.rate=log:0,1e-2": "starts at 0, which has no logarithm; start above 0",
    "recipe.rate=log:-1,1": "starts at -1, which has no logarithm",
    "recipe.rate=log:1e-2,1e-2": "is a range of one value; write --set recipe.rate=1e-2",
    "recipe.rate=log:1e-2": "needs two numbers: log:1e-4,1e-2",
    "recipe.rate=log:1,2,3": "needs two numbers",
    "recipe.rate=linear:a,2": "`a` is no number",
    "recipe.rate=linear:0,inf": "a range ends at a number, not at `inf`",
    "recipe.x=int:1.5,3": "`1.5` is no whole number",
    "recipe.x=int:8,64,9": "does not come from 8 to 64 in steps of 9",
    "recipe.x=int:8,64,0": "does not come from 8 to 64 in steps of 0",
    "recipe.x=choice:sgd": "leaves no choice; give two different values or more, or use --set",
    "recipe.x=choice:sgd,sgd": "leaves no choice",
    "recipe.x=choice:": "leaves no choice",
    "recipe.x=choice:[1": "--search",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_says_what_to_write(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parsed([text])
    assert MISTAKES[text] in str(caught.value)
    assert text in str(caught.value)


def test_a_field_is_searched_once() -> None:
    with pytest.raises(RegistryError, match="--search a is given twice; keep one"):
        parsed(["a=int:1,2", "a=int:3,4"])
