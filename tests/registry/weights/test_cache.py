from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from registry.errors import WeightsError
from registry.weights import cache_folder

REMEDY = "set the environment variable REGISTRY_CACHE to a folder that can be written"


def test_the_variable_names_the_folder_which_is_created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b" / "weights"
    assert (tmp_path / "a" / "b" / "weights").is_dir()
    assert cache_folder() == tmp_path / "a" / "b" / "weights"


def test_a_relative_folder_and_a_tilde_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("REGISTRY_CACHE", "here")
    assert cache_folder() == tmp_path / "here" / "weights"
    monkeypatch.setenv("REGISTRY_CACHE", "~/there")
    assert cache_folder() == tmp_path / "there" / "weights"


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("caches", [None, "", "caches"])
def test_without_the_variable_it_is_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None, caches: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in (("REGISTRY_CACHE", value), ("XDG_CACHE_HOME", caches and str(tmp_path / caches))):
        if text is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, text)
    assert cache_folder() == Path(platformdirs.user_cache_dir("vision-registry", appauthor=False)) / "weights"
    assert cache_folder().is_relative_to(tmp_path)


def test_a_file_in_the_way_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("not a folder")
    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        cache_folder()
    assert str(caught.value) == f"cannot create the cache folder {tmp_path / 'weights'}: File exists; {REMEDY}"


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def access(path: os.PathLike[str], mode: int) -> bool:
        return not (Path(path) == tmp_path / "weights" and mode & os.W_OK)

    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path))
    # Permissions do not bind the superuser, who runs many tests.
    monkeypatch.setattr(os, "access", access)
    with pytest.raises(WeightsError) as caught:
        cache_folder()
    assert str(caught.value) == f"the cache folder {tmp_path / 'weights'} is not writable; {REMEDY}"
