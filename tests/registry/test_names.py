"""What a name means where several distributions are installed: see "Names" in docs/plugins.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.catalog.references import is_path
from registry.errors import ConflictError, RegistryWarning, UnknownNameError
from registry.registry import Registry
from registry.specs import Rename

SPECS = """
from typing import ClassVar, Literal
from registry.specs import HeadSpec

class HatSpec(HeadSpec):
    type: Literal["{type}"] = "{type}"
    task: ClassVar[str] = "classification"
    {setting}: int = 1
"""
PLUGIN = """
import registry

@registry.hookimpl
def registry_parts(register):
    register.head("{type}", spec="{package}.specs:HatSpec", target="{package}.specs:HatSpec", renames={renames})
    register.catalog("{package}", "catalog")
"""
MODEL = "kind: model\nname: {name}\nextends: mobilenet_v3_small\nsummary: {summary}\n{more}"


class Site:
    """A folder on `sys.path`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, name: str, documents: dict[str, str], type: str = "hat", renames: str = "{}", setting: str = "brim"
    ) -> None:
        """A distribution with a head and models: more of their text by name."""
        package = name.lower().replace("-", "_")
        (self.folder / package / "catalog").mkdir(parents=True)
        values = {"package": package, "type": type, "renames": renames, "setting": setting}
        for file, text in (("__init__.py", ""), ("specs.py", SPECS), ("plugin.py", PLUGIN)):
            (self.folder / package / file).write_text(text.format(**values))
        for document, more in documents.items():
            text = MODEL.format(name=document, summary=f"{name}'s", more=more)
            (self.folder / package / "catalog" / f"{document}.yaml").write_text(text)
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[registry]\n{package} = {package}.plugin\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def summary(made: Registry, name: str) -> str:
    return made.load_spec(name).summary


def test_a_bare_name_works_while_it_is_unique(site: Site) -> None:
    site.install("Hat-Shop", {"top_hat": "aliases: [topper]\n"})
    made = Registry()
    assert summary(made, "top_hat") == summary(made, "topper") == "Hat-Shop's"


@pytest.mark.parametrize("spelled", ["hat-shop", "Hat-Shop", "hat_shop", "HAT.SHOP"])
@pytest.mark.parametrize("name", ["top_hat", "topper"])
def test_a_name_with_its_distribution_always_works_however_that_is_spelled(
    site: Site, spelled: str, name: str, tmp_path: Path
) -> None:
    site.install("Hat-Shop", {"top_hat": "aliases: [topper]\n"})
    site.install("other", {"top_hat": "aliases: [topper]\n"})
    made = Registry()
    assert summary(made, f"{spelled}/{name}") == "Hat-Shop's"
    (tmp_path / "mine.yaml").write_text(f"kind: model\nname: mine\nextends: {spelled}/{name}\n")
    assert made.validate(tmp_path / "mine.yaml") == ()


def test_a_bare_name_of_several_is_an_error_that_names_them_and_says_what_to_write(site: Site) -> None:
    for name in ("a", "b"):
        site.install(name, {"top_hat": ""})
    with pytest.raises(ConflictError) as caught:
        Registry().load_spec("top_hat")
    told = str(caught.value)
    assert "a 1.0 (plugin `a`) in " in told
    assert "b 1.0 (plugin `b`) in " in told
    assert told.endswith("write `a/top_hat` or `b/top_hat`")


def test_a_document_called_like_a_built_in_one_is_a_conflict_and_both_can_be_chosen(site: Site) -> None:
    site.install("a", {"mobilenet_v3_large": ""})
    made = Registry()
    with pytest.raises(ConflictError, match="write `vision-registry/mobilenet_v3_large` or `a/mobilenet_v3_large`"):
        made.load_spec("mobilenet_v3_large")
    assert summary(made, "a/mobilenet_v3_large") == "a's"
    assert summary(made, "vision-registry/mobilenet_v3_large") != "a's"


def test_a_distribution_that_is_not_there_is_an_unknown_name(site: Site) -> None:
    site.install("a", {"top_hat": ""})
    with pytest.raises(UnknownNameError, match="unknown model `b/top_hat`"):
        Registry().load_spec("b/top_hat")


def test_aliases_are_silent_and_names_that_were_given_up_warn(site: Site) -> None:
    site.install("a", {"top_hat": 'aliases: [topper]\nrenames: {stovepipe: "2.0"}\n'})
    made = Registry()
    assert summary(made, "topper") == "a's"  # any warning would fail the test
    for name in ("stovepipe", "a/stovepipe"):
        with pytest.warns(RegistryWarning, match=r"`stovepipe`|`a/stovepipe`.* is now called `(a/)?top_hat`"):
            assert summary(made, name) == "a's"


def test_a_name_that_was_given_up_and_taken_by_another_means_the_other(site: Site) -> None:
    site.install("a", {"top_hat": 'renames: {stovepipe: "2.0"}\n'})
    site.install("b", {"stovepipe": ""})
    made = Registry()
    assert summary(made, "stovepipe") == summary(made, "b/stovepipe") == "b's"
    with pytest.warns(RegistryWarning, match="is now called `a/top_hat`"):
        assert summary(made, "a/stovepipe") == "a's"


def test_a_name_that_two_gave_up_for_different_ones_means_neither(site: Site) -> None:
    site.install("a", {"top_hat": 'renames: {stovepipe: "2.0"}\n'})
    site.install("b", {"pipe": 'renames: {stovepipe: "2.0"}\n'})
    made = Registry()
    with pytest.raises(UnknownNameError, match="unknown model `stovepipe`"):
        made.load_spec("stovepipe")
    with pytest.warns(RegistryWarning, match="is now called `b/pipe`"):
        assert summary(made, "b/stovepipe") == "b's"


def test_types_that_were_given_up_follow_the_same_rules(site: Site) -> None:
    site.install("a", {}, type="bowler", renames='{"derby": "2.0"}')
    site.install("b", {}, type="derby")
    host = Registry().host
    assert host.part("head", "derby").origin.distribution == "b"
    assert host.former_type("head", "derby") is None
    assert host.former_type("head", "a/derby") == Rename("bowler", "2.0")
    assert host.part("head", "a/derby").type == "bowler"
    assert host.part("head", "b/derby").type == "derby"


def test_settings_are_not_inherited_by_a_type_of_the_same_name_from_another_distribution(site: Site) -> None:
    head = "head: {type: %s/hat, num_classes: 7, %s: 3}\ntask: {categories: null}\nfigures: null\n"
    site.install("a", {"top_hat": head % ("a", "brim")})
    site.install("b", {}, setting="crown")
    made = Registry()
    spec = made.load_spec("top_hat", overrides={"head": {"type": "b/hat", "num_classes": 5, "crown": 2}})
    assert spec.head.model_dump() == {"type": "hat", "num_classes": 5, "crown": 2}
    same = made.load_spec("top_hat", overrides={"head": {"type": "A/hat", "brim": 4}})
    assert same.head.model_dump() == {"type": "hat", "num_classes": 7, "brim": 4}


PATHS = {
    "top_hat": False,
    "a/top_hat": False,
    "top_hat.v2": False,
    "yaml": False,
    "a.yaml.b": False,
    "./top_hat": True,
    "../top_hat": True,
    ".hidden": True,
    "/top_hat": True,
    "~/top_hat": True,
    "top_hat.yaml": True,
    "a/top_hat.yml": True,
    "TOP.YAML": True,
    "top_hat.json": True,
    "top_hat.safetensors": True,
}


@pytest.mark.parametrize("reference", PATHS)
def test_a_reference_is_a_path_by_how_it_is_written(reference: str) -> None:
    assert is_path(reference) is PATHS[reference]


def test_what_lies_in_the_folder_does_not_make_a_name_a_path(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("a", {"top_hat": ""})
    here = tmp_path / "here"
    (here / "a").mkdir(parents=True)
    for file in ("top_hat", "a/top_hat"):
        (here / file).write_text("kind: model\nname: mine\nextends: mobilenet_v3_small\nsummary: the file's\n")
    monkeypatch.chdir(here)
    made = Registry()
    assert summary(made, "top_hat") == summary(made, "a/top_hat") == "a's"


def test_a_plugins_own_document_means_the_plugins_own_names(site: Site) -> None:
    head = "head: {type: hat, num_classes: 7, %s: 3}\ntask: {categories: null}\nfigures: null\n"
    site.install("a", {"top_hat": head % "brim", "tall_hat": ""})
    site.install("b", {"top_hat": head % "crown", "tall_hat": "", "heir": ""}, setting="crown")
    for package in ("a", "b"):
        path = site.folder / package / "catalog" / "tall_hat.yaml"
        path.write_text(path.read_text().replace("mobilenet_v3_small", "top_hat"))
    made = Registry()
    assert made.load_spec("a/top_hat").head.model_dump() == {"type": "hat", "num_classes": 7, "brim": 3}
    assert made.load_spec("b/top_hat").head.model_dump() == {"type": "hat", "num_classes": 7, "crown": 3}
    assert made.load_spec("a/tall_hat").head.model_dump()["brim"] == 3  # extends its own `top_hat`
    assert made.load_spec("b/tall_hat").head.model_dump()["crown"] == 3
    with pytest.raises(ConflictError):
        made.load_spec("top_hat")
    listed = [one.name for one in made.library.summaries("*_hat")]
    assert listed == ["tall_hat", "tall_hat", "top_hat", "top_hat"]
    assert all(one.problem is None for one in made.library.summaries("*_hat"))


def test_a_user_must_still_choose(site: Site, tmp_path: Path) -> None:
    for name in ("a", "b"):
        site.install(name, {})
    path = tmp_path / "mine.yaml"
    text = "kind: model\nname: mine\nextends: mobilenet_v3_small\nhead: {type: hat, num_classes: 7}\nweights: null\n"
    path.write_text(text + "default_weights: null\ntask: {categories: null}\n")
    (told,) = Registry().validate(path)
    assert told.message.startswith("several plugins provide the type of head `hat`")
