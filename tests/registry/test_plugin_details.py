"""Small promises of the plugin host: names, registrations, releases, inspection, and the index of documents."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import registry.host.compatibility
from registry.catalog.index import _forget_oldest, catalog_files
from registry.errors import PluginError, RegistryWarning
from registry.host import CatalogRecord, Registrar, hookimpl
from registry.host.compatibility import refuse_newer
from registry.host.discovery import local
from registry.host.inspection import faults
from registry.host.loading import Loader
from registry.host.names import choices, only_rename
from registry.host.records import Origin
from registry.registry import Registry
from registry.specs import Rename

ORIGIN = Origin("shop", "shop", "1.0")
SPECS = """
from typing import ClassVar, Literal
from registry.specs import BackboneSpec, HeadSpec

class MouthSpec(HeadSpec):
    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "classification"

class EarSpec(BackboneSpec):
    type: Literal["mouth"] = "mouth"
    def feature_maps(self): return ()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The importable package `shelf` with specs, a submodule, a list of words and a catalog of one document."""
    folder = tmp_path / "site"
    files = {
        "shelf/__init__.py": "",
        "shelf/specs.py": SPECS,
        "shelf/deep/__init__.py": "raise RuntimeError('imported')",
        "shelf/deep/parts.py": "def build(*_): pass",
        "shelf/words.txt": "cup\nmug\n",
        "shelf/catalog/cup.yaml": "kind: model\nname: cup\nextends: mobilenet_v3_small\n",
        "shelf_alone.py": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS", "REGISTRY_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("shelf")]:
        del sys.modules[name]


def plugin(name: str, hook: Callable[[Any], None], **more: Any) -> Any:
    """A plugin of that name whose hook does that."""

    def registry_parts(self: Any, register: Registrar) -> None:
        hook(register)

    return type(name, (), {"registry_parts": hookimpl(registry_parts), **more})()


def faults_of(*plugins: Any) -> list[list[str]]:
    made = Registry(plugins)
    return [faults(made.host, record) for record in made.plugins]


# ---- names -------------------------------------------------------------------------------------------------------------


def test_two_that_gave_up_a_name_for_the_same_one_agree() -> None:
    former = [("one", Rename("new", "2.0")), ("two", Rename("new", "3.0"))]
    found = only_rename("", former, [])
    assert found is not None
    assert found.name == "new"
    assert only_rename("two", former, []) == Rename("new", "3.0")


def test_two_that_gave_up_a_name_for_different_ones_do_not() -> None:
    former = [("one", Rename("new", "2.0")), ("two", Rename("newer", "2.0"))]
    assert only_rename("", former, []) is None
    assert only_rename("two", former, []) == Rename("newer", "2.0")
    assert only_rename("three", former, []) is None


def test_a_name_that_somebody_has_now_is_given_up_by_nobody() -> None:
    former = [("one", Rename("new", "2.0"))]
    assert only_rename("", former, ["two"]) is None
    assert only_rename("one", former, ["one"]) is None
    assert only_rename("one", former, ["two"]) == Rename("new", "2.0")


def test_what_to_write_instead_of_a_name_that_several_have() -> None:
    a, b, c = Origin("a", "one", "1"), Origin("b", "one", "1"), Origin("c", "two", "1")
    assert choices([a, c], "cup") == "write `one/cup` or `two/cup`"
    assert choices([a, a, c], "cup") == "write `one/cup` or `two/cup`"
    twice = "has it twice: one of them must be renamed, or a plugin blocked"
    assert choices([a, a], "cup") == f"the distribution `one` {twice}"
    assert choices([a, b], "cup") == f"the distribution `one` {twice}"
    some_twice = choices([a, b, c], "cup")  # a distribution alone would not choose between a and b
    assert some_twice.startswith("the distribution `one`")
    assert some_twice.endswith(twice)


# ---- loading -----------------------------------------------------------------------------------------------------------


class Moody:
    """A plugin whose hook fails the first time."""

    calls = 0

    @hookimpl
    def registry_parts(self, register: Registrar) -> None:
        self.calls += 1
        register.head("mouth", spec="a:b", target="a:c")
        if self.calls == 1:
            raise RuntimeError("not today")


def test_a_plugin_that_failed_and_works_now_is_loaded_by_the_next_registry() -> None:
    moody = Moody()
    with pytest.warns(RegistryWarning, match="not today"):
        first = Registry([moody])
    assert first.host.parts == []
    assert [(record.state, len(record.contribution.parts)) for record in Registry([moody]).plugins] == [("loaded", 1)]


def test_a_plugin_that_failed_under_one_entry_point_is_called_again_under_the_next() -> None:
    loader = Loader()
    failed, loaded, again = map(loader.load, local([moody := Moody()] * 3))
    assert (failed.state, failed.contribution.parts) == ("failed", [])
    assert (loaded.state, [part.type for part in loaded.contribution.parts]) == ("loaded", ["mouth"])
    assert (again.state, again.contribution.parts) == ("loaded", [])
    assert moody.calls == 2


@pytest.mark.parametrize("name", ["_hidden", "registry_party"])
def test_a_marked_function_that_is_no_hook_is_told(name: str) -> None:
    marked = {name: hookimpl(lambda self: None)}
    with pytest.warns(RegistryWarning, match=f"there is no hook `{name}`"):
        made = Registry([plugin("Odd", lambda register: None, **marked)])
    assert [record.state for record in made.plugins] == ["failed"]


# ---- releases ----------------------------------------------------------------------------------------------------------


def test_an_installed_pre_release_fits_what_it_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.host.compatibility, "_installed", lambda: "0.5.0rc1")
    refuse_newer(">=0.4", ORIGIN)
    refuse_newer(">=0.4,<1", ORIGIN)
    with pytest.raises(PluginError, match=r"it needs vision-registry >=0\.5, and 0\.5\.0rc1 is installed"):
        refuse_newer(">=0.5", ORIGIN)


def test_any_release_fits_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.host.compatibility, "_installed", lambda: None)
    refuse_newer(">=99", ORIGIN)
    with pytest.raises(PluginError, match="is no version specifier"):
        refuse_newer("newest", ORIGIN)


def test_an_empty_requirement_is_none() -> None:
    made = Registry([plugin("Easy", lambda register: None, requires_registry="")])
    assert [record.state for record in made.plugins] == ["loaded"]


# ---- inspection --------------------------------------------------------------------------------------------------------


def test_a_missing_initialiser_is_told(site: Path) -> None:
    def hook(register: Registrar) -> None:
        register.head("mouth", spec="shelf.specs:MouthSpec", target="shelf.specs:x", init="shelf.gone:init")

    assert faults_of(plugin("P", hook)) == [
        ["the head `mouth` has the init `shelf.gone:init`, and there is no such module"]
    ]


def test_a_target_in_a_submodule_is_found_without_importing_its_package(site: Path) -> None:
    def hook(register: Registrar) -> None:
        register.head("mouth", spec="shelf.specs:MouthSpec", target="shelf.deep.parts:build")

    assert faults_of(plugin("P", hook)) == [[]]
    assert not any(name.startswith("shelf.deep") for name in sys.modules)


def test_a_module_below_one_that_is_no_package_is_not_there(site: Path) -> None:
    def hook(register: Registrar) -> None:
        register.head("mouth", spec="shelf.specs:MouthSpec", target="shelf.specs.parts:build")

    assert faults_of(plugin("P", hook)) == [
        ["the head `mouth` has the target `shelf.specs.parts:build`, and there is no such module"]
    ]


def test_one_type_for_a_head_and_a_backbone_is_no_conflict(site: Path) -> None:
    def head(register: Registrar) -> None:
        register.head("mouth", spec="shelf.specs:MouthSpec", target="shelf.deep.parts:build")

    def backbone(register: Registrar) -> None:
        register.backbone("mouth", spec="shelf.specs:EarSpec", target="shelf.deep.parts:build")

    assert faults_of(plugin("One", head), plugin("Two", backbone)) == [[], []]


# ---- registrations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_x", "ab C", "Ab", "", "-a", "a/b", "a\n", "é"])
def test_malformed_names_are_refused(site: Path, name: str) -> None:
    register = Registrar(ORIGIN)
    told = "is not a name"
    with pytest.raises(PluginError, match=told):
        register.head(name, spec="a:b", target="a:b")
    with pytest.raises(PluginError, match=told):
        register.command(name, target="a:b", summary="Does it")
    with pytest.raises(PluginError, match=told):
        register.categories(name, "shelf", "words.txt")
    with pytest.raises(PluginError, match=told):
        register.head("fine", spec="a:b", target="a:b", renames={name: "1.0"})
    assert register.contribution == Registrar(ORIGIN).contribution


@pytest.mark.parametrize("path", ["a:b c", "a", "a:", ":b", "a b:c", "a:b\n", "1a:b", "a:b:c", 3])
def test_malformed_paths_are_refused(path: Any) -> None:
    register = Registrar(ORIGIN)
    for label in ("spec", "target", "init"):
        given = {"spec": "a:b", "target": "a:b", "init": "a:b", label: path}
        with pytest.raises(PluginError, match=f"^{label}=.* is not of the form 'module:attribute'"):
            register.head("mouth", **given)
    with pytest.raises(PluginError, match=r"^target=.* is not of the form 'module:attribute'"):
        register.command("sing", target=path, summary="Sings")
    assert register.contribution == Registrar(ORIGIN).contribution


def test_one_type_may_stand_for_two_kinds_and_not_twice_for_one() -> None:
    register = Registrar(ORIGIN)
    register.head("mouth", spec="a:b", target="a:b")
    register.backbone("mouth", spec="a:b", target="a:b")
    assert [(part.kind, part.type) for part in register.contribution.parts] == [
        ("head", "mouth"),
        ("backbone", "mouth"),
    ]
    with pytest.raises(PluginError, match=r"register\.head: the type `mouth` is registered twice"):
        register.head("mouth", spec="a:b", target="a:b")


def test_a_folder_is_a_folder_and_a_file_a_file(site: Path) -> None:
    register = Registrar(ORIGIN)
    for method in ("catalog", "rules"):
        with pytest.raises(PluginError, match=rf"register\.{method}: there is no folder `words\.txt` in the package"):
            getattr(register, method)("shelf", "words.txt")
    with pytest.raises(PluginError, match=r"register\.categories: there is no file `catalog` in the package `shelf`"):
        register.categories("words", "shelf", "catalog")
    register.catalog("shelf", "catalog")
    register.categories("words", "shelf", "words.txt")
    assert [record.folder for record in register.contribution.catalogs] == [site.resolve() / "shelf" / "catalog"]
    assert [record.file for record in register.contribution.categories] == [site.resolve() / "shelf" / "words.txt"]


@pytest.mark.parametrize("package", ["shelf.deep", "shelf_alone", "shelf_gone", ""])
def test_files_are_found_in_a_top_level_package_alone(site: Path, package: str) -> None:
    (site / "words.txt").write_text("cup\n")
    (site / "shelf" / "deep" / "words.txt").write_text("cup\n")
    with pytest.raises(PluginError, match=rf"^there is no package `{package}` to find `words\.txt` in$"):
        Registrar(ORIGIN).categories("words", package, "words.txt")
    assert "shelf" not in sys.modules


# ---- the index ---------------------------------------------------------------------------------------------------------


def test_nothing_is_kept_of_a_plugin_given_in_python_beside_the_installed_ones(site: Path, tmp_path: Path) -> None:
    made = Registry([plugin("P", lambda register: register.catalog("shelf", "catalog"))], installed=True)
    assert {"cup", "mobilenet_v3_small"} <= set(made.list_models())
    assert not (tmp_path / "cache" / "index").exists()
    Registry().list_models()
    assert len(list((tmp_path / "cache" / "index").glob("*.json"))) == 1


def test_the_newest_indices_are_kept_whatever_their_names(tmp_path: Path) -> None:
    for number in range(11):
        path = tmp_path / f"{number:02}.json"
        path.touch()
        os.utime(path, (1000 - number, 1000 - number))  # the higher the number, the older
    (tmp_path / "other.txt").touch()
    os.utime(tmp_path / "other.txt", (1, 1))
    _forget_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n:02}.json" for n in range(8)] + ["other.txt"]


def test_as_few_indices_as_may_be_are_all_kept(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.json").touch()
    _forget_oldest(tmp_path)
    assert len(list(tmp_path.iterdir())) == 8


def test_files_of_a_catalog_come_sorted_at_any_depth(tmp_path: Path) -> None:
    names = [f"{letter}{number}.yaml" for number in (3, 1, 2) for letter in "qjcxamz"]
    names += ["k/b.yml", "k/a/c.json", "b/z.yaml"]
    for name in [*names, "k/notes.txt", "README.md"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = list(catalog_files(CatalogRecord(tmp_path, ORIGIN)))
    assert found == sorted(tmp_path / name for name in names)


def test_a_linked_folder_inside_a_catalog_is_not_followed(tmp_path: Path) -> None:
    catalog, outside = tmp_path / "catalog", tmp_path / "outside"
    for folder in (catalog, outside):
        folder.mkdir()
        (folder / "cup.yaml").touch()
    (catalog / "linked").symlink_to(outside, target_is_directory=True)
    assert list(catalog_files(CatalogRecord(catalog, ORIGIN))) == [catalog / "cup.yaml"]
    assert list(catalog_files(CatalogRecord(tmp_path / "gone", ORIGIN))) == []
