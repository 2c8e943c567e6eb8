"""Plugins are found, loaded and kept apart. Tests install real distributions: a metadata folder and a package."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import registry
from registry.assemble.construct import construct
from registry.errors import ConflictError, PluginError, RegistryError, RegistryWarning, UnknownNameError
from registry.host import PluginRecord
from registry.registry import Registry

SPECS = '''
from typing import Annotated, ClassVar, Literal
from pydantic import ConfigDict, Field
from registry.specs import BackboneSpec, FeatureMap, HeadSpec, TaskSpec

class Eye(BackboneSpec):
    """One map."""
    type: Literal["eye"] = "eye"
    width: Annotated[int, Field(ge=1, description="Channels.")] = 8
    def feature_maps(self):
        return (FeatureMap(name="c1", channels=self.width, stride=4, module="a"),)

class Mouth(HeadSpec):
    """Speaks."""
    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"

class Speaking(TaskSpec):
    """The task."""
    type: Literal["speaking"] = "speaking"
'''

PARTS = """
def eye(spec):
    return f"{__name__} eye of width {spec.width}"

def mouth(spec, backbone, backbone_spec):
    return f"{backbone}, {__name__} mouth"
"""

HOOK = """
import registry

@registry.hookimpl
def registry_parts(register):
"""

#: A model of the parts above.
FACE = "kind: model\nname: face\ntask: {type: speaking}\nbackbone: {type: eye}\nhead: {type: mouth, num_classes: 2}\n"


class Site:
    """A folder on `sys.path` into which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        name: str,
        hook: str | None = None,
        *,
        source: str | None = None,
        version: str = "1.0",
        points: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        metadata: str | None = None,
    ) -> str:
        """Installs a distribution and the package of the same name, whose name is returned.

        Args:
            hook: body of the hook `registry_parts`; `{package}` stands for the package's name.
            source: the whole module `plugin` instead.
            points: entry points of the group `registry`; by default one, for the module `plugin`.
            files: more files of the package.
            metadata: text of METADATA; empty for none at all.
        """
        package = name.lower().replace("-", "_")
        if source is None:
            lines = [line.strip() for line in (hook or "pass").strip().splitlines()]
            source = HOOK + "".join(f"    {line}\n" for line in lines)
        contents = {"__init__.py": "", "specs.py": SPECS, "parts.py": PARTS, "plugin.py": source, **(files or {})}
        for file, text in contents.items():
            path = self.folder / package / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{package}", package), encoding="utf-8")
        info = self.folder / f"{package}-{version}.dist-info"
        info.mkdir()
        points = {package: f"{package}.plugin"} if points is None else points
        lines = ["[registry]", *(f"{point} = {target}" for point, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if metadata:
            (info / "METADATA").write_text(metadata, encoding="utf-8")
        importlib.invalidate_caches()
        return package

    def install_good(self, name: str = "good", **options: Any) -> str:
        """Installs a plugin with a backbone, a head, a task, and the model `<name>_face`."""
        hook = """
            register.backbone("eye", spec="{package}.specs:Eye", target="{package}.parts:eye")
            register.head("mouth", spec="{package}.specs:Mouth", target="{package}.parts:mouth")
            register.task("speaking", spec="{package}.specs:Speaking", target="{package}.parts:speaking")
            register.catalog("{package}", "catalog")
        """
        document = FACE.replace("name: face", f"name: {name}_face")
        return self.install(name, hook, **{"files": {"catalog/face.yaml": document}, **options})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS", "REGISTRY_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def record(made: Registry, plugin: str) -> PluginRecord:
    (found,) = (r for r in made.plugins if r.origin.plugin == plugin)
    return found


def with_warnings(*texts: str) -> Registry:
    """The registry of every installed plugin, made with exactly these warnings."""
    with pytest.warns(RegistryWarning) as caught:
        made = Registry()
    assert [str(item.message) for item in caught if item.category is RegistryWarning] == list(texts)
    return made


@functools.cache
def built_in() -> Registry:
    """The registry of the built-in plugins alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRY_PLUGINS", "")
        return Registry()


def assert_built_in_plugins_work(made: Registry) -> None:
    assert {r.state for r in made.plugins if r.origin.distribution == "vision-registry"} == {"loaded"}
    assert built_in().list_models() != []
    for name in built_in().list_models():
        assert made.load_spec(name).digest() == built_in().load_spec(name).digest()


def assert_others_work(made: Registry) -> None:
    """The built-in plugins and the plugin `good` serve as if nothing had happened."""
    assert_built_in_plugins_work(made)
    assert record(made, "good").state == "loaded"
    assert made.load_spec("good_face").backbone.type == "eye"
    assert "good_face" in made.list_models()
    assert made.validate() == ()


# ---- a plugin that works ---------------------------------------------------------------------------------------------


def test_an_installed_plugin_is_found_with_all_it_registers(site: Site) -> None:
    site.install_good("Good_Plugin", version="2.3", points={"sight": "good_plugin.plugin"})
    made = Registry()
    found = record(made, "sight")
    assert (found.state, found.error) == ("loaded", None)
    assert str(found.origin) == "good-plugin 2.3 (plugin `sight`)"
    assert [(part.kind, part.type) for part in found.contribution.parts] == [
        ("backbone", "eye"),
        ("head", "mouth"),
        ("task", "speaking"),
    ]
    assert [catalog.folder for catalog in found.contribution.catalogs] == [site.folder / "good_plugin" / "catalog"]
    assert found.seconds > 0
    assert made.load_spec("Good_Plugin_face").head.num_classes == 2
    assert_built_in_plugins_work(made)


def test_the_built_in_plugins_come_first_and_the_others_by_distribution_and_name(site: Site) -> None:
    site.install("zeta")
    site.install("alpha", points={"two": "alpha.plugin", "one": "alpha.plugin"})
    found = [(r.origin.distribution, r.origin.plugin) for r in Registry().plugins]
    assert found[-3:] == [("alpha", "one"), ("alpha", "two"), ("zeta", "zeta")]
    assert {distribution for distribution, _ in found[:-3]} == {"vision-registry"}
    assert found[:-3] == sorted(found[:-3])


def test_specs_and_targets_are_not_imported_before_they_are_needed(site: Site) -> None:
    site.install_good()
    made = Registry()
    assert made.list_models("good*") == ["good_face"]
    assert {"good.specs", "good.parts"} & set(sys.modules) == set()
    made.load_spec("good_face")
    assert {"good.specs", "good.parts"} & set(sys.modules) == {"good.specs"}
    assert construct(made.host, made.load_spec("good_face")) == "good.parts eye of width 8, good.parts mouth"  # type: ignore[comparison-overlap]


def test_a_plugin_that_registers_nothing_is_loaded(site: Site) -> None:
    site.install_good()
    site.install("quiet", source="import registry\n\n@registry.hookimpl\ndef registry_parts():\n    pass\n")
    made = Registry()
    assert record(made, "quiet").state == "loaded"
    assert_others_work(made)


def test_two_distributions_may_call_their_plugins_alike(site: Site) -> None:
    register = 'register.backbone("{package}", spec="{package}.specs:Eye", target="{package}.parts:eye")'
    site.install("one", register, points={"same": "one.plugin"})
    site.install("two", register, points={"same": "two.plugin"})
    made = Registry()
    assert [str(made.host.part("backbone", name).origin) for name in ("one", "two")] == [
        "one 1.0 (plugin `same`)",
        "two 1.0 (plugin `same`)",
    ]


# ---- plugins that fail -----------------------------------------------------------------------------------------------

EYE = 'register.backbone("eye2", spec="{package}.specs:Eye", target="{package}.parts:eye")'
FAULTS: dict[str, tuple[str, str]] = {
    "raises at import": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "exits at import": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "imports what is not there": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "is no Python": ("def (", "SyntaxError: invalid syntax (plugin.py, line 1)"),
    "raises in its hook": (HOOK + "    1 / 0", "ZeroDivisionError: division by zero"),
    "exits in its hook": (HOOK + "    raise SystemExit('bye')", "SystemExit: bye"),
    "raises half-way": (
        f"{HOOK}    {EYE}\n    register.catalog('bad', '.')\n    raise OSError('late')",
        "OSError: late",
    ),
    "misspells the hook": (
        HOOK.replace("registry_parts", "registry_part") + "    pass",
        "there is no hook `registry_part`; did you mean `registry_parts`?",
    ),
    "has a hook of another name beside the right one": (
        HOOK + "    pass\n\n@registry.hookimpl\ndef on_load():\n    pass",
        "there is no hook `on_load`; known: `registry_parts`",
    ),
    "has no hook": ("x = 1", "it implements no hook; mark a function called `registry_parts` with @registry.hookimpl"),
    "forgets the decorator": (
        "def registry_parts(register):\n    pass",
        "it implements no hook; mark a function called `registry_parts` with @registry.hookimpl",
    ),
    "tells an error of several lines": ("raise ValueError('one\\n  two\\nthree')", "ValueError: one two three"),
    "registers a part under a name with capitals": (
        HOOK + "    " + EYE.replace("eye2", "Eye"),
        "'Eye' is not a name: use lower-case letters, digits, `_`, `-` and `.`",
    ),
    "registers a part twice": (f"{HOOK}    {EYE}\n    {EYE}", "register.backbone: the type `eye2` is registered twice"),
    "gives a spec that is no path": (
        HOOK + "    register.backbone('eye2', spec='bad.specs.Eye', target='bad.parts:eye')",
        "spec='bad.specs.Eye' is not of the form 'module:attribute'",
    ),
    "gives a class that is no spec": (
        HOOK + "    register.backbone('eye2', spec=int, target='bad.parts:eye')",
        "bad 0.9 (plugin `bad`) registers `int` as the backbone `eye2`, which is not a subclass of BackboneSpec",
    ),
    "gives a number for a path": (
        HOOK + "    register.backbone('eye2', spec=3, target='bad.parts:eye')",
        "spec=3 is not of the form 'module:attribute'",
    ),
    "names a catalog folder that is not there": (
        HOOK + "    register.catalog('bad', 'catalogue')",
        "register.catalog: there is no folder `catalogue` in the package `bad`",
    ),
    "names a catalog of a package that is not there": (
        HOOK + "    register.catalog('badd', 'catalog')",
        "there is no package `badd` to find `catalog` in",
    ),
    "leaves its package": (
        HOOK + "    register.catalog('bad', '../good/catalog')",
        "`../good/catalog` leaves the package `bad`",
    ),
    "names an absolute folder": (HOOK + "    register.catalog('bad', '/')", "`/` leaves the package `bad`"),
    "names a list of categories that is not there": (
        HOOK + "    register.categories('names', 'bad', 'names.txt')",
        "register.categories: there is no file `names.txt` in the package `bad`",
    ),
    "names a list of categories outside": (
        HOOK + "    register.categories('names', 'bad', '../names.txt')",
        "`../names.txt` leaves the package `bad`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_plugin_that_fails_is_left_out_and_everything_else_works(site: Site, fault: str) -> None:
    source, error = FAULTS[fault]
    site.install_good()
    site.install("bad", source=source, version="0.9")
    made = with_warnings(f"plugin bad 0.9 (plugin `bad`) is left out: {error}")
    found = record(made, "bad")
    assert (found.state, found.error) == ("failed", error)
    assert found.contribution == type(found.contribution)()  # nothing stays
    assert_others_work(made)
    with pytest.raises(UnknownNameError):
        made.host.part("backbone", "eye2")


def test_a_hook_that_takes_another_argument_is_told_in_one_line(site: Site) -> None:
    site.install_good()
    site.install("bad", source=HOOK.replace("(register)", "(registrar)") + "    pass")
    with pytest.warns(RegistryWarning) as caught:
        made = Registry()
    assert_others_work(made)
    (text,) = {str(item.message) for item in caught}
    assert "registrar" in text
    assert "\n" not in text


def test_an_error_that_cannot_be_printed_is_left_out_like_any_other(site: Site) -> None:
    site.install_good()
    code = "class Mute(Exception):\n    def __str__(self):\n        raise KeyError\n\nraise Mute"
    site.install("bad", source=code)
    with pytest.warns(RegistryWarning, match=r"^plugin bad 1\.0 \(plugin `bad`\) is left out: Mute"):
        made = Registry()
    assert_others_work(made)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("bad.nowhere", "ModuleNotFoundError: No module named 'bad.nowhere'"),
        ("bad.plugin:nothing", "AttributeError: module 'bad.plugin' has no attribute 'nothing'"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_left_out(site: Site, target: str, error: str) -> None:
    site.install_good()
    site.install("bad", points={"bad": target})
    made = with_warnings(f"plugin bad 1.0 (plugin `bad`) is left out: {error}")
    assert_others_work(made)


def test_an_entry_point_that_is_no_path_is_left_out(site: Site) -> None:
    site.install_good()
    site.install("bad", points={"bad": "not a path!"})
    with pytest.warns(RegistryWarning, match=r"^plugin bad 1\.0 \(plugin `bad`\) is left out: "):
        made = Registry()
    assert record(made, "bad").state == "failed"
    assert_others_work(made)


@pytest.mark.parametrize("metadata", ["", "Metadata-Version: 2.1\n"], ids=["none", "nameless"])
def test_the_remains_of_a_removed_distribution_take_nothing_down(site: Site, metadata: str) -> None:
    """An uninstallation that was interrupted leaves a metadata folder without a name or version."""
    site.install_good()
    site.install("bad", source="raise RuntimeError('boom')", metadata=metadata)
    with pytest.warns(RegistryWarning, match=r" is left out: RuntimeError: boom$"):
        made = Registry()
    assert_others_work(made)


def test_a_link_that_leaves_the_package_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    site.install_good()
    site.install("bad", 'register.catalog("bad", "catalog")')
    (site.folder / "bad" / "catalog").symlink_to(tmp_path / "elsewhere")
    made = with_warnings("plugin bad 1.0 (plugin `bad`) is left out: `catalog` leaves the package `bad`")
    assert_others_work(made)


def test_several_plugins_that_fail_are_each_told(site: Site) -> None:
    site.install_good()
    site.install("bad-one", source="raise RuntimeError('one')")
    site.install("bad-two", source="raise RuntimeError('two')", version="2.0")
    made = with_warnings(
        "plugin bad-one 1.0 (plugin `bad_one`) is left out: RuntimeError: one",
        "plugin bad-two 2.0 (plugin `bad_two`) is left out: RuntimeError: two",
    )
    assert_others_work(made)


def test_one_failing_plugin_of_a_distribution_leaves_its_others_working(site: Site) -> None:
    site.install_good(points={"good": "good.plugin", "worse": "good.worse"}, files={
        "worse.py": "raise RuntimeError('boom')", "catalog/a.yaml": FACE.replace("name: face", "name: good_face"),
    })  # fmt: skip
    made = with_warnings("plugin good 1.0 (plugin `worse`) is left out: RuntimeError: boom")
    assert_others_work(made)


def test_an_interruption_by_the_user_is_not_taken_for_a_failing_plugin(site: Site) -> None:
    site.install("bad", source="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry()


def test_strict_mode_makes_failures_an_error_that_lists_them_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_STRICT_PLUGINS", "1")
    site.install_good()
    Registry()
    site.install("bad-one", source="raise RuntimeError('one')")
    site.install("bad-two", source="x = 1", version="2.0")
    with pytest.raises(PluginError) as caught:
        Registry()
    assert str(caught.value) == (
        "plugin bad-one 1.0 (plugin `bad_one`) failed: RuntimeError: one\n"
        "plugin bad-two 2.0 (plugin `bad_two`) failed: it implements no hook; "
        "mark a function called `registry_parts` with @registry.hookimpl"
    )


def test_strict_mode_set_to_0_is_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_STRICT_PLUGINS", "0")
    site.install_good()
    site.install("bad", source="raise RuntimeError('boom')")
    assert_others_work(with_warnings("plugin bad 1.0 (plugin `bad`) is left out: RuntimeError: boom"))


# ---- parts whose code is wrong ---------------------------------------------------------------------------------------

LABEL = "bad 1.0 (plugin `bad`) registers `bad.specs:{cls}` as the backbone `eye2`"
GIVES = "bad 1.0 (plugin `bad`) gives `bad.specs"
WRONG_SPECS: dict[str, tuple[str, str, str]] = {
    "is no class": ("Eye2", "Eye2 = 3", f"{LABEL}, which is not a subclass of BackboneSpec"),
    "is no spec": ("Eye2", "class Eye2: pass", f"{LABEL}, which is not a subclass of BackboneSpec"),
    "is a spec of another kind": ("Mouth", "", f"{LABEL}, which is not a subclass of BackboneSpec"),
    "forbids nothing": (
        "Eye2",
        'class Eye2(Eye):\n    model_config = ConfigDict(extra="ignore")\n    type: Literal["eye2"] = "eye2"',
        f"{LABEL}, which does not forbid unknown keys; remove `extra` from its model_config",
    ),
    "has another type": ("Eye", "", f'{LABEL}, which does not say so; write: type: Literal["eye2"] = "eye2"'),
    "has any type": (
        "Eye2",
        "class Eye2(BackboneSpec):\n    '''x'''",
        f'{LABEL}, which does not say so; write: type: Literal["eye2"] = "eye2"',
    ),
    "is not there": (
        "Nowhere",
        "",
        f"{GIVES}:Nowhere`, which cannot be used: AttributeError: module 'bad.specs' has no attribute 'Nowhere'",
    ),
    "does not import": (
        "Eye2",
        "import no_such_module",
        f"{GIVES}:Eye2`, which cannot be used: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "exits": ("Eye2", "exit(3)", f"{GIVES}:Eye2`, which cannot be used: SystemExit: 3"),
}


@pytest.mark.parametrize("fault", WRONG_SPECS)
def test_a_wrong_spec_class_is_told_where_a_document_uses_it(site: Site, tmp_path: Path, fault: str) -> None:
    cls, code, message = WRONG_SPECS[fault]
    message = message.replace("{cls}", cls)
    site.install_good()
    hook = f'register.backbone("eye2", spec="bad.specs:{cls}", target="bad.parts:eye")'
    site.install("bad", hook, files={"specs.py": SPECS + code})
    made = Registry()
    assert_others_work(made)
    with pytest.raises(PluginError) as caught:
        made.host.spec_class("backbone", "eye2")
    assert str(caught.value) == message
    path = tmp_path / "m.yaml"
    path.write_text(FACE.replace("{type: eye}", "{type: eye2}"))
    assert list(map(str, made.validate(path))) == [f"{path}:4:18: error: {message} [REG107]"]


def document(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return path


def install_bad_eye(site: Site, body: str) -> None:
    code = 'class Eye2(Eye):\n    """Fails."""\n    type: Literal["eye2"] = "eye2"\n' + body
    hook = 'register.backbone("eye2", spec="bad.specs:Eye2", target="bad.parts:eye")'
    site.install_good()
    site.install("bad", hook, files={"specs.py": SPECS + code})


PART = "kind: backbone\nname: mine\ntype: eye2\n"
MODEL = FACE.replace("{type: eye}", "{type: eye2}")
BODIES: dict[str, tuple[str, str]] = {
    "check": ("    def check(self):\n        return 1 / 0\n", "ZeroDivisionError: division by zero"),
    "feature_maps": ("    def feature_maps(self):\n        return [][1]\n", "IndexError: list index out of range"),
    "model_post_init": ("    def model_post_init(self, _):\n        {}['x']\n", "KeyError: 'x'"),
}


@pytest.mark.parametrize("text", [PART, MODEL], ids=["part", "model"])
@pytest.mark.parametrize("method", BODIES)
def test_a_spec_class_whose_code_fails_is_a_diagnostic_not_a_traceback(
    site: Site, tmp_path: Path, method: str, text: str
) -> None:
    body, error = BODIES[method]
    install_bad_eye(site, body)
    made = Registry()
    assert_others_work(made)
    if (method, text) == ("feature_maps", PART):
        return  # a backbone's own document needs no maps
    (found,) = made.validate(document(tmp_path, text))
    assert found.severity == "error"
    assert error in found.message


def test_explaining_a_backbone_whose_feature_maps_fail_is_an_error_not_a_traceback(site: Site, tmp_path: Path) -> None:
    install_bad_eye(site, BODIES["feature_maps"][0])
    with pytest.raises(RegistryError, match="IndexError: list index out of range"):
        Registry().explain(document(tmp_path, PART), kind="backbone")


def test_a_missing_target_is_told_when_something_is_built(site: Site) -> None:
    site.install_good(files={"parts.py": "def eye(spec): pass", "catalog/a.yaml": FACE.replace("face", "good_face")})
    made = Registry()
    assert_others_work(made)
    with pytest.raises(PluginError) as caught:
        construct(made.host, made.load_spec("good_face"))
    assert str(caught.value) == (
        "good 1.0 (plugin `good`) gives `good.parts:mouth`, which cannot be used: "
        "AttributeError: module 'good.parts' has no attribute 'mouth'"
    )


def test_a_part_without_a_target_says_so_when_something_is_built(site: Site) -> None:
    code = 'from registry.specs import RecipeSpec\nclass R(RecipeSpec):\n    type: Literal["plain"] = "plain"\n'
    site.install("data", 'register.recipe("plain", spec="data.specs:R")', files={"specs.py": SPECS + code})
    host = Registry().host
    recipe = host.spec_class("recipe", "plain")(type="plain")
    with pytest.raises(PluginError) as caught:
        host.target(recipe)
    assert str(caught.value) == "the recipe `plain` of data 1.0 (plugin `data`) has nothing to build"


@pytest.mark.parametrize(
    ("content", "names"), [(b"cat\ndog\n", ["cat", "dog"]), (b"\xef\xbb\xbfcat\r\ndog", ["cat", "dog"])]
)
def test_class_names_are_read_one_a_line(site: Site, tmp_path: Path, content: bytes, names: list[str]) -> None:
    site.install_good()
    site.install("names", 'register.categories("pets", "names", "pets.txt")', files={"pets.txt": ""})
    (site.folder / "names" / "pets.txt").write_bytes(content)
    made = Registry()
    spec = made.load_spec(document(tmp_path, FACE.replace("{type: speaking}", "{type: speaking, categories: pets}")))
    assert made.categories(spec.task) == tuple(names)


def test_class_names_that_are_not_utf_8_are_an_error_not_a_traceback(site: Site, tmp_path: Path) -> None:
    site.install_good()
    site.install("names", 'register.categories("pets", "names", "pets.txt")', files={"pets.txt": ""})
    (site.folder / "names" / "pets.txt").write_bytes(b"caf\xe9\n")
    made = Registry()
    assert_others_work(made)
    path = document(tmp_path, FACE.replace("{type: speaking}", "{type: speaking, categories: pets}"))
    (found,) = made.validate(path)
    assert (found.rule, str(found.span)) == ("REG205", f"{path}:3:36")


def test_a_part_gives_a_model_its_settings_alone_whoever_asked_before(site: Site, tmp_path: Path) -> None:
    part = "kind: backbone\nname: base_eye\ntype: eye\nreferences: [{title: t, url: 'https://example.org'}]\n"
    site.install_good(files={"catalog/part.yaml": part})
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "a.yaml").write_text("kind: backbone\nname: my_eye\nextends: base_eye\n", encoding="utf-8")
    (specs / "b.yaml").write_text(FACE.replace("{type: eye}", "base_eye"), encoding="utf-8")
    assert Registry().validate(specs / "a.yaml", specs / "b.yaml") == ()
    assert Registry().validate(specs / "b.yaml", specs / "a.yaml") == ()


def test_a_document_that_cannot_be_read_takes_no_other_down(site: Site) -> None:
    good = FACE.replace("name: face", "name: good_face")
    site.install_good(files={"catalog/good.yaml": good, "catalog/bad.yaml": "kind: [", "catalog/readme.txt": "x: ["})
    made = Registry()
    assert made.load_spec("good_face").name == "good_face"
    (found,) = made.validate()
    assert found.span.file == str(site.folder / "good" / "catalog" / "bad.yaml")
    assert found.rule == "REG003"


# ---- names that several provide --------------------------------------------------------------------------------------


def install_twins(site: Site) -> Registry:
    site.install_good("one", version="1.1")
    site.install_good("two", version="2.2")
    return Registry()


def conflict(kind: str, type_name: str) -> str:
    return (
        f"several plugins provide the type of {kind} `{type_name}`: one 1.1 (plugin `one`), two 2.2 (plugin `two`); "
        f"write `one/{type_name}` or `two/{type_name}`"
    )


def test_two_distributions_with_one_part_type_are_a_conflict_where_it_is_used(site: Site, tmp_path: Path) -> None:
    made = install_twins(site)
    assert [r.state for r in made.plugins if r.origin.plugin in ("one", "two")] == ["loaded", "loaded"]
    with pytest.raises(ConflictError) as caught:
        made.host.part("backbone", "eye")
    assert str(caught.value) == conflict("backbone", "eye")
    path = document(tmp_path, FACE)
    assert list(map(str, made.validate(path))) == [
        f"{path}:3:14: error: {conflict('task', 'speaking')} [REG107]",
        f"{path}:4:18: error: {conflict('backbone', 'eye')} [REG107]",
        f"{path}:5:14: error: {conflict('head', 'mouth')} [REG107]",
    ]
    assert_built_in_plugins_work(made)


CHOSEN = FACE.replace("eye", "one/eye").replace("mouth", "two/mouth").replace("speaking", "one/speaking")


def test_a_document_chooses_a_part_by_its_distribution(site: Site, tmp_path: Path) -> None:
    made = install_twins(site)
    path = document(tmp_path, CHOSEN)
    assert made.validate(path) == ()
    spec = made.load_spec(path)
    assert [type(part).__module__ for _, part in spec.parts()] == ["one.specs", "one.specs", "two.specs"]


def test_the_part_that_a_document_chose_is_the_one_that_is_built(site: Site, tmp_path: Path) -> None:
    made = install_twins(site)
    spec = made.load_spec(document(tmp_path, CHOSEN))
    assert construct(made.host, spec) == "one.parts eye of width 8, two.parts mouth"  # type: ignore[comparison-overlap]


def test_a_distribution_is_chosen_under_any_spelling_of_its_name(site: Site) -> None:
    site.install("My-Dist", 'register.backbone("eye", spec="my_dist.specs:Eye", target="my_dist.parts:eye")')
    site.install("other", 'register.backbone("eye", spec="other.specs:Eye", target="other.parts:eye")')
    made = Registry()
    for spelling in ("my-dist", "My-Dist", "my_dist", "MY.dist"):
        assert made.host.part("backbone", f"{spelling}/eye").spec == "my_dist.specs:Eye"


def test_a_distribution_that_does_not_provide_the_type_is_told_with_those_that_do(site: Site) -> None:
    made = install_twins(site)
    with pytest.raises(UnknownNameError) as caught:
        made.host.part("backbone", "three/eye")
    assert "`one/eye`" in str(caught.value)
    assert "`two/eye`" in str(caught.value)


def install_same_documents(site: Site) -> Registry:
    for name, version in (("one", "1.1"), ("two", "2.2")):
        hook = 'register.catalog("{package}", "catalog")'
        text = "kind: backbone\nname: shared\naliases: [other]\ntype: eye\nwidth: " + version[0] + "\n"
        site.install(name, hook, version=version, files={"catalog/a.yaml": text})
    site.install_good()
    return Registry()


def test_two_documents_of_one_name_are_a_conflict_where_it_is_used(site: Site) -> None:
    made = install_same_documents(site)
    for name in ("shared", "other"):
        with pytest.raises(ConflictError) as caught:
            made.explain(name, kind="backbone")
        assert str(caught.value) == (
            f"several backbone documents answer to `{name}`: "
            f"one 1.1 (plugin `one`) in {site.folder}/one/catalog/a.yaml, "
            f"two 2.2 (plugin `two`) in {site.folder}/two/catalog/a.yaml; "
            f"write `one/{name}` or `two/{name}`"
        )
    assert made.load_spec("good_face").name == "good_face"


def test_a_document_is_chosen_by_its_distribution(site: Site, tmp_path: Path) -> None:
    made = install_same_documents(site)
    assert made.explain("two/shared", kind="backbone").spec.model_dump()["width"] == 2
    for chosen, width in (("one/shared", 1), ("two/other", 2)):
        spec = made.load_spec(document(tmp_path, FACE.replace("{type: eye}", chosen)))
        assert spec.backbone.model_dump()["width"] == width


def test_a_conflict_between_installed_documents_is_found_by_validating_the_catalog(site: Site) -> None:
    made = install_same_documents(site)
    assert [(d.rule, str(d.span)) for d in made.validate()] == [
        ("REG110", f"{site.folder}/{name}/catalog/a.yaml:{place}")
        for name in ("one", "two")
        for place in ("2:7", "3:11")  # the name, and the alias
    ]


def test_a_document_named_like_its_type_is_chosen_by_its_distribution(site: Site, tmp_path: Path) -> None:
    """`one/eye` is a document and a type here; the document wins, as it does for the bare name."""
    files = {"catalog/a.yaml": "kind: backbone\nname: eye\ntype: eye\nwidth: 5\n"}
    hook = 'register.backbone("eye", spec="one.specs:Eye", target="one.parts:eye")\nregister.catalog("one", "catalog")'
    site.install("one", hook, files=files)
    site.install("rest", "\n".join([
        'register.head("mouth", spec="rest.specs:Mouth", target="rest.parts:mouth")',
        'register.task("speaking", spec="rest.specs:Speaking", target="rest.parts:speaking")',
    ]))  # fmt: skip
    made = Registry()
    for reference in ("eye", "one/eye"):
        spec = made.load_spec(document(tmp_path, FACE.replace("{type: eye}", reference)))
        assert spec.backbone.model_dump()["width"] == 5


def test_one_module_under_two_entry_points_is_no_conflict(site: Site) -> None:
    site.install_good(points={"good": "good.plugin", "again": "good.plugin"})
    site.install("third", points={"third": "good.plugin"})
    made = Registry()
    assert [(r.origin.plugin, r.state) for r in made.plugins[-3:]] == [
        ("again", "loaded"),
        ("good", "loaded"),
        ("third", "loaded"),
    ]
    assert made.load_spec("good_face").backbone.type == "eye"
    assert made.list_models("good*") == ["good_face"]


def test_two_modules_that_register_the_same_part_and_folder_are_no_conflict(site: Site) -> None:
    again = (
        HOOK + '    register.backbone("eye", spec="good.specs:Eye", target="good.parts:eye")\n'
        '    register.catalog("good", "catalog")\n'
    )
    site.install_good()
    site.install("again", source=again)
    made = Registry()
    assert_others_work(made)
    assert made.list_models("good*") == ["good_face"]


def test_two_lists_of_categories_of_one_name_are_a_conflict(site: Site) -> None:
    for name in ("one", "two"):
        site.install(name, 'register.categories("pets", "{package}", "pets.txt")', files={"pets.txt": "cat\n"})
    host = Registry().host
    with pytest.raises(ConflictError) as caught:
        host.categories_named("pets")
    assert str(caught.value) == (
        "several plugins provide the list of categories `pets`: one 1.0 (plugin `one`), two 1.0 (plugin `two`); "
        "write `one/pets` or `two/pets`"
    )
    assert host.categories_named("two/pets").file == site.folder / "two" / "pets.txt"


def test_an_unknown_type_is_told_with_the_nearest(site: Site) -> None:
    site.install_good()
    with pytest.raises(UnknownNameError) as caught:
        Registry().host.part("head", "moth")
    assert str(caught.value) == "unknown type of head `moth`; did you mean `mouth`?"


# ---- what the environment allows -------------------------------------------------------------------------------------

Env = Callable[[str, str], None]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Env:
    return monkeypatch.setenv


def states(made: Registry) -> dict[str, str]:
    return {r.origin.plugin: r.state for r in made.plugins if r.origin.distribution != "vision-registry"}


def install_three(site: Site) -> None:
    site.install("First-Dist", points={"a": "first_dist.plugin", "b": "first_dist.other"}, files={
        "other.py": HOOK + "    pass\n",
    })  # fmt: skip
    site.install("second", points={"c": "second.plugin"})


@pytest.mark.parametrize(
    ("allowed", "loaded"),
    [
        (None, "abc"),
        ("", ""),
        (" , ", ""),
        ("a", "a"),
        ("a,c", "ac"),
        (" a , second ", "ac"),
        ("first-dist", "ab"),
        ("First_Dist", "ab"),
        ("first-dist/b", "b"),
    ],
)
def test_only_allowed_plugins_are_loaded_beside_the_built_in_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch, allowed: str | None, loaded: str
) -> None:
    install_three(site)
    if allowed is not None:
        monkeypatch.setenv("REGISTRY_PLUGINS", allowed)
    made = Registry()
    assert states(made) == {name: "loaded" if name in loaded else "disabled" for name in "abc"}
    assert_built_in_plugins_work(made)


@pytest.mark.parametrize(
    ("blocked", "loaded"),
    [
        ("", "abc"),
        ("a", "bc"),
        ("a,second", "b"),
        ("first-dist", "c"),
        ("First_Dist", "c"),
        ("first-dist/a", "bc"),
        ("second/a", "abc"),
    ],
)
def test_blocked_plugins_are_not_loaded(site: Site, env: Env, blocked: str, loaded: str) -> None:
    install_three(site)
    env("REGISTRY_DISABLED_PLUGINS", blocked)
    assert states(Registry()) == {name: "loaded" if name in loaded else "disabled" for name in "abc"}


def test_blocking_wins_over_allowing(site: Site, env: Env) -> None:
    install_three(site)
    env("REGISTRY_PLUGINS", "a,c")
    env("REGISTRY_DISABLED_PLUGINS", "first-dist")
    assert states(Registry()) == {"a": "disabled", "b": "disabled", "c": "loaded"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REGISTRY_DISABLED_PLUGINS", "bad"), ("REGISTRY_DISABLED_PLUGINS", "the-point"), ("REGISTRY_PLUGINS", "good")],
)
def test_a_blocked_plugin_is_never_imported(site: Site, env: Env, variable: str, value: str) -> None:
    site.install_good()
    site.install("bad", source="import sys\nsys.exit(3)", points={"the-point": "bad.plugin"})
    env(variable, value)
    made = Registry()
    assert record(made, "the-point").state == "disabled"
    assert record(made, "the-point").error is None
    assert {"bad", "bad.plugin"} & set(sys.modules) == set()
    assert_others_work(made)


def test_a_blocked_plugin_does_not_fail_in_strict_mode(site: Site, env: Env) -> None:
    site.install("bad", source="raise RuntimeError('boom')")
    env("REGISTRY_STRICT_PLUGINS", "1")
    env("REGISTRY_DISABLED_PLUGINS", "bad")
    assert states(Registry()) == {"bad": "disabled"}


def test_a_built_in_plugin_can_be_blocked(site: Site, env: Env) -> None:
    name = built_in().plugins[0].origin.plugin
    env("REGISTRY_DISABLED_PLUGINS", name)
    assert record(Registry(), name).state == "disabled"


# ---- plugins given in Python -----------------------------------------------------------------------------------------


def local_plugin(type_name: str) -> ModuleType:
    @registry.hookimpl
    def registry_parts(register: Any) -> None:
        register.backbone(type_name, spec="somewhere:Spec", target="somewhere:build")

    module = ModuleType(f"local_{type_name}")
    module.registry_parts = registry_parts  # type: ignore[attr-defined]
    return module


def test_a_registry_of_given_plugins_knows_nothing_else(site: Site) -> None:
    site.install_good()
    made = Registry([local_plugin("eye")])
    assert [str(r.origin) for r in made.plugins] == ["local 0 (plugin `local_eye`)"]
    assert [part.type for part in made.host.parts] == ["eye"]
    assert made.list_models() == []
    assert Registry([]).plugins == ()


def test_a_plugin_may_be_any_object_with_hooks() -> None:
    class Plugin:
        @registry.hookimpl
        def registry_parts(self, register: Any) -> None:
            register.backbone("eye", spec="somewhere:Spec", target="somewhere:build")

    made = Registry([Plugin()])
    assert [str(part.origin) for part in made.host.parts] == ["local 0 (plugin `Plugin`)"]


def test_an_object_without_hooks_is_left_out() -> None:
    with pytest.warns(RegistryWarning) as caught:
        made = Registry([object(), local_plugin("eye")])
    assert str(caught[0].message) == (
        "plugin local 0 (plugin `object`) is left out: "
        "it implements no hook; mark a function called `registry_parts` with @registry.hookimpl"
    )
    assert [part.type for part in made.host.parts] == ["eye"]


def test_two_registries_do_not_share_plugins() -> None:
    first, second = Registry([local_plugin("eye")]), Registry([local_plugin("ear")])
    assert [part.type for part in first.host.parts] == ["eye"]
    assert [part.type for part in second.host.parts] == ["ear"]


def test_a_kind_without_types_says_that_no_plugin_brings_any() -> None:
    alone = Registry([importlib.import_module("registry_mobilenet.plugin")])
    with pytest.raises(UnknownNameError) as error:
        alone.host.spec_class("quantization", "int8")
    assert str(error.value) == "unknown type of quantization `int8`; no plugin brings a type of quantization"
