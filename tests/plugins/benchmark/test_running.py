"""What a worker does in its process: building, running, counting. Here it answers in this one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_benchmark.opening import opened
from registry_benchmark.runs import Run
from registry_benchmark.subjects import Subject
from registry_benchmark.worker import Worker, serve
from registry_export.specs import TorchExportSpec
from torch import nn

import registry
from registry.artefacts import describe

DIGITS = "mobilenet_v3_digits_48"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def asked(*orders: dict[str, Any]) -> list[dict[str, Any]]:
    """A worker's answers to orders, each a line of JSON."""
    lines, answers = io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), io.StringIO()
    serve(lines, answers, Worker((), 1))
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_worker_builds_warms_runs_and_counts() -> None:
    subject = Subject("digits", DIGITS, batch=3)
    told, warm, turn, counted = asked(
        {"do": "load", "subject": subject.as_data()},
        {"do": "warm", "runs": 2},
        {"do": "turn", "prime": True},
        {"do": "tell"},
    )
    assert (told["name"], told["task"], told["image"], told["batch"]) == (DIGITS, "classification", [48, 48], 3)
    assert warm["seconds"] > 0
    assert turn["wall"] > 0
    parameters = sum(each.numel() for each in registry.build(DIGITS).parameters())
    assert counted["parameters"] == parameters
    assert counted["bytes"] > 4 * parameters
    assert counted["memory"] > 1_000_000


def test_orders_stop_at_stop_and_errors_are_answers() -> None:
    answers = asked({"do": "load", "subject": Subject("a", "nothing").as_data()}, {"do": "stop"}, {"do": "tell"})
    assert answers == [{"error": "unknown model `nothing`"}]


def test_multiply_adds_are_those_of_an_image_as_published() -> None:
    run = opened(Subject("a", "torchvision:mobilenet_v3_small", kind="torchvision", batch=2))
    assert isinstance(run, Run)
    assert run.inputs.shape == (2, 3, 224, 224)
    found = run.counted()
    assert found["parameters"] == 2_542_856
    assert found["macs"] == pytest.approx(0.0565e9, rel=0.01)


def test_random_weights_get_the_statistics_of_the_input() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=0.0)).eval()
    inputs = 50 * torch.randn(2, 3, 8, 8) + 7
    Run(Subject("a", "a"), module, inputs, task="", engine="").settle_norms()
    with torch.no_grad():
        made = module(inputs)
    assert made.mean((0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-4)
    assert made.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 4, abs=1e-4)
    assert not module.training


def test_norms_of_a_single_value_keep_their_statistics() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3)).eval()
    Run(Subject("a", "a"), module, torch.full((1, 3, 1, 1), 9.0), task="", engine="").settle_norms()
    assert module[0].running_mean.tolist() == [0, 0, 0]  # type: ignore[union-attr,operator]


def test_a_detector_tells_its_proposals_and_a_part_of_it_is_run_alone() -> None:
    subject = Subject("a", "fasterrcnn_mnv3_small_320_fpn", overrides=("head.rpn.post_nms_top_n_test=37",))
    whole = opened(subject)
    assert isinstance(whole, Run)
    found = whole.counted()
    assert found["proposals"] == 37
    assert found["detections"] is not None
    dense = opened(Subject("a", "fasterrcnn_mnv3_small_320_fpn", part="dense"))
    assert isinstance(dense, Run)
    assert [tuple(each.shape) for each in dense.arguments] == [(1, 3, 320, 320)]
    assert 0 < dense.counted()["macs"] < found["macs"]


def test_a_model_that_resizes_images_itself_follows_the_side() -> None:
    dense = opened(Subject("a", "fasterrcnn_mnv3_small_320_fpn", side=96, size=(96, 96), part="dense"))
    assert isinstance(dense, Run)
    assert [tuple(each.shape) for each in dense.arguments] == [(1, 3, 96, 96)]


@pytest.mark.slow
def test_an_artefact_is_counted_as_the_model_it_was_made_from(program: Path, small: Any) -> None:
    run = opened(Subject("a", str(program), kind="artefact", batch=2))
    assert isinstance(run, Run)
    assert run.told()["engine"].startswith("torch.export ")
    assert run.timed()[0] > 0
    found = run.counted()
    assert found["parameters"] == sum(each.numel() for each in small.parameters())
    assert found["bytes"] == program.stat().st_size


def test_what_is_published_of_a_float_model_is_not_told_of_its_integers() -> None:
    from dataclasses import replace

    run = opened(Subject("a", "mobilenet_v3_small", size=(64, 64)))
    assert isinstance(run, Run)
    assert run.counted()["published"]["acc@1"] == 67.668  # of torchvision's IMAGENET1K_V1
    artefact = describe(run.module, TorchExportSpec(), takes="batch", shape=(1, 3, 64, 64))
    run.artefact = artefact
    assert run.counted()["published"]["acc@1"] == 67.668
    run.artefact = replace(artefact, quantization={"type": "xnnpack"})
    assert run.counted()["published"] == {}


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        (Subject("a", DIGITS, part="dense"), "`a` is not made of parts; leave out --part dense"),
        (
            Subject("a", "fasterrcnn_mnv3_small_320_fpn", part="neck"),
            "`a` has no part `neck`; it has dense, box",
        ),
        (
            Subject("a", "torchvision:mobilenet_v3_smal", kind="torchvision"),
            "torchvision has no model `mobilenet_v3_smal`; did you mean `mobilenet_v3_small`",
        ),
        (Subject("a", DIGITS, device="warp"), "torch has no device `warp` here: "),
    ],
)
def test_what_cannot_be_run_is_told(subject: Subject, told: str) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        opened(subject)
    assert str(caught.value).startswith(told)


@pytest.mark.slow
def test_a_file_of_fixed_size_takes_no_other(program: Path) -> None:
    subject = Subject("a", str(program), kind="artefact", size=(64, 32))
    with pytest.raises(registry.RegistryError) as caught:
        opened(subject)
    assert str(caught.value) == (
        f"{program} takes images of 48x48 alone (height x width), not 64x32; export the model for that size"
    )


def test_a_model_that_fails_is_told() -> None:
    class Failing(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            raise ValueError("too\nmuch")

    run = Run(Subject("a", "a"), Failing(), torch.zeros(1, 3, 8, 8), task="", engine="")
    with pytest.raises(registry.RegistryError, match=r"^a run fails: ValueError: too much$"):
        run.timed()


def test_mixed_precision_and_channels_last_reach_the_model() -> None:
    seen: list[tuple[torch.dtype, bool]] = []

    class Seeing(nn.Conv2d):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            made = super().forward(inputs)
            seen.append((made.dtype, self.weight.is_contiguous(memory_format=torch.channels_last)))
            return made

    module = Seeing(4, 8, 3)
    subject = Subject("a", "a", precision="bfloat16", channels_last=True)
    run = Run(subject, module, torch.zeros(1, 4, 8, 8), task="", engine="")
    run.place()
    run.timed()
    assert seen == [(torch.bfloat16, True)]
    assert run.inputs.is_contiguous(memory_format=torch.channels_last)
