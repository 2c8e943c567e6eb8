"""Pages that explain rules: each wrong example shows its rule, each right one is right, and `registry rule` prints them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.errors import PluginError
from registry.host.rule_pages import RulePage, read_page
from registry.registry import Registry
from registry.rules import RULES

#: Built-in plugins only, and commands of this interpreter's environment.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")},
    "REGISTRY_PLUGINS": "",
    "COLUMNS": "200",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
}


def built_in() -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGISTRY_PLUGINS", "")
        patch.delenv("REGISTRY_DISABLED_PLUGINS", raising=False)
        return Registry()


PAGES = built_in().host.rule_pages


@pytest.fixture(scope="module")
def made() -> Registry:
    return built_in()


@pytest.fixture
def page(request: pytest.FixtureRequest) -> RulePage:
    return read_page(PAGES[request.param])


every_page = pytest.mark.parametrize("page", sorted(PAGES), indirect=True)
#: Those of deep checks, which import torch in a process of their own, last longer.
every_example = pytest.mark.parametrize(
    "page",
    [pytest.param(rule, marks=[pytest.mark.slow] * rule.startswith("REG3")) for rule in sorted(PAGES)],
    indirect=True,
)

# ---- which pages there are -------------------------------------------------------------------------------------------


def test_every_rule_of_the_core_has_a_page() -> None:
    assert sorted(set(RULES) - set(PAGES)) == []


@pytest.mark.parametrize("rule", sorted(set(PAGES) & set(RULES)))
def test_the_title_of_a_page_is_the_rules_own(rule: str) -> None:
    assert read_page(PAGES[rule]).title == RULES[rule]


@pytest.mark.parametrize("rule", sorted(set(PAGES) - set(RULES)))
def test_a_page_of_a_plugin_explains_a_rule_that_the_plugin_reports(rule: str) -> None:
    package = next(folder for folder in PAGES[rule].parents if folder.name.startswith("registry_"))
    assert package.name != "registry_handbook"
    assert any(f'"{rule}"' in path.read_text(encoding="utf-8") for path in package.rglob("*.py"))


def test_no_two_plugins_explain_one_rule() -> None:
    folders = [record.folder for plugin in built_in().plugins for record in plugin.contribution.rules]
    pages = [page.stem for folder in folders for page in folder.glob("*.md")]
    assert sorted(pages) == sorted(set(pages))


@every_page
def test_a_page_is_short_and_has_no_more_than_its_parts(page: RulePage) -> None:
    lines = page.markdown.splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## Wrong", "## Right"]
    assert sum(line.startswith("```") for line in lines) == 4
    assert page.text
    assert {page.wrong[0], page.right[0]} <= {"yaml", "sh"}


# ---- their examples --------------------------------------------------------------------------------------------------


def reported(made: Registry, example: tuple[str, str]) -> tuple[int, str]:
    """Whether an example in the working folder fails, and what is said of it.

    A document is checked without being built; a page whose rule needs more, such as `registry validate --deep`, says so in a
    command.
    """
    language, content = example
    if language == "yaml":
        Path("example.yaml").write_text(content, encoding="utf-8")
        found = made.validate("example.yaml")
        return len(found), "\n".join(map(str, found))
    done = subprocess.run(
        ["bash", "-e", "-c", content], env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@every_example
@pytest.mark.usefixtures("_in_an_empty_folder")
def test_the_wrong_example_is_reported_as_this_rule(made: Registry, page: RulePage) -> None:
    code, text = reported(made, page.wrong)
    assert code, text
    assert page.id in text
    assert "Traceback" not in text


@every_example
@pytest.mark.usefixtures("_in_an_empty_folder")
def test_nothing_is_said_of_the_right_example(made: Registry, page: RulePage) -> None:
    code, text = reported(made, page.right)
    assert code == 0, text
    assert not [line for line in text.splitlines() if any(word in line for word in ("error:", "warning:", "note:"))]


# ---- reading a page --------------------------------------------------------------------------------------------------

WHOLE = """# ABC1: a title

What it
means.

## Wrong

```yaml
a: 1
```

## Right

As it should be:

```sh
echo right
```
"""


def write(folder: Path, markdown: str, name: str = "ABC1.md") -> Path:
    path = folder / name
    path.write_text(markdown, encoding="utf-8")
    return path


def test_a_page_is_read_into_its_parts(tmp_path: Path) -> None:
    page = read_page(write(tmp_path, WHOLE))
    assert (page.id, page.title, page.text) == ("ABC1", "a title", "What it\nmeans.")
    assert (page.wrong, page.right) == (("yaml", "a: 1\n"), ("sh", "echo right\n"))
    assert page.markdown == WHOLE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# ABC1: a title\n", ""),
        ("# ABC1: a title", "# A title"),
        ("# ABC1: a title", "## ABC1: a title"),
        ("# ABC1: a title", "# ABC2: a title"),
        ("# ABC1: a title", "# ABC1:"),
        ("## Wrong", "## Bad"),
        ("## Right", "### Right"),
        ("```yaml\na: 1\n```", "a: 1"),
        ("```sh\necho right\n```", "echo right"),
        (WHOLE, ""),
    ],
)
def test_a_page_that_lacks_a_part_is_refused_with_what_it_needs(tmp_path: Path, old: str, new: str) -> None:
    path = write(tmp_path, WHOLE.replace(old, new))
    with pytest.raises(PluginError) as caught:
        read_page(path)
    assert str(caught.value) == f"{path} is no page of a rule: `# ABC1: title`, `## Wrong`, `## Right`, a block each"


def test_a_page_under_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="`# ABC2: title`"):
        read_page(write(tmp_path, WHOLE, "ABC2.md"))


# ---- registry rule ---------------------------------------------------------------------------------------------------


def rule(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "registry.cli", "rule", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", check=False)


def titles() -> dict[str, str]:
    """Every rule, by its page or, for one that has none yet, as the core calls it."""
    return dict(sorted({**RULES, **{known: read_page(path).title for known, path in PAGES.items()}}.items()))


def test_without_an_id_every_rule_is_listed() -> None:
    done = rule()
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["RULE", "MEANING"]
    assert dict(row.split("  ", 1) for row in rows) == titles()


def test_the_list_as_json() -> None:
    done = rule("--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [{"rule": known, "title": title} for known, title in titles().items()]


@pytest.mark.parametrize(("asked", "known"), [("REG101", "REG101"), ("reg207", "REG207"), ("Reg003", "REG003")])
def test_a_rule_is_explained_by_its_page(asked: str, known: str) -> None:
    done = rule(asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PAGES[known].read_text(encoding="utf-8")


def test_a_rule_as_json() -> None:
    done = rule("reg004", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    page = read_page(PAGES["REG004"])
    assert json.loads(done.stdout) == {
        "rule": "REG004",
        "title": "a key stands twice in one mapping",
        "text": page.text,
        "wrong": page.wrong[1],
        "right": page.right[1],
    }


@pytest.mark.parametrize("output", ["text", "json"])
def test_an_unknown_rule_is_answered_with_the_nearest(output: str) -> None:
    done = rule("reg0101", "--format", output)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no rule `reg0101`; did you mean `REG101` or `REG")


def test_an_unknown_rule_that_nothing_resembles_is_answered_with_the_way_to_the_list() -> None:
    done = rule("unknown")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no rule `unknown`; list them with: registry rule\n"
