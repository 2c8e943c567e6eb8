"""The wheel, installed outside the repository: without torch it lists, explains and validates; with torch it builds."""

from __future__ import annotations

import json
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

pytestmark = pytest.mark.slow

Run = Callable[..., CompletedProcess[str]]


def test_the_wheel_holds_the_packages_and_no_folder_that_could_shadow_a_users(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {
        "registry",
        "registry_mobilenet",
        "registry_classification",
        "registry_demo",
        "registry_detection",
        "registry_segmentation",
        "registry_baselines",
        "registry_handbook",
        "registry_scaffold",
        "registry_pytest",
        "registry_recipes",
        "registry_data",
        "registry_training",
        "registry_tuning",
        "registry_export",
        "registry_benchmark",
        "registry_quantization",
    }
    assert "registry/py.typed" in names
    assert "registry_mobilenet/catalog/backbones.yaml" in names
    assert "registry_classification/categories/imagenet1k.txt" in names
    assert "registry_benchmark/suites/mobilenetv3.suite" in names


def test_without_torch_the_wheel_lists_shows_explains_and_validates(
    without_torch: Path, tmp_path: Path, run: Run
) -> None:
    assert run([without_torch / "python", "-c", "import torch"], tmp_path).returncode == 1
    listed = run([without_torch / "registry", "list", "--format", "json"], tmp_path)
    assert "mobilenet_v3_large" in {model["name"] for model in json.loads(listed.stdout)}
    for verb in (["show", "mobilenet_v3_small"], ["explain", "mobilenet_v3_large_075"], ["plugins"], ["--help"]):
        result = run([without_torch / "registry", *verb], tmp_path)
        assert (result.returncode, result.stderr) == (0, ""), verb
    assert run([without_torch / "registry", "validate"], tmp_path).stdout.endswith("no problems\n")
    (tmp_path / "m.yaml").write_text(
        "kind: model\nname: mine\nextends: mobilenet_v3_small\nhead: {num_clases: 5}\n", encoding="utf-8"
    )
    broken = run([without_torch / "registry", "validate", "m.yaml"], tmp_path)
    assert broken.returncode == 1
    assert broken.stdout == (
        "m.yaml:4:8: error: unknown key `num_clases` in `head` [REG101]\n"
        "4 | head: {num_clases: 5}\n"
        "  |        ^^^^^^^^^^\n"
        "  help: did you mean `num_classes`?\n\n"
        "1 file: 1 error\n"
    )


def test_building_without_torch_names_the_extra(without_torch: Path, tmp_path: Path, run: Run) -> None:
    result = run([without_torch / "registry", "build", "mobilenet_v3_small"], tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "error: building a model needs the package `torch`; install it with: pip install 'vision-registry[torch]'\n"
    )


def test_with_torch_the_wheel_builds(wheel: Path, tmp_path: Path, run: Run, must_run: Run) -> None:
    folder = tmp_path / "venv"
    # this environment's torch serves, read-only: the wheel itself comes first on the path
    venv.create(folder, with_pip=True)
    site = next(folder.glob("lib/python*/site-packages"))
    must_run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", wheel], tmp_path)
    import torch

    (site / "zz_torch.pth").write_text(str(Path(torch.__file__).parents[1]), encoding="utf-8")
    script = (
        "import registry, torch; print(registry.__file__); "
        "print(registry.build('mobilenet_v3_large')(torch.zeros(2, 3, 64, 64)).shape)"
    )
    result = run([folder / "bin/python", "-W", "ignore", "-c", script], tmp_path)
    assert result.returncode == 0, result.stderr
    place, shape = result.stdout.splitlines()
    assert place.startswith(str(site))
    assert shape == "torch.Size([2, 1000])"
