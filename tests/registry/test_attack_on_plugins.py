"""Hostile and odd plugins, documents, environments and races: each test says what must hold all the same."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel
from registry_scaffold.naming import parse_name
from registry_scaffold.writing import write_folder

import registry
import registry.catalog.catalog
from registry.errors import PluginError, RegistryError, RegistryWarning
from registry.host import PluginRecord, Registrar, hookimpl
from registry.registry import Registry
from registry.specs import RecipeSpec

METADATA = "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n"
HOOK = "import registry\n\n@registry.hookimpl\ndef registry_parts(register):\n    "
MODEL = "kind: model\nname: {name}\nextends: mobilenet_v3_small\nsummary: A {name}\n"


class Site:
    """A folder on `sys.path` with the distribution `odd`, which has a catalog, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder / "site", folder / "cache"
        self.catalog = self.folder / "odd" / "catalog"
        self.catalog.mkdir(parents=True)
        (self.folder / "odd" / "__init__.py").touch()
        self.info = self.folder / "odd-1.0.dist-info"
        self.info.mkdir()
        self.write("entry_points.txt", "[registry]\nodd = odd.plugin\n")
        self.write("METADATA", METADATA)
        self.plugin(HOOK + 'register.catalog("odd", "catalog")')

    def write(self, name: str, text: str | bytes) -> None:
        (self.info / name).write_bytes(text.encode() if isinstance(text, str) else text)

    def plugin(self, source: str) -> None:
        (self.folder / "odd" / "plugin.py").write_text(textwrap.dedent(source), encoding="utf-8")

    def model(self, name: str, more: str = "", file: str | None = None) -> None:
        (self.catalog / (file or f"{name}.yaml")).write_text(MODEL.format(name=name) + more, encoding="utf-8")

    def run(self, *words: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTHONPATH": str(self.folder), "REGISTRY_CACHE": str(self.cache)}
        command = [sys.executable, "-m", "registry.cli", *words]
        return subprocess.run(
            command, env=variables, cwd=self.folder, capture_output=True, text=True, timeout=seconds, check=False
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path)
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS", "REGISTRY_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("REGISTRY_CACHE", str(made.cache))
    monkeypatch.syspath_prepend(made.folder)
    yield made
    for name in [name for name in sys.modules if name == "odd" or name.startswith("odd.")]:
        del sys.modules[name]


def odd(made: Registry) -> PluginRecord:
    (found,) = (record for record in made.plugins if record.origin.plugin == "odd")
    return found


def built_in_work(made: Registry) -> bool:
    states = {r.state for r in made.plugins if r.origin.distribution == "vision-registry"}
    return states == {"loaded"} and "mobilenet_v3_small" in made.list_models()


class Empty:
    """A plugin that registers nothing."""

    @hookimpl
    def registry_parts(self, register: Registrar) -> None: ...


def plugin_with(hook: Callable[..., Any], **more: Any) -> Any:
    return type("Given", (), {"registry_parts": hookimpl(hook), **more})()


class FineSpec(RecipeSpec):
    type: Literal["fine_recipe"] = "fine_recipe"


# ---- what is installed -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
@pytest.mark.parametrize(
    "data", [METADATA.encode() + b"Author: J\xe9\n", METADATA.encode("utf-16")], ids=["latin", "wide"]
)
def test_metadata_that_is_not_utf_8_takes_nothing_down(site: Site, data: bytes) -> None:
    site.write("METADATA", data)
    assert built_in_work(Registry())


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_entry_points_that_cannot_be_read_take_nothing_down(site: Site) -> None:
    site.write("entry_points.txt", b"[console_scripts]\nj\xe9 = odd:main\n")
    assert built_in_work(Registry())


def test_odd_entry_points_take_nothing_down(site: Site) -> None:
    site.write("entry_points.txt", "[registry]\na/b c = odd.plugin\nnul\0 = odd.nothing\nempty =\ncolon = :x\n")
    with pytest.warns(RegistryWarning, match="is left out"):
        made = Registry()
    assert built_in_work(made)


@pytest.mark.parametrize("marker", ["python_version < '3'", "sys_platform == 'nowhere'"])
def test_a_requirement_for_another_environment_does_not_count(site: Site, marker: str) -> None:
    site.write("METADATA", f"{METADATA}Requires-Dist: vision-registry>=99; {marker}\n")
    assert odd(Registry()).state == "loaded"


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_every_requirement_counts(site: Site) -> None:
    site.write("METADATA", f"{METADATA}Requires-Dist: vision-registry>=0.0.1\nRequires-Dist: vision-registry<0.0.2\n")
    assert odd(Registry()).state == "failed"


# ---- what a plugin does when it is loaded ----------------------------------------------------------------------------

SELF_USE = """
import registry
from typing import Literal

@registry.recipe
class OddSpec(registry.specs.RecipeSpec):
    type: Literal["odd_recipe"] = "odd_recipe"

@registry.hookimpl
def registry_parts(register):
    registry.list_models()
"""


def test_a_plugin_that_uses_the_registry_while_it_is_made_does_not_hang(site: Site) -> None:
    site.plugin(SELF_USE)
    done = site.run("list", "mobilenet_v3_small", seconds=8)
    assert done.returncode == 0
    assert "mobilenet_v3_small" in done.stdout


class Panic(BaseException):
    """What extension modules written in Rust raise when they fail."""


@pytest.mark.parametrize("error", [Panic("boom"), asyncio.CancelledError()])
@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_any_error_but_an_interruption_leaves_the_plugin_out(error: BaseException) -> None:
    def hook(self: Any, register: Registrar) -> None:
        raise error

    first, second = Registry([plugin_with(hook), Empty()]).plugins
    assert (first.state, second.state) == ("failed", "loaded")


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), StopIteration(), Exception("a\ud800b")])
def test_errors_of_any_text_leave_the_plugin_out(error: Exception) -> None:
    def hook(self: Any, register: Registrar) -> None:
        raise error

    with pytest.warns(RegistryWarning, match="is left out"):
        first, second = Registry([plugin_with(hook), Empty()]).plugins
    assert (first.state, second.state) == ("failed", "loaded")


def test_what_a_plugin_prints_is_no_part_of_the_output(site: Site) -> None:
    site.plugin("print('hello')\n" + HOOK + "print('again')")
    json.loads(site.run("plugins", "--format", "json").stdout)


def test_a_plugin_that_makes_warnings_errors_takes_nothing_down(site: Site) -> None:
    site.plugin("import warnings\nwarnings.simplefilter('error')\nraise ValueError('boom')\n")
    done = site.run("list", "mobilenet_v3_small")
    assert "Traceback" not in done.stderr
    assert "mobilenet_v3_small" in done.stdout


async def later(self: Any, register: Registrar) -> None: ...


def bit_by_bit(self: Any, register: Registrar) -> Iterator[None]:
    register.recipe("fine_recipe", spec=FineSpec)
    yield


@pytest.mark.parametrize("hook", [later, bit_by_bit])
@pytest.mark.filterwarnings("ignore")
def test_a_hook_that_never_runs_is_told(hook: Callable[..., Any]) -> None:
    (record,) = Registry([plugin_with(hook)]).plugins
    assert record.state == "failed"


def test_nothing_can_be_registered_after_the_hook_ended() -> None:
    kept: list[Registrar] = []
    made = Registry([plugin_with(lambda self, register: kept.append(register))])
    with pytest.raises(PluginError):
        kept[0].recipe("fine_recipe", spec=FineSpec)
    assert made.host.parts == []


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_two_objects_of_one_class_are_two_plugins() -> None:
    assert [record.state for record in Registry([Empty(), Empty()]).plugins] == ["loaded", "loaded"]


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_an_object_that_does_not_tell_its_name_takes_no_other_down() -> None:
    def silent(self: Any) -> str:
        raise RuntimeError("boom")

    made = Registry([plugin_with(lambda self, register: None, __name__=property(silent)), Empty()])
    assert made.plugins[-1].state == "loaded"


@pytest.mark.parametrize("required", [[">=0.1"], b">=0.1", {"a": 1}])
def test_a_required_release_that_is_no_text_is_told_as_such(required: Any) -> None:
    with pytest.warns(RegistryWarning, match="is no version specifier"):
        Registry([plugin_with(lambda self, register: None, requires_registry=required)])


def test_a_verb_without_a_line_for_the_help_is_left_out(site: Site) -> None:
    site.plugin(HOOK + 'register.command("zap", target="odd:zap", summary=None)')
    done = site.run("--help")
    assert "Traceback" not in done.stderr
    assert "predict" in done.stdout


def test_a_verb_registered_twice_by_one_plugin_is_refused() -> None:
    def hook(self: Any, register: Registrar) -> None:
        register.command("zap", target="odd:one", summary="One.")
        register.command("zap", target="odd:two", summary="Two.")

    with pytest.warns(RegistryWarning, match="zap"):
        Registry([plugin_with(hook)])


# ---- specs and names -------------------------------------------------------------------------------------------------


class NoField(RecipeSpec):
    type: ClassVar[str] = "no_field"  # type: ignore[misc]


def test_a_type_that_is_no_field_is_told() -> None:
    with pytest.raises(PluginError, match="Literal"), registry.local_parts():
        registry.recipe(NoField)


def test_a_type_that_is_no_field_is_told_when_it_is_used() -> None:
    spec = f"{__name__}:NoField"
    made = Registry([plugin_with(lambda self, register: register.recipe("no_field", spec=spec))])
    with pytest.raises(PluginError, match="Literal"):
        made.host.spec_class("recipe", "no_field")


def recipe_registry(spec: type[RecipeSpec], **more: Any) -> Registry:
    return Registry([plugin_with(lambda self, register: register.recipe("fine_recipe", spec=spec, **more))])


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
@pytest.mark.parametrize("renamed", [None, ["old"], {"old": "epochs"}])
def test_wrong_renamed_keys_are_told(tmp_path: Path, renamed: Any) -> None:
    class Spec(FineSpec):
        epochs: int = 1
        renamed_keys: ClassVar[Any] = renamed

    file = tmp_path / "short.yaml"
    file.write_text("kind: recipe\nname: short\ntype: fine_recipe\nold: 4\n")
    try:
        found = recipe_registry(Spec).validate(file)
    except RegistryError as error:
        found = (error,)  # type: ignore[assignment]
    assert found != ()


class Loose(BaseModel):
    """Ignores unknown keys, as pydantic does by default."""

    steps: int = 1


class Nested(FineSpec):
    inner: Loose = Loose()


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_a_misspelt_key_of_a_nested_model_is_told(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text("kind: recipe\nname: short\ntype: fine_recipe\ninner: {stepps: 4}\n")
    try:
        found = recipe_registry(Nested).validate(file)
    except PluginError as error:
        found = (error,)  # type: ignore[assignment]
    assert found != ()


@pytest.mark.parametrize("renames", [{"OLD NAME": "1.0"}, {1: "1.0"}, {"old": None}, {"a/b": "1.0"}, {"old": "\ud800"}])
def test_malformed_renames_are_refused(renames: Any) -> None:
    with pytest.warns(RegistryWarning, match="is left out"):
        recipe_registry(FineSpec, renames=renames)


@pytest.mark.parametrize("name", ["/fine_recipe", "local/", "local//fine_recipe", "/", "//", "", "local/fine_recipe/"])
def test_a_name_of_empty_pieces_is_unknown(name: str) -> None:
    made = recipe_registry(FineSpec)
    assert made.host.part("recipe", "local/fine_recipe").type == "fine_recipe"
    with pytest.raises(registry.UnknownNameError):
        made.host.part("recipe", name)


# ---- documents and their index ---------------------------------------------------------------------------------------


def told_of(site: Site, made: Registry) -> list[str]:
    """What is wrong with the documents of the site."""
    return [found.message for found in made.validate() if found.span.file.startswith(str(site.catalog))]


@pytest.mark.parametrize("number", [".nan", ".inf", "1e400"])
def test_a_figure_that_is_no_number_takes_no_listing_down(site: Site, number: str) -> None:
    site.model("mug", f"figures: {{parameters: {number}}}\n")
    made = Registry()
    assert "mobilenet_v3_small" in made.list_models()
    assert told_of(site, made) != []


@pytest.mark.parametrize("more", ["aliases: [x.yaml]\n", "aliases: [x.safetensors]\n", 'renames: {"a/b": "1.0"}\n'])
def test_names_that_nobody_can_write_are_told(site: Site, more: str) -> None:
    site.model("mug", more)
    assert told_of(site, Registry()) != []


def test_a_name_that_reads_as_a_checkpoint_is_told(site: Site) -> None:
    site.model("mug.safetensors")
    assert told_of(site, Registry()) != []


def test_a_file_that_changes_while_it_is_listed_is_not_kept_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.model("mug")
    from registry.catalog.documents import read_documents as read

    def slowly(file: Any, **options: Any) -> Any:
        found = read(file, **options)
        if Path(file).name == "mug.yaml":
            site.model("jug", file="mug.yaml")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(registry.catalog.catalog, "read_documents", slowly)
        assert Registry().list_models("*ug") == ["mug"]
    assert Registry().list_models("*ug") == ["jug"]


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "one is lost": lambda data: data["documents"].pop(),
    "all are lost": lambda data: data["documents"].clear(),
    "a name is no text": lambda data: data["documents"][-1].update(names=[1]),
    "no name": lambda data: data["documents"][-1].update(names=[]),
    "a figure is a text": lambda data: data["documents"][-1]["summary"].update(parameters="x"),
    "a metric without a value": lambda data: data["documents"][-1]["summary"].update(metric=["acc@1"]),
    "a file before the first": lambda data: data["documents"][-1].update(file=-2),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_index_that_is_not_what_was_written_is_made_anew(site: Site, damage: str) -> None:
    site.model("mug", "figures: {parameters: 5}\n")
    whole = [(one.name, one.parameters, one.metric, one.file) for one in Registry().library.summaries()]
    (index,) = (site.cache / "index").glob("*.json")
    data = json.loads(index.read_text())
    DAMAGE[damage](data)
    index.write_text(json.dumps(data))
    found = [(one.name, one.parameters, one.metric, one.file) for one in Registry().library.summaries()]
    assert found == whole


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be given")
@pytest.mark.parametrize("name", [b"new\nline.yaml", b"latin\xe9.yaml", b"\x1b[31m.yaml", b".yaml", b"-x.yaml"])
def test_files_of_any_name_are_listed_from_the_index_as_before(site: Site, name: bytes) -> None:
    site.model("mug", file=os.fsdecode(name))
    first, second = ([one.file for one in Registry().library.summaries("mug")] for _ in range(2))
    assert first == second == [str(site.catalog / os.fsdecode(name))]
    assert len(list((site.cache / "index").glob("*.json"))) == 1


def test_circles_of_links_in_a_catalog_are_not_followed(site: Site) -> None:
    site.model("mug")
    (site.catalog / "loop").symlink_to(".")
    (site.catalog / "self.yaml").symlink_to("self.yaml")
    (site.catalog / "lost.yaml").symlink_to("nowhere")
    assert Registry().list_models("mug") == ["mug"]


def test_a_full_disk_is_no_error_and_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    site.model("mug")
    monkeypatch.setattr(os, "fsync", full)
    assert Registry().list_models("mug") == ["mug"]
    assert os.listdir(site.cache / "index") == []


@pytest.mark.parametrize(
    "cache", ["relative", "~nobody_of_this_name/x", "/dev/null", "/proc/self", "/tmp/" + "x" * 300]
)
def test_caches_in_odd_places_are_no_error(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGISTRY_CACHE", cache)
    site.model("mug")
    assert [Registry().list_models("mug") for _ in range(2)] == [["mug"], ["mug"]]


def test_many_registries_that_write_one_index_at_once_agree(site: Site) -> None:
    site.model("mug")
    made = [Registry() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: one.list_models("mug"), made))
    assert found == [["mug"]] * 8
    assert [path.suffix for path in (site.cache / "index").iterdir()] == [".json"]
    assert Registry().list_models("mug") == ["mug"]


# ---- parts defined in Python -----------------------------------------------------------------------------------------


def recipes() -> set[str]:
    return {part.type for part in registry.default_registry().host.parts if part.origin.distribution == "local"}


class OtherSpec(RecipeSpec):
    type: Literal["other_recipe"] = "other_recipe"


def test_a_part_that_is_defined_while_another_thread_has_a_context_stays() -> None:
    opened, done = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with registry.local_parts():
            opened.set()
            done.wait(10)

    with registry.local_parts():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert opened.wait(10)
        registry.recipe(OtherSpec)
        done.set()
        thread.join()
        assert "other_recipe" in recipes()


def test_tasks_do_not_see_each_others_parts() -> None:
    async def one(spec: Any, mine: asyncio.Event, others: asyncio.Event) -> set[str]:
        with registry.local_parts():
            registry.recipe(spec)
            mine.set()
            await others.wait()
            return recipes()

    async def both() -> list[set[str]]:
        first, second = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(one(FineSpec, first, second), one(OtherSpec, second, first)))

    assert asyncio.run(both()) == [{"fine_recipe"}, {"other_recipe"}]


def test_a_generator_that_is_given_up_takes_its_parts_along() -> None:
    def steps() -> Generator[None, None, None]:
        with registry.local_parts():
            registry.recipe(OtherSpec)
            yield

    running = steps()
    next(running)
    assert "other_recipe" in recipes()
    running.close()
    assert "other_recipe" not in recipes()


class Equal:
    """A builder that compares by value, as a dataclass does; it has no hash."""

    def __call__(self, *_: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = None  # type: ignore[assignment]


class MouthSpec(registry.specs.HeadSpec):
    type: Literal["attack_mouth"] = "attack_mouth"
    task: ClassVar[str] = "classification"


def test_a_target_without_a_hash_does_not_break_every_later_call() -> None:
    with registry.local_parts():
        registry.head(MouthSpec)(Equal())
        assert "mobilenet_v3_small" in registry.list_models()


def test_threads_that_ask_first_get_one_registry() -> None:
    with registry.local_parts():
        registry.recipe(OtherSpec)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: registry.default_registry(), range(16)))
    assert len(set(map(id, found))) == 1


# ---- the verb new-plugin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conftest", "tests", "setup", "con", "nul"])
def test_names_that_tools_take_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(RegistryError):
        parse_name(name)


def test_two_that_write_one_folder_at_once_leave_one_whole(tmp_path: Path) -> None:
    texts = {f"{letter}/{number}.txt": letter * 1000 for letter in "abcd" for number in range(10)}

    def write(_: int) -> bool:
        try:
            write_folder(tmp_path / "one", texts)
        except RegistryError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 1
    assert os.listdir(tmp_path) == ["one"]
    found = {p.relative_to(tmp_path / "one").as_posix(): p.read_text() for p in (tmp_path / "one").rglob("*.txt")}
    assert found == texts


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_verb_that_is_killed_half_way_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    code = """
        import os, signal
        from pathlib import Path
        from registry_scaffold.writing import write_folder
        class Texts(dict):
            def items(self):
                yield "a.txt", "a"
                os.kill(os.getpid(), signal.SIGKILL)
        write_folder(Path("one"), Texts())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "one").exists()
    write_folder(tmp_path / "one", {"a.txt": "a"})
    assert (tmp_path / "one" / "a.txt").read_text() == "a"
