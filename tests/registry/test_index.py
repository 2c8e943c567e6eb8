"""The index of installed documents: nothing is read twice, and nothing stale or damaged is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import registry.catalog.catalog
from registry.errors import RegistryError
from registry.registry import Registry

PLUGIN = """
import registry

@registry.hookimpl
def registry_parts(register):
    register.catalog("{package}", "catalog")
"""
MODEL = """kind: model
name: {name}
aliases: [{name}_too]
renames: {{{name}_old: "2.0"}}
extends: mobilenet_v3_small
summary: {summary}
figures: {{parameters: {parameters}}}
"""


class Site:
    """A folder on `sys.path` with one distribution, and the index beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site"
        self.cache = folder / "cache"
        self.catalog = self.folder / "shop" / "catalog"
        self.catalog.mkdir(parents=True)
        (self.folder / "shop" / "__init__.py").touch()
        (self.folder / "shop" / "plugin.py").write_text(PLUGIN.replace("{package}", "shop"))
        self.info = self.folder / "shop-1.0.dist-info"
        self.info.mkdir()
        (self.info / "entry_points.txt").write_text("[registry]\nshop = shop.plugin\n")
        self.version("1.0")
        self.model("cup")

    def version(self, version: str) -> None:
        (self.info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: shop\nVersion: {version}\n")

    def model(self, name: str, summary: str = "A cup", parameters: int = 5) -> Path:
        path = self.catalog / f"{name}.yaml"
        path.write_text(MODEL.format(name=name, summary=summary, parameters=parameters))
        return path

    def indices(self) -> list[Path]:
        return sorted((self.cache / "index").glob("*.json"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path)
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS", "REGISTRY_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("REGISTRY_CACHE", str(made.cache))
    monkeypatch.syspath_prepend(made.folder)
    yield made
    import sys

    for name in [name for name in sys.modules if name == "shop" or name.startswith("shop.")]:
        del sys.modules[name]


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files of documents that are read from now on."""
    found: list[str] = []
    read = registry.catalog.catalog.read_documents

    def noting(path: Any, **options: Any) -> Any:
        found.append(Path(path).name)
        return read(path, **options)

    monkeypatch.setattr(registry.catalog.catalog, "read_documents", noting)
    return found


def summary(made: Registry, name: str = "cup") -> tuple[str, int | None]:
    found = {one.name: one for one in made.library.summaries()}[name]
    return found.summary, found.parameters


def test_a_second_listing_reads_no_document_and_says_the_same(site: Site, files_read: list[str]) -> None:
    first = Registry().library.summaries()
    assert len(files_read) > 20
    assert files_read.count("cup.yaml") == 1
    files_read.clear()
    again = Registry().library.summaries()
    assert files_read == []
    assert again == first
    assert summary(Registry()) == ("A cup", 5)
    assert Registry().list_models("cup_too") == ["cup"]


def test_loading_one_model_reads_its_own_files_alone(site: Site, files_read: list[str]) -> None:
    Registry().list_models()
    files_read.clear()
    spec = Registry().load_spec("cup")
    assert spec.summary == "A cup"
    assert files_read[0] == "cup.yaml"
    assert 1 < len(files_read) < 6  # its ancestors and the parts that they name
    with pytest.warns(registry.RegistryWarning, match="`cup_old`.*`cup`"):
        assert Registry().load_spec("cup_old").name == "cup"


def test_a_document_read_from_the_index_equals_one_read_with_all(site: Site) -> None:
    Registry().list_models()
    alone = Registry()
    assert "_read" not in vars(alone.library.catalog)
    alone.load_spec("cup")
    assert "_read" not in vars(alone.library.catalog)
    together = Registry()
    assert together.library.catalog.documents
    for name in ("cup", "mobilenet_v3_large", "fasterrcnn_mnv3_large_320_fpn"):
        assert alone.load_spec(name) == together.load_spec(name)


def edit(site: Site) -> None:
    site.model("cup", "A mug", 6)


def edit_in_place(site: Site) -> None:
    """Same size, and the times of before put back."""
    path = site.catalog / "cup.yaml"
    seen = path.stat()
    site.model("cup", "A mug", 6)
    assert path.stat().st_size == seen.st_size
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replace(site: Site) -> None:
    (site.catalog / "cup.yaml").unlink()
    edit(site)


@pytest.mark.parametrize("change", [edit, edit_in_place, replace])
def test_an_index_of_changed_files_is_made_anew(site: Site, change: Callable[[Site], None]) -> None:
    assert summary(Registry()) == ("A cup", 5)
    change(site)
    assert summary(Registry()) == ("A mug", 6)
    assert summary(Registry()) == ("A mug", 6)
    assert len(site.indices()) == 1


def test_new_and_removed_files_and_folders_are_noticed(site: Site) -> None:
    Registry().list_models()
    site.model("pot")
    assert summary(Registry(), "pot") == ("A cup", 5)
    (site.catalog / "below").mkdir()
    (site.catalog / "pot.yaml").rename(site.catalog / "below" / "pot.yaml")
    made = Registry()
    assert Path(made.library.catalog.providers("model", "pot")[0].file).parent.name == "below"
    assert made.load_spec("pot").name == "pot"
    (site.catalog / "below" / "pot.yaml").unlink()
    assert "pot" not in Registry().list_models()


def test_another_release_of_a_plugin_has_an_index_of_its_own(site: Site) -> None:
    Registry().list_models()
    site.version("1.1")
    made = Registry()
    assert {str(one.origin) for one in made.library.catalog.listed if one.name == "cup"} == {"shop 1.1 (plugin `shop`)"}


def test_other_plugins_have_an_index_of_their_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cup" in Registry().list_models()
    monkeypatch.setenv("REGISTRY_PLUGINS", "")
    assert "cup" not in Registry().list_models()
    monkeypatch.delenv("REGISTRY_PLUGINS")
    assert "cup" in Registry().list_models()
    assert len(site.indices()) == 2


def _cut(text: str) -> str:
    return text[: len(text) // 2]


def _changed(text: str, change: Callable[[Any], None]) -> str:
    data = json.loads(text)
    change(data)
    return json.dumps(data)


DAMAGE: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "cut": _cut,
    "no JSON": lambda text: "{]",
    "no text": lambda text: "\udcff\udc80",
    "a list": lambda text: "[]",
    "a number": lambda text: "3",
    "too deep": lambda text: "[" * 100_000,
    "no documents": lambda text: _changed(text, lambda data: data.pop("documents")),
    "a document is none": lambda text: _changed(text, lambda data: data["documents"].append(3)),
    "a document lacks its names": lambda text: _changed(text, lambda data: data["documents"][-1].pop("names")),
    "a file that is none": lambda text: _changed(text, lambda data: data["documents"][-1].update(file=10_000)),
    "a path for a file": lambda text: _changed(
        text, lambda data: data["documents"][-1].update(file="../../etc/x.yaml")
    ),
    "a summary of another form": lambda text: _changed(text, lambda data: data["documents"][-1].update(summary={})),
    "no key": lambda text: _changed(text, lambda data: data.pop("key")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_made_anew(site: Site, damage: str) -> None:
    first = Registry().library.summaries()
    (path,) = site.indices()
    whole = path.read_text()
    path.write_bytes(DAMAGE[damage](whole).encode("utf-8", "surrogateescape"))
    assert Registry().library.summaries() == first
    assert json.loads(path.read_text()) == json.loads(whole)


def test_a_cache_that_cannot_be_written_is_no_error(site: Site) -> None:
    site.cache.write_text("a file where the folder should be")
    assert summary(Registry()) == ("A cup", 5)
    assert site.cache.read_text() == "a file where the folder should be"


def test_a_cache_of_nobody_is_no_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_CACHE", "~nobody-of-that-name/cache")
    assert summary(Registry()) == ("A cup", 5)


def test_a_file_that_vanishes_after_the_index_was_read_is_told(site: Site) -> None:
    Registry().list_models()
    made = Registry()
    assert "cup" in made.list_models()
    path = site.catalog / "cup.yaml"
    path.unlink()
    with pytest.raises(registry.SpecError, match=r"cup\.yaml"):
        made.load_spec("cup")


def test_a_file_that_holds_another_document_after_the_index_was_read_is_told(site: Site) -> None:
    Registry().list_models()
    made = Registry()
    assert "cup" in made.list_models()
    path = site.catalog / "cup.yaml"
    path.write_text(path.read_text().replace("name: cup", "name: jug"))
    with pytest.raises(RegistryError, match="unknown model `cup`"):
        made.load_spec("cup")


def test_only_the_latest_indices_are_kept(site: Site) -> None:
    for number in range(12):
        site.version(f"1.{number}")
        Registry().list_models()
    assert len(site.indices()) == 8
    newest = max(site.indices(), key=lambda path: path.stat().st_mtime_ns)
    assert "cup" in newest.read_text()


def test_nothing_is_kept_of_plugins_given_in_python(site: Site) -> None:
    import shop.plugin

    assert Registry([shop.plugin]).list_models() == ["cup"]
    assert site.indices() == []


def test_a_file_that_cannot_be_read_is_left_out_each_time(site: Site) -> None:
    (site.catalog / "bad.yaml").write_text("kind: [")
    for _ in range(2):
        made = Registry()
        assert "cup" in made.list_models()
        assert [Path(d.span.file).name for d in made.library.catalog.diagnostics] == ["bad.yaml"]
