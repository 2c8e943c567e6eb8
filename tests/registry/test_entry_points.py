"""Entry points are read as `importlib.metadata` reads them, whatever is installed, and without it where that is usual."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.host.entry_points import entry_points

GROUP = "some.group"
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA text.\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    importlib.invalidate_caches()


def install(site: Path, name: str, points: str | bytes, version: str = "1.0", suffix: str = "dist-info") -> None:
    info = site / f"{name}-{version}.{suffix}"
    info.mkdir()
    file = "METADATA" if suffix == "dist-info" else "PKG-INFO"
    (info / file).write_text(METADATA.format(name=name, version=version), encoding="utf-8")
    (info / "entry_points.txt").write_bytes(points if isinstance(points, bytes) else points.encode())


def both() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Names and values, as read here and as `importlib.metadata` reads them."""
    usual = importlib.metadata.entry_points(group=GROUP)
    return sorted((p.name, p.value) for p in entry_points(GROUP)), sorted((p.name, p.value) for p in usual)


TEXTS = {
    "plain": "[some.group]\na = pack.mod\nb=pack.mod:thing\n",
    "other groups": "[console_scripts]\nx = y:z\n\n[some.group]\n# a remark\na = pack.mod\n[some.group.more]\nb = c\n",
    "spaces": "  [some.group]  \n\n   a   =   pack.mod : thing [extra]  \r\n",
    "twice": "[some.group]\na = one\n[other]\nx = y\n[some.group]\nb = two\n",
    "an equals sign": "[some.group]\na = b=c\n",
    "nothing": "",
    "no section": "some.group = x\n",
    "empty value": "[some.group]\na =\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_means_what_it_means_to_importlib(site: Path, text: str) -> None:
    install(site, "one", text)
    own, usual = both()
    assert own == usual


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "My.Pack", "[some.group]\na = old\n")
    first = tmp_path / "first"
    first.mkdir()
    install(first, "my_pack", "[some.group]\na = new\n", "2.0")
    monkeypatch.syspath_prepend(first)
    own, usual = both()
    assert own == usual == [("a", "new")]
    assert [point.head.splitlines()[2] for point in entry_points(GROUP)] == ["Version: 2.0"]


def test_an_older_form_of_metadata_is_read(site: Path) -> None:
    install(site, "one", "[some.group]\na = pack\n", suffix="egg-info")
    own, usual = both()
    assert own == usual == [("a", "pack")]


@pytest.mark.parametrize(
    "broken",
    [b"[console_scripts]\nno sign\n[some.group]\nx = y\n", b"[some.group]\nj\xe9 = y\n"],
    ids=["line", "latin"],
)
def test_a_distribution_that_cannot_be_read_takes_no_other_down(site: Path, broken: bytes) -> None:
    install(site, "broken", broken)
    install(site, "good", "[some.group]\na = pack\n")
    assert [(point.name, point.value) for point in entry_points(GROUP)] == [("a", "pack")]


def test_a_distribution_in_a_zip_file_is_found(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "one", "[some.group]\na = pack\n")
    archive = tmp_path / "more.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-1.0.dist-info/METADATA", METADATA.format(name="zipped", version="1.0"))
        file.writestr("zipped-1.0.dist-info/entry_points.txt", "[some.group]\nz = zipped\n")
    monkeypatch.syspath_prepend(archive)
    own, usual = both()
    assert own == usual == [("a", "pack"), ("z", "zipped")]


def test_a_finder_of_its_own_is_asked(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Made(importlib.metadata.Distribution):
        def read_text(self, filename: str) -> str | None:
            texts = {
                "METADATA": METADATA.format(name="made", version="1"),
                "entry_points.txt": "[some.group]\nm = made\n",
            }
            return texts.get(filename)

        def locate_file(self, path: Any) -> Any:
            return path

    class Finder(importlib.metadata.DistributionFinder):
        def find_spec(self, *_: Any) -> None:
            return None

        def find_distributions(self, context: Any = None) -> list[Made]:
            return [Made()]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [(point.name, point.head.splitlines()[1]) for point in entry_points(GROUP)] == [("m", "Name: made")]


def test_an_entry_point_of_each_form_is_loaded(site: Path) -> None:
    install(site, "one", "[some.group]\na = json\nb = json:loads\nc = json.decoder : JSONDecoder.decode [x]\n")
    import json

    loaded = {point.name: point.load() for point in entry_points(GROUP)}
    assert loaded == {"a": json, "b": json.loads, "c": json.JSONDecoder.decode}


def test_a_start_does_without_the_usual_reader() -> None:
    code = "import sys, registry; registry.default_registry(); sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
