"""Rules about the code itself: what the core may name and import, how long a module is, that rules and names are kept."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import registry
from registry.host.rule_pages import read_page
from registry.registry import Registry
from registry.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "registry").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
HEAVY = {"torch", "torchvision", "PIL", "numpy"}
each_core_module = pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_tests_look_at_the_installed_package() -> None:
    assert Path(registry.__file__) == ROOT / "registry" / "__init__.py"
    assert len(CORE) > 40


# ---- the core names no part ------------------------------------------------------------------------------------------


@functools.cache
def installed() -> Registry:
    """The registry of the built-in plugins alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRY_PLUGINS", "")
        environment.delenv("REGISTRY_DISABLED_PLUGINS", raising=False)
        return Registry()


#: Models, families and data sets of this field, whether a built-in plugin brings them yet or not.
OF_THE_FIELD = {"mobilenet", "resnet", "faster_rcnn", "fasterrcnn", "rcnn", "lraspp", "deeplab", "fcn", "retinanet"}
OF_THE_FIELD |= {"ssd", "ssdlite", "imagenet", "coco", "pascal", "yolo", "vit", "efficientnet"}


#: Names of plugins, types and verbs that are words of everyday use too, and mean no part where the core has them.
EVERYDAY = {
    "data",
    "table",
    "training",
    "train",
    "evaluate",
    "recipes",
    "export",
    "torchscript",
    "quantization",
    "quantize",
}


def names_of_parts() -> set[str]:
    """Every part type, document, list of class names, and plugin with its package, of the built-in plugins."""
    host, catalog = installed().host, installed().library.catalog
    names = {part.type for part in host.parts}
    names |= {name for document in catalog.documents for name in document.names}
    names |= {record.name for record in host.categories}
    names |= {command.name for command in host.commands}
    names |= {record.origin.plugin for record in host.plugins}
    names |= {part.spec.partition(".")[0] for part in host.parts}
    return names - EVERYDAY


def words(text: str) -> set[str]:
    """Names in a text, in lower case: `MobileNetV3Spec` and `mobilenet-v3` are `mobilenetv3spec` and `mobilenet_v3`."""
    return set(re.findall(r"[a-z0-9_]+", text.lower().replace("-", "_")))


def named_in(text: str, names: set[str]) -> set[str]:
    """Which names a text uses: as a word, or, unless they are short, as the beginning of one."""
    found = words(text) | {word.removeprefix("registry_") for word in words(text)}
    return {
        name
        for name in names
        if any(word == name or word.startswith(name if len(name) > 5 else f"{name}_") for word in found)
    }


def test_the_names_of_the_parts_are_known_to_this_test() -> None:
    names = names_of_parts()
    assert {"classification", "mobilenet", "registry_mobilenet", "mobilenet_v3"} <= names
    assert named_in("the MobileNetV3Spec", {"mobilenet"}) == {"mobilenet"}
    assert named_in("import registry_mobilenet.specs", {"mobilenet"}) == {"mobilenet"}
    assert named_in("coco_labels and a `VIT`", {"coco", "vit"}) == {"coco", "vit"}
    assert named_in("a classifier, vital, demonstrated", {"classification", "vit", "demo"}) == set()


def without_docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every token, comments and docstrings left out."""
    docstrings: set[tuple[int, int]] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add((first.value.lineno, first.value.col_offset))
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type != tokenize.COMMENT and token.start not in docstrings:
                yield token.start[0], token.string


@each_core_module
def test_the_code_of_the_core_names_no_part(path: Path) -> None:
    names = names_of_parts() | OF_THE_FIELD
    found = [(line, name) for line, text in without_docstrings(path) for name in sorted(named_in(text, names))]
    assert found == []


@each_core_module
def test_docstrings_and_comments_of_the_core_name_no_part_either(path: Path) -> None:
    """A neutral example does as well, and stays true when a plugin is renamed."""
    names = names_of_parts() | OF_THE_FIELD
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [(number, name) for number, line in enumerate(lines, 1) for name in sorted(named_in(line, names))]
    assert found == []


# ---- imports ---------------------------------------------------------------------------------------------------------


def imported_at_once(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every import that importing the module runs."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from ((statement.lineno, alias.name.partition(".")[0]) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            yield statement.lineno, statement.module.partition(".")[0]
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from imported_at_once(statement.orelse)
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for name in ("body", "orelse", "finalbody"):
                yield from imported_at_once(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from imported_at_once(handler.body)


def test_the_walk_over_imports_sees_what_runs_and_nothing_else() -> None:
    code = (
        "import a\nfrom b.c import d\nfrom . import e\nif TYPE_CHECKING:\n    import torch\nelse:\n    import f\n"
        "try:\n    import g\nexcept ImportError:\n    import h\nclass C:\n    import i\n"
        "def function():\n    import torch\nwith x:\n    import j\n"
    )
    assert [name for _, name in imported_at_once(ast.parse(code).body)] == ["a", "b", "f", "g", "h", "i", "j"]


@each_core_module
def test_no_module_of_the_core_imports_torch_when_it_is_imported(path: Path) -> None:
    if path.parent == ROOT / "registry" / "modules":
        return  # torch modules for the parts of plugins, imported by these alone
    assert [(line, name) for line, name in imported_at_once(parsed(path).body) if name in HEAVY] == []


def test_specs_and_hooks_of_the_plugins_import_no_torch() -> None:
    """Every module that the host imports before something is built, with what it imports from its own package."""
    host = installed().host
    waiting = {part.spec.partition(":")[0] for part in host.parts}
    waiting |= {entry.name for entry in PLUGIN_MODULES}
    seen: set[str] = set()
    found: list[tuple[str, int, str]] = []
    while waiting:
        name = waiting.pop()
        seen.add(name)
        path = module_file(name)
        body = parsed(path).body
        found += [(name, line, package) for line, package in imported_at_once(body) if package in HEAVY]
        waiting |= {own for own in own_imports(body, name.partition(".")[0]) if own not in seen}
    assert found == []
    assert "registry_mobilenet.geometry" in seen  # imported by the specs, so it was looked at too


class PluginModule:
    """A module named `plugin` of a built-in package."""

    def __init__(self, path: Path) -> None:
        self.name = ".".join(path.relative_to(ROOT / "plugins").with_suffix("").parts)


PLUGIN_MODULES = [PluginModule(path) for path in PLUGINS if path.name == "plugin.py"]


def module_file(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin)


def own_imports(body: list[ast.stmt], package: str) -> Iterator[str]:
    """Modules of one package that a module imports at once."""
    for statement in body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == package:
            yield str(statement.module)
        elif isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names if alias.name.partition(".")[0] == package)


def test_the_contracts_of_imports_are_kept() -> None:
    """In a process of its own, as it shuts down the logging of the one that it runs in."""
    pytest.importorskip("importlinter.cli", reason="needs the extra `dev`")
    call = f"lint_imports(config_filename={str(ROOT / 'pyproject.toml')!r}, no_cache=True)"
    script = f"import sys; from importlinter.cli import lint_imports; sys.exit({call})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_cover_every_module_of_the_core_and_every_plugin() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = text[text.index("[tool.importlinter]") :]
    top = {path.stem if path.is_file() else path.name for path in (ROOT / "registry").iterdir()}
    top = {name for name in top if not name.startswith("_") and name != "py"}
    layers = set(re.findall(r"\bregistry\.(\w+)", contracts))
    assert top == layers
    packages = {path.relative_to(ROOT / "plugins").parts[0] for path in PLUGINS}
    assert packages == set(re.findall(r'"(registry_\w+)"', contracts))
    for package in packages:
        module = f"{package}.plugin" if (ROOT / "plugins" / package / "plugin.py").exists() else package
        assert f'"{module}"' in contracts
        assert f'"{package}.specs"' in contracts or not (ROOT / "plugins" / package / "specs.py").exists()


# ---- rules, names, sizes ---------------------------------------------------------------------------------------------


def rule_titles() -> dict[str, str]:
    """Every rule of the core and of the built-in plugins."""
    pages = installed().host.rule_pages
    return dict(sorted({**{rule: read_page(page).title for rule, page in pages.items()}, **RULES}.items()))


def test_every_rule_that_the_code_reports_is_known() -> None:
    texts = [text for path in (*CORE, *PLUGINS) if path.name != "rules.py" for _, text in without_docstrings(path)]
    used = set(re.findall(r"\bREG\d+\b", "\n".join(texts)))
    assert used <= set(rule_titles())
    assert set(RULES) <= used | set(
        re.findall(r"\bREG\d+\b", (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"))
    )


def test_the_documentation_lists_every_rule_with_its_sentence() -> None:
    text = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (REG\d+) \| (.*) \|$", text, flags=re.MULTILINE) == list(rule_titles().items())


@pytest.mark.parametrize("rule", rule_titles())
def test_a_rule_has_a_stable_id_and_a_sentence(rule: str) -> None:
    assert re.fullmatch(r"REG[01234]\d\d", rule)
    assert rule_titles()[rule]
    assert not rule_titles()[rule].endswith(".")


@pytest.mark.parametrize("name", [name for name in registry.__all__ if name != "__version__"])
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(registry, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert inspect.cleandoc(found.__doc__ or "")


@pytest.mark.parametrize("name", [name for name in registry.__all__ if inspect.isclass(getattr(registry, name))])
def test_every_public_method_is_documented(name: str) -> None:
    found = getattr(registry, name)
    methods = {
        key: value
        for key, value in vars(found).items()
        if not key.startswith(("_", "model_")) and (inspect.isfunction(value) or isinstance(value, property))
    }
    assert [key for key, value in methods.items() if not inspect.cleandoc(value.__doc__ or "")] == []


def test_the_public_names_are_sorted_and_each_once() -> None:
    assert sorted(set(registry.__all__)) == sorted(registry.__all__)
    assert set(registry.__all__) - {"__version__", "Predictor"} <= set(vars(registry))


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_a_docstring_and_fewer_than_300_lines(path: Path) -> None:
    assert ast.get_docstring(parsed(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) < 300


@each_core_module
def test_every_module_of_the_core_can_be_imported(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
