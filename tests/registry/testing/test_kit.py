"""What authors call: the test function, `check_part`, `run_checks`, and their arguments."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.errors import RegistryError, UnknownNameError
from registry.registry import Registry
from registry.testing import ConformanceError, check_part, conformance, run_checks
from registry.testing.check import CHECKS
from registry.testing.kit import Kit

Make = Callable[..., Registry]
HEAD = ("parts.py", "return self.fc(self.dropout(pooled))", "return self.fc(self.dropout(pooled)) / 0")


def name(made: Registry) -> str:
    return made.plugins[0].origin.plugin


def cases(test: Callable[..., None]) -> dict[str, object]:
    """The parameters of a test function by their ids."""
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    return {param.id: param.values[0] for param in mark.args[1]}


def test_the_test_function_has_a_readable_id_for_every_check(tiny: Make) -> None:
    test = conformance("local", registry=tiny())
    found = cases(test)
    assert "head-tiny_head-gradients_reach_every_parameter" in found
    assert "model-tiny_model-document_validates" in found
    assert "dataset-tiny_colours-document_validates" in found
    assert len(found) == len(set(found))


def test_the_test_function_passes_fails_and_skips(tiny: Make) -> None:
    skip = {"head-*-exports_as_declared": "the exporter is being mended"}
    test = conformance("local", registry=tiny(HEAD), skip=skip)
    found = cases(test)
    test(found["head-tiny_head-spec_is_frozen"])
    with pytest.raises(pytest.fail.Exception, match="values that are not finite"):
        test(found["head-tiny_head-forward_gives_what_the_task_reads"])
    with pytest.raises(pytest.skip.Exception, match="the exporter is being mended"):
        test(found["head-tiny_head-exports_as_declared"])


@pytest.mark.parametrize("plugin", ["locl", "nothing_like_it"])
def test_an_unknown_plugin_is_a_test_that_fails_and_says_so(tiny: Make, plugin: str) -> None:
    test = conformance(plugin, registry=tiny())
    with pytest.raises(pytest.fail.Exception, match=f"no plugin or distribution is called `{plugin}`"):
        test()


def test_a_plugin_that_failed_is_told_with_its_reason() -> None:
    with pytest.warns(UserWarning, match="is left out"):
        made = Registry(plugins=[object()])
    with pytest.raises(RegistryError, match="cannot be checked, as it failed: it implements no hook"):
        Kit(made, "object")


def test_one_part_is_checked_and_everything_that_failed_is_told(tiny: Make) -> None:
    check_part("head", "tiny_head", registry=tiny())
    with pytest.raises(ConformanceError) as caught:
        check_part("head", "tiny_head", registry=tiny(HEAD))
    failed = {outcome.check for outcome in caught.value.outcomes}
    assert {"forward_gives_what_the_task_reads", "training_gives_finite_losses"} <= failed
    assert all(f"head-tiny_head-{check}:\n" in str(caught.value) for check in failed)
    with pytest.raises(UnknownNameError, match="did you mean `tiny_head`"):
        check_part("head", "tiny_hed", registry=tiny())


def test_outcomes_come_one_after_the_other(tiny: Make) -> None:
    made = tiny()
    outcomes = run_checks(made, name(made))
    first = next(outcomes)
    assert (first.subject, first.check, first.state) == (f"plugin {name(made)}", "imports_without_torch", "passed")
    assert first.seconds > 0


def test_parts_are_looked_at_through_given_models_first(tiny: Make, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("kind: model\nname: mine\nextends: tiny_model\nhead: {pooling: max}\n", encoding="utf-8")
    made = tiny(("parts.py", "maps.amax((2, 3))", "maps.amax((2, 3)) / 0"))
    check_part("head", "tiny_head", registry=made)  # the plugin's own model pools by averages
    with pytest.raises(ConformanceError, match="model `mine`: 1 image of 64x64 pixels"):
        check_part("head", "tiny_head", registry=made, models=[file])


def test_a_given_model_makes_up_for_one_that_is_not_shipped(tiny: Make, tmp_path: Path) -> None:
    edits = [
        ("catalog/tiny.yaml", "kind: model\nname: tiny_model", "kind: recipe\nname: tiny_recipe"),
        ("catalog/tiny.yaml", "task: {type: tiny_task}\nbackbone: {type: tiny_backbone}\n", "type: tiny_recipe\n"),
        ("catalog/tiny.yaml", "head: {type: tiny_head, num_classes: 3}\n", ""),
        ("catalog/tiny.yaml", "figures: {parameters: 1491} # 3*8*9+8 + 2*8, 8*16*9+16 + 2*16, 16*3+3\n", ""),
    ]
    made = tiny(*edits)
    outcomes = {o.check: o for o in run_checks(made, name(made)) if o.subject == "head tiny_head"}
    assert outcomes["is_used_by_a_model"].state == "failed"
    assert outcomes["eval_mode_repeats"].state == "skipped"
    assert outcomes["eval_mode_repeats"].message == "no model uses it; see is_used_by_a_model"
    file = tmp_path / "mine.yaml"
    lines = ["kind: model", "name: mine", "task: {type: tiny_task}", "backbone: {type: tiny_backbone}"]
    file.write_text("\n".join([*lines, "head: {type: tiny_head, num_classes: 3}", ""]), encoding="utf-8")
    check_part("head", "tiny_head", registry=made, models=[file])


def test_variations_are_run_and_measured(tiny: Make) -> None:
    #: at a quarter of the width the backbone of the broken plugin has other channels than it says
    edit = ("parts.py", "width = int(8 * spec.width_mult)", "width = max(int(8 * spec.width_mult), 4)")
    made = tiny(edit)
    check_part("backbone", "tiny_backbone", registry=made)
    with pytest.raises(ConformanceError, match=r"with backbone.width_mult: 0.25: map `c1` is declared as 2x32x32"):
        check_part("backbone", "tiny_backbone", registry=made, variations=[{"backbone.width_mult": 0.25}])


def test_arguments_that_are_meant_for_nothing_are_refused(tiny: Make) -> None:
    made = tiny()
    with pytest.raises(RegistryError, match="no check is called `head-tiny_hed-spec_is_frozen`; did you mean"):
        Kit(made, "local", skip={"head-tiny_hed-spec_is_frozen": "why"})
    with pytest.raises(RegistryError, match=r"variations: no model takes \{'backbone.widht': 1\}"):
        Kit(made, "local", variations=[{"backbone.widht": 1}])


def test_without_torch_what_needs_it_is_skipped_with_the_extra(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny()
    for module in ("torch", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    outcomes = list(run_checks(made, name(made)))
    assert [o for o in outcomes if o.state == "failed"] == []
    by_check = {o.check: o for o in outcomes}
    assert by_check["document_validates"].state == "passed"
    assert by_check["imports_without_torch"].state == "passed"
    for check in (
        "feature_maps_are_as_declared",
        "gradients_reach_every_parameter",
        "splits_hold_pictures_with_targets",
    ):
        assert by_check[check].state == "skipped"
        assert by_check[check].message == (
            "this check needs the package `torch`; install it with: pip install 'vision-registry[torch]'"
        )


def test_importing_the_kit_and_its_pytest_plugin_imports_no_torch() -> None:
    code = (
        "import sys, registry.testing, registry_pytest\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'registry.testing.kit', 'registry.cli') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_data_set_whose_files_nobody_named_is_skipped_until_settings_name_them(tiny: Make) -> None:
    raised = (
        "        if spec.count == 4:\n            raise DataNotNamedError('say where')\n        self.count = spec.count"
    )
    made = tiny(
        ("parts.py", "        self.count = spec.count", raised),
        (
            "parts.py",
            "from registry.errors import RegistryError",
            "from registry.errors import DataNotNamedError, RegistryError",
        ),
    )
    check = "dataset-tiny_dataset-splits_hold_pictures_with_targets"
    for settings, state in (
        (None, "skipped"),
        ({"dataset-tiny_dataset": {"count": 2}}, "passed"),
        ({"dataset-tiny_dataset": {"count": 4}}, "failed"),
    ):
        kit = Kit(made, "local", settings=settings)
        [outcome] = [kit.run(case) for case in kit.cases if case.id == check]
        assert outcome.state == state
        if state == "skipped":
            assert outcome.message == "say where; pass settings={'dataset-tiny_dataset': {...}} to the kit"


def test_settings_are_what_a_part_is_tried_with(tiny: Make) -> None:
    needed = ("specs.py", 'description="Pictures of a split.")] = 4', 'description="Pictures of a split.")]')
    document = (
        "catalog/tiny.yaml",
        "---\nkind: dataset\nname: tiny_colours\nsummary: Plain colours\ntype: tiny_dataset\n",
        "",
    )
    made = tiny(needed, document)
    kit = Kit(made, "local")
    outcomes = {case.id: kit.run(case) for case in kit.cases}
    skipped = outcomes["dataset-tiny_dataset-splits_hold_pictures_with_targets"]
    assert skipped.state == "skipped"
    assert skipped.message.endswith("ship one, or pass settings={'dataset-tiny_dataset': {...}}")
    kit = Kit(made, "local", settings={"dataset-tiny_dataset": {"count": 2}})
    outcomes = {case.id: kit.run(case) for case in kit.cases}
    assert outcomes["dataset-tiny_dataset-splits_hold_pictures_with_targets"].state == "passed"
    with pytest.raises(
        RegistryError, match="settings of `dataset-tiny_dataset`: `count`: Input should be greater than"
    ):
        Kit(made, "local", settings={"dataset-tiny_dataset": {"count": 0}})
    with pytest.raises(RegistryError, match="no part is called `dataset-tiny`; did you mean `dataset-tiny_dataset`"):
        Kit(made, "local", settings={"dataset-tiny": {"count": 2}})


# ---- pytest ----------------------------------------------------------------------------------------------------------


def pytest_run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over one file, with the plugin that an installed distribution brings."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-v", "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_pytest_gains_fixtures_and_a_line_in_its_header(tmp_path: Path) -> None:
    text = """
import types
import registry

class Plugin:
    @registry.hookimpl
    def registry_parts(self, register):
        register.categories("some", "json", "decoder.py")

def test_isolated(isolated_registry):
    made = isolated_registry(Plugin())
    assert [record.state for record in made.plugins] == ["loaded"]
    assert [found.name for found in made.host.categories] == ["some"]

def test_one_thread(one_thread):
    import torch
    assert torch.get_num_threads() == 1
"""
    ended = pytest_run(tmp_path, text)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
    assert "registry: vision-registry " in ended.stdout


def test_three_lines_are_a_plugins_tests(tiny: Make, tmp_path: Path) -> None:
    made = tiny(HEAD)
    text = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import {name(made)} as plugin
from registry.registry import Registry
from registry.testing import conformance

test_conformance = conformance("local", registry=Registry(plugins=[plugin]))
"""
    ended = pytest_run(tmp_path, text)
    assert ended.returncode == 1
    assert "test_conformance[head-tiny_head-spec_is_frozen] PASSED" in ended.stdout
    assert "test_conformance[head-tiny_head-forward_gives_what_the_task_reads] FAILED" in ended.stdout
    assert "model `tiny_model`: 1 image of 64x64 pixels: `output` holds values that are not finite" in ended.stdout
    assert "Traceback" not in ended.stdout


# ---- the guide -------------------------------------------------------------------------------------------------------


def test_the_guide_lists_every_check_in_the_order_in_which_they_run() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (.+) \| `(\w+)` \| .+ \|$", text, flags=re.MULTILINE)
    assert [check for _, check in listed] == [check.name for check in CHECKS]
    kinds = {check: set(of.replace("model, backbone document", "measurable").split(", ")) for of, check in listed}
    words = {"part": "every part", "model": "model document"}
    assert kinds == {check.name: {words.get(group, group) for group in check.groups} for check in CHECKS}
