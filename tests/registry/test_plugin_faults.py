"""Plugins for other releases, plugins that import torch too early, and what is wrong with plugins that load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import registry.current
from registry.cli.group import cli
from registry.errors import ConflictError, PluginError, RegistryWarning
from registry.host.inspection import faults
from registry.registry import Registry

OWN = version("vision-registry")
SPECS = """
from typing import ClassVar, Literal
from registry.specs import HeadSpec

class MouthSpec(HeadSpec):
    type: Literal["{package}_mouth"] = "{package}_mouth"
    task: ClassVar[str] = "classification"
"""
PLUGIN = """
import registry

@registry.hookimpl
def registry_parts(register):
    register.head("{package}_mouth", spec="{package}.specs:MouthSpec", target="{package}.mouth:build")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS", "REGISTRY_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def install(folder: Path, package: str, *, needs: str = "", plugin: str = PLUGIN, specs: str = SPECS) -> None:
    files = {"__init__.py": "", "plugin.py": plugin, "specs.py": specs, "mouth.py": "def build(*_): pass"}
    for name, text in files.items():
        path = folder / package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("{package}", package))
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[registry]\n{package} = {package}.plugin\n")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{needs}\n\nRequires-Dist: x\n"
    )


def errors(made: Registry) -> dict[str, str | None]:
    return {
        record.origin.plugin: record.error for record in made.plugins if record.origin.distribution != "vision-registry"
    }


# ---- releases ----------------------------------------------------------------------------------------------------------

TOO_NEW = f"it needs vision-registry >=99, and {OWN} is installed; install a release that fits, or another release of "


@pytest.mark.parametrize(
    "needs",
    [
        "Requires-Dist: vision-registry>=99",
        "Requires-Dist: numpy\nRequires-Dist: Vision_Registry[torch] (>=99)",
        "Requires-Dist: vision-registry[torch] >=99 ; python_version > '3'",
    ],
)
def test_a_plugin_whose_distribution_needs_a_newer_release_is_left_out_before_it_is_imported(
    site: Path, needs: str
) -> None:
    install(site, "future", needs=needs, plugin="raise SystemExit('imported')")
    install(site, "present", needs=f"Requires-Dist: vision-registry[torch]>={OWN}")
    with pytest.warns(RegistryWarning, match=r"^plugin future 1\.0 \(plugin `future`\) is left out: it needs"):
        made = Registry()
    assert errors(made) == {"future": f"{TOO_NEW}future", "present": None}
    assert "future.plugin" not in sys.modules


@pytest.mark.parametrize(
    "needs",
    [
        "",
        "Requires-Dist: vision-registry",
        "Requires-Dist: vision-registry[torch]",
        "Requires-Dist: vision-registry-extras>=99",
        "Requires-Dist: vision-registry @ git+https://example.org/vision-registry",
        "Requires-Dist: vision-registry>=99 ; extra == 'next'",
    ],
)
def test_a_plugin_that_asks_for_no_release_is_loaded(site: Path, needs: str) -> None:
    install(site, "any", needs=needs)
    assert errors(Registry()) == {"any": None}


def test_a_plugin_may_say_in_its_module_which_release_it_needs(site: Path) -> None:
    install(site, "future", plugin='requires_registry = ">=99"\n' + PLUGIN)
    install(site, "unclear", plugin='requires_registry = "new"\n' + PLUGIN)
    install(site, "odd", plugin="requires_registry = 99\n" + PLUGIN)
    install(site, "present", plugin=f'requires_registry = ">={OWN},<99"\n' + PLUGIN)
    with pytest.warns(RegistryWarning):
        made = Registry()
    assert errors(made) == {
        "future": f"{TOO_NEW}future",
        "unclear": "requires_registry = 'new' is no version specifier; write for instance \">=0.1\"",
        "odd": 'requires_registry = 99 is no version specifier; write for instance ">=0.1"',
        "present": None,
    }
    assert [part.type for part in made.host.parts if part.origin.distribution != "vision-registry"] == ["present_mouth"]


@pytest.mark.parametrize("variable", ["REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS"])
def test_a_name_in_a_variable_that_nobody_has_is_told_with_the_nearest(
    site: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    install(site, "present")
    monkeypatch.setenv(variable, "presnt, present, present/present, vision_registry")
    with pytest.warns(RegistryWarning) as caught:
        Registry()
    assert [str(item.message) for item in caught] == [
        f"{variable} names `presnt`, and no plugin or distribution is called that; did you mean `present`?"
    ]


# ---- torch where it does not belong ------------------------------------------------------------------------------------


def run(site: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a fresh process, in which a small module takes torch's place."""
    (site / "torch.py").write_text("import time\ntime.sleep(0.05)\n")
    script = f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PATH": "", **environment}, check=False
    )


def test_a_plugin_module_that_imports_torch_is_named_with_the_time_it_cost(site: Path) -> None:
    install(site, "slow", plugin="import torch\n" + PLUGIN)
    install(site, "quick")
    code = "import registry\nr = registry.Registry()\nprint([(p.origin.plugin, p.state) for p in r.plugins[-2:]])"
    done = run(site, code)
    assert "[('quick', 'loaded'), ('slow', 'loaded')]" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "RegistryWarning" in line]
    assert "plugin slow 1.0 (plugin `slow`) slows every start: loading it imported torch and took 0." in line
    assert "import it in the modules of the targets" in line
    seconds = float(line.partition("took ")[2].partition(" s")[0])
    assert 0.05 <= seconds < 5
    strict = run(site, code, REGISTRY_STRICT_PLUGINS="1")
    assert strict.returncode == 1
    assert "PluginError: plugin slow 1.0 (plugin `slow`) slows every start: loading it imported torch" in strict.stderr


def test_a_spec_module_that_imports_torch_is_named_when_it_is_used(site: Path) -> None:
    install(site, "slow", specs="import torch\n" + SPECS)
    code = "import registry\nr = registry.Registry()\nprint('made')\nprint(r.host.spec_class('head', 'slow_mouth').__name__)"
    done = run(site, code)
    assert done.stdout.split() == ["made", "MouthSpec"]
    assert (
        "plugin slow 1.0 (plugin `slow`): the spec of the head `slow_mouth` imported torch and took 0." in done.stderr
    )
    strict = run(site, code, REGISTRY_STRICT_PLUGINS="1")
    assert strict.stdout.split() == ["made"]
    assert "PluginError: plugin slow 1.0" in strict.stderr


# ---- what is wrong with plugins that load --------------------------------------------------------------------------------


def faults_of(made: Registry, name: str) -> list[str]:
    return faults(made.host, next(record for record in made.plugins if record.origin.plugin == name))


def test_nothing_is_wrong_with_the_built_in_plugins_and_a_good_one(site: Path) -> None:
    install(site, "good")
    made = Registry()
    assert {
        record.origin.plugin: faults(made.host, record) for record in made.plugins if faults(made.host, record)
    } == {}
    assert "good.mouth" not in sys.modules


def test_specs_targets_and_initialisers_that_are_not_there_are_told(site: Path) -> None:
    hook = PLUGIN.replace("{package}.mouth:build", "{package}.throat:build")
    hook += '    register.head("b", spec="{package}.specs:B", target="nowhere.at.all:build", init="{package}:x")\n'
    install(site, "bad", plugin=hook)
    assert faults_of(Registry(), "bad") == [
        "the head `bad_mouth` has the target `bad.throat:build`, and there is no such module",
        "bad 1.0 (plugin `bad`) gives `bad.specs:B`, which cannot be used: AttributeError: module 'bad.specs' has no "
        "attribute 'B'",
        "the head `b` has the target `nowhere.at.all:build`, and there is no such module",
    ]


def test_types_that_two_plugins_provide_are_told_for_both(site: Path) -> None:
    same = SPECS.replace("{package}_mouth", "shared_mouth")
    hook = PLUGIN.replace('"{package}_mouth"', '"shared_mouth"')
    for name in ("one", "two"):
        install(site, name, plugin=hook, specs=same)
    made = Registry()
    for name, other in (("one", "two"), ("two", "one")):
        assert faults_of(made, name) == [
            f"the head `shared_mouth` is also provided by {other} 1.0 (plugin `{other}`); "
            f"write `{name}/shared_mouth` or `{other}/shared_mouth`"
        ]


def test_two_plugins_of_one_distribution_with_one_type_cannot_be_told_apart(site: Path) -> None:
    hook = PLUGIN.replace('"{package}_mouth"', '"shared_mouth"')
    install(site, "pair", plugin=hook, specs=SPECS.replace("{package}_mouth", "shared_mouth"))
    other = (site / "pair" / "plugin.py").read_text().replace("mouth:build", "mouth:build2")
    (site / "pair" / "second.py").write_text(other)
    (site / "pair-1.0.dist-info" / "entry_points.txt").write_text("[registry]\none = pair.plugin\ntwo = pair.second\n")
    made = Registry()
    hint = "the distribution `pair` has it twice: one of them must be renamed, or a plugin blocked"
    assert faults_of(made, "one") == [f"the head `shared_mouth` is also provided by pair 1.0 (plugin `two`); {hint}"]
    with pytest.raises(ConflictError, match=hint):
        made.host.part("head", "pair/shared_mouth")


# ---- the verb ------------------------------------------------------------------------------------------------------------

DOCUMENT = "kind: model\nname: shared_face\naliases: [{name}_face]\nextends: mobilenet_v3_small\n"


def shown(*arguments: str) -> Result:
    registry.current._registry.cache_clear()
    try:
        return CliRunner().invoke(cli, ["plugins", *arguments])
    finally:
        registry.current._registry.cache_clear()


@pytest.fixture
def everything_wrong(site: Path) -> Path:
    """One plugin in each state, and two with a document of one name."""
    install(site, "broken", plugin="raise RuntimeError('no')")
    install(site, "blocked")
    install(site, "lost", plugin=PLUGIN.replace("{package}.mouth:build", "{package}.throat:build"))
    for name in ("one", "two"):
        install(site, name, plugin=PLUGIN + '    register.catalog("{package}", "catalog")\n')
        (site / name / "catalog").mkdir()
        (site / name / "catalog" / "face.yaml").write_text(DOCUMENT.format(name=name))
    return site


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
def test_the_verb_shows_every_state_and_what_is_wrong(everything_wrong: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_DISABLED_PLUGINS", "blocked")
    data = {entry["name"]: entry for entry in json.loads(shown("--format", "json").stdout)}
    names = ("broken", "blocked", "lost", "one", "two")
    assert {name: data[name]["state"] for name in names} == {
        "broken": "failed",
        "blocked": "disabled",
        "lost": "loaded",
        "one": "loaded",
        "two": "loaded",
    }
    assert data["broken"]["problems"] == [data["broken"]["error"]] == ["RuntimeError: no"]
    assert data["blocked"]["problems"] == []
    assert data["lost"]["problems"] == [
        "the head `lost_mouth` has the target `lost.throat:build`, and there is no such module"
    ]
    file = everything_wrong / "two" / "catalog" / "face.yaml"
    assert data["one"]["problems"] == [
        f"the model document `shared_face` is also one of two 1.0 (plugin `two`) in {file}; "
        "write `one/shared_face` or `two/shared_face`"
    ]
    assert data["one"]["documents"] == ["model shared_face"]
    text = shown()
    assert text.exit_code == 0
    states = {line.split()[0]: line.split()[3] for line in text.stdout.splitlines() if len(line.split()) > 5}
    assert {name: states[name] for name in names} == {
        "broken": "failed",
        "blocked": "disabled",
        "lost": "faulty",
        "one": "faulty",
        "two": "faulty",
    }
    assert "\nbroken/broken\n  RuntimeError: no\n" in text.stdout
    assert "\nlost/lost\n  the head `lost_mouth` has the target" in text.stdout


def test_a_faulty_plugin_is_an_error_of_the_verb_in_strict_mode(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_STRICT_PLUGINS", "1")
    install(site, "good")
    assert shown().exit_code == 0
    install(site, "lost", plugin=PLUGIN.replace("{package}.mouth:build", "{package}.throat:build"))
    result = shown()
    assert result.exit_code == 1
    assert "there is no such module" in result.stdout


def test_the_reason_of_a_failure_is_among_them(site: Path) -> None:
    install(site, "bad", plugin="1 / 0")
    with pytest.warns(RegistryWarning):
        made = Registry()
    assert faults_of(made, "bad") == ["ZeroDivisionError: division by zero"]


def test_a_newer_plugin_is_an_error_in_strict_mode(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_STRICT_PLUGINS", "1")
    install(site, "future", needs="Requires-Dist: vision-registry>=99")
    with pytest.raises(
        PluginError, match=r"plugin future 1\.0 \(plugin `future`\) failed: it needs vision-registry >=99"
    ):
        Registry()
