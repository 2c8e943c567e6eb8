"""Every check passes on a good plugin, and fails on one that breaks the promise it looks at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from registry.registry import Registry
from registry.testing import Outcome
from registry.testing.check import CHECKS
from registry.testing.kit import Kit

Make = Callable[..., Registry]
TINY = "catalog/tiny.yaml"


def ran(made: Registry, case_id: str) -> Outcome:
    """One check of the only plugin of a registry."""
    (record,) = made.plugins
    kit = Kit(made, record.origin.plugin)
    (case,) = [c for c in kit.cases if c.id == case_id or (c.check.name == case_id and "plugin" in c.subject.groups)]
    return kit.run(case)


def test_every_check_of_a_good_plugin_passes(tiny: Make) -> None:
    made = tiny()
    kit = Kit(made, made.plugins[0].origin.plugin)
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    outcomes = [kit.run(case) for case in kit.cases]
    assert [(o.id, o.state, o.message) for o in outcomes if o.state != "passed"] == []
    assert {o.check for o in outcomes} == {check.name for check in CHECKS}
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_results_of_single_images_are_not_taken_for_a_batch(tiny: Make) -> None:
    """Two things found in the first image and one in the second are no batch of two."""
    first, second = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))[:, 0, 0, 0].tolist()
    middle, more = (first + second) / 2, "<" if first < second else ">"  # the first pixel tells the two images apart
    rows = f"[self.fc(p).expand(1 + int(i[0, 0, 0] {more} {middle}), -1) for p, i in zip(pooled, images, strict=True)]"
    made = tiny(("parts.py", LAST, f"return self.fc(pooled) if self.training else {rows}"))
    outcome = ran(made, "head-tiny_head-eval_mode_repeats")
    assert (outcome.state, outcome.message) == ("passed", "")


def test_every_check_says_what_it_proves_and_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]
    assert sorted(set(names)) == sorted(names)
    assert all(check.proves.endswith(".") and check.groups for check in CHECKS)


def test_every_check_is_broken_by_some_row() -> None:
    broken = {case.values[0].rpartition("-")[2] for case in BROKEN}
    assert broken == {check.name for check in CHECKS}


def broken(case: str, file: str, old: str, new: str, *told: str, name: str = "") -> object:
    return pytest.param(case, file, old, new, told, id=f"{case}{name and '-'}{name}")


LAST = "return self.fc(self.dropout(pooled))"
BROKEN = [
    # ---- specs
    broken(
        "imports_without_torch",
        "specs.py",
        "from pydantic import Field",
        "import torch\nfrom pydantic import Field",
        "specs` cannot be imported without torch: ModuleNotFoundError: No module named 'torch' at ",
        "specs.py:7; import it inside the functions that need it",  # the seventh line of the file
    ),
    broken(
        "imports_without_torch",
        "plugin.py",
        "    register.task(",
        "    import torch\n\n    register.task(",
        "plugin` or its hook registry_parts cannot run without torch: ModuleNotFoundError: No module named 'torch' at ",
        name="hook",
    ),
    broken(
        "imports_without_torch",
        "specs.py",
        "        width = int(8 * self.width_mult)",
        "        import torch\n\n        width = int(8 * self.width_mult)",
        "feature_maps() and check() of `tiny",
        "specs:TinyBackboneSpec` cannot run without torch",
        name="maps",
    ),
    broken(
        "task-tiny_task-unknown_keys_are_refused",
        "specs.py",
        '    """How pictures are read."""\n',
        '    """How pictures are read."""\n\n'
        "    @__import__('pydantic').model_validator(mode='before')\n"
        "    @classmethod\n"
        "    def _forgiving(cls, data):\n"
        "        return {key: data[key] for key in data if key == 'side'} if isinstance(data, dict) else data\n",
        "`picture` takes the unknown key `no_such_setting`",
    ),
    broken(
        "task-tiny_task-unknown_keys_are_refused",
        "specs.py",
        '    """How pictures are read."""\n',
        '    """How pictures are read."""\n\n    model_config = {"extra": "ignore"}\n',
        "the class PictureSpec allow unknown keys",
        name="class",
    ),
    broken(
        "task-tiny_task-spec_is_frozen",
        "specs.py",
        '    """How pictures are read."""\n',
        '    """How pictures are read."""\n\n    model_config = {"frozen": False}\n',
        "`picture.side` can be set after validation; write frozen=True",
    ),
    broken(
        "task-tiny_task-fields_are_described",
        "specs.py",
        ', description="Pixels of a side."',
        "",
        "`PictureSpec.side` has no description",
    ),
    broken(
        "recipe-tiny_recipe-spec_is_frozen",
        "specs.py",
        '    steps: Annotated[int, Field(ge=1, description="How many.")] = 10',
        '    steps: Annotated[list[int], Field(description="How many.")] = [10]',
        "`steps` holds a list, which can be changed in place; annotate it registry.specs.Listed[...]",
        name="list",
    ),
    broken(
        "head-tiny_head-spec_survives_yaml_and_json",
        "specs.py",
        "    dropout: Annotated[float, Field(",
        "    dropout: Annotated[float, __import__('pydantic').PlainSerializer(lambda value: value / 2), Field(",
        "its JSON reads back as another spec: `dropout` was 0.1 and is 0.05",
        "its YAML reads back as another spec",
    ),
    broken(
        "head-tiny_head-serves_a_task_that_is_there",
        "specs.py",
        'suffix: ClassVar[str] = ".tiny"',
        'suffix: ClassVar[str] = ".tiny"\n\n\nTinyHeadSpec.task = "tinny_task"',
        "TinyHeadSpec says `tinny_task` in `task`, which no plugin brings; tasks: `tiny_task`",
    ),
    broken(
        "recipe-tiny_recipe-serves_a_task_that_is_there",
        "specs.py",
        '("tiny_task",)',
        '("tinny_task",)',
        "TinyRecipeSpec says `tinny_task` in `task`",
    ),
    broken(
        "head-unused-is_used_by_a_model",
        "plugin.py",
        "    register.catalog(",
        '    register.head("unused", spec="tiny.specs:TinyHeadSpec", target="tiny.parts:head")\n    register.catalog(',
        "no valid model document uses the head `unused`",
        "ship one in the plugin's catalog, or pass models=[...]",
    ),
    broken(
        "head-tiny_head-wrong_values_are_told_at_their_key",
        "specs.py",
        "    dropout: Annotated[float, Field(",
        "    dropout: Annotated[float, __import__('pydantic').BeforeValidator(lambda v: 0.5 if v == 1 else v), Field(",
        "`dropout`: 1 is accepted; let the annotation of the field refuse it",
        name="accepted",
    ),
    broken(
        "backbone-tiny_backbone-wrong_values_are_told_at_their_key",
        "specs.py",
        "    def feature_maps(self)",
        "    @__import__('pydantic').model_validator(mode='before')\n"
        "    @classmethod\n"
        "    def _early(cls, data):\n"
        "        if isinstance(data, dict) and not isinstance(data.get('width_mult', 1.0), (int, float)):\n"
        "            raise ValueError('something is wrong')\n"
        "        return data\n\n"
        "    def feature_maps(self)",
        "`width_mult`: 'no-such-value' is told elsewhere",
        name="elsewhere",
    ),
    # ---- documents
    broken("catalog_is_read_whole", TINY, "kind: dataset", "kind: datset", "unknown kind of document `datset`"),
    broken(
        "catalog_is_read_whole",
        TINY,
        "kind: dataset\nname: tiny_colours\nsummary: Plain colours\ntype: tiny_dataset\n",
        "kind: model\nname: tiny_model\nextends: tiny_model\n",
        "[REG110]",
        name="taken",
    ),
    broken(
        "model-tiny_model-document_validates",
        TINY,
        "head: {",
        "default_weights: best\nhead: {",
        "no weights are called `best`",
        "[REG206]",
    ),
    broken(
        "model-tiny_model-document_measures_as_declared",
        TINY,
        "parameters: 1491",
        "parameters: 1490",
        "1,490 parameters are declared, and the model has 1,491",
    ),
    # ---- backbones
    broken(
        "backbone-tiny_backbone-feature_maps_are_as_declared",
        "specs.py",
        "channels=2 * width",
        "channels=3 * width",
        # stride 4 of 64 pixels
        "map `c2` is declared as 24x16x16 for 64x64 pixels and is 16x16x16",
        name="channels",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_are_as_declared",
        "parts.py",
        "stride=2, padding=1",
        "stride=2, padding=0",
        "map `c1` is declared as 8x32x32 for 64x64 pixels and is 8x31x31",
        name="padding",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_are_as_declared",
        "parts.py",
        "nn.Conv2d(before, after, 3, stride=2, padding=1)",
        "nn.Conv2d(before, after, 2, stride=2)",
        # a 2x2 kernel rounds down: 97 / 2 is 48, where rounded up it would be 49
        "map `c1` is declared as 8x49x66 for 97x131 pixels and is 8x48x65",
        name="odd",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_follow_the_settings",
        "parts.py",
        "layer(spec.in_channels, width)",
        "layer(3, width)",
        "with in_channels: 1: a forward on 64x64 pixels failed",
        "with in_channels: 4",
        name="channels",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_follow_the_settings",
        "parts.py",
        "    width = int(8 * spec.width_mult)",
        "    width = 8",
        "with width_mult: 0.5: map `c1` is declared as 4x32x32 for 64x64 pixels and is 8x32x32",
        name="width",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_are_as_declared",
        "parts.py",
        "class Model(nn.Module)",
        "class Stride(nn.Module):\n    def forward(self, x):\n        return x[..., ::2, ::2] if self.training else x\n\n\n"
        "_plain = backbone\n\n\ndef backbone(spec):\n    made = _plain(spec)\n"
        "    made.body.append(Stride())\n    return made\n\n\n"
        "class Model(nn.Module)",
        "map `c2` is declared as 16x16x16 for 64x64 pixels and is 16x8x8 in training mode",
        name="training",
    ),
    broken(
        "backbone-tiny_backbone-feature_maps_are_as_declared",
        "parts.py",
        "class Model(nn.Module)",
        "class Square(nn.Module):\n    def forward(self, x):\n        return F.adaptive_avg_pool2d(x, x.shape[-2])\n\n\n"
        "_plain = backbone\n\n\ndef backbone(spec):\n    made = _plain(spec)\n"
        "    made.body.append(Square())\n    return made\n\n\n"
        "class Model(nn.Module)",
        "map `c2` is declared as 16x24x40 for 96x160 pixels and is 16x24x24",
        name="square",
    ),
    # ---- forward and training
    broken(
        "head-tiny_head-forward_gives_what_the_task_reads",
        "parts.py",
        LAST,
        LAST + " / 0",
        "model `tiny_model`: 1 image of 64x64 pixels: `output` holds values that are not finite",
    ),
    broken(
        "model-tiny_model-forward_gives_what_the_task_reads",
        "parts.py",
        LAST,
        LAST + "[:, :2]",
        "2 images of 97x71 pixels: logits of shape (2, 2)",
        name="shape",
    ),
    broken(
        "head-tiny_head-eval_mode_repeats",
        "parts.py",
        LAST,
        "return self.fc(F.dropout(pooled, 0.5))",
        "two runs in eval mode differ: output differs by up to ",
    ),
    broken(
        "head-tiny_head-eval_mode_repeats",
        "parts.py",
        LAST,
        "return self.fc(pooled - pooled.mean(0))",
        "in eval mode an image's output depends on the images beside it",
        name="batch",
    ),
    broken(
        "head-tiny_head-eval_mode_repeats",
        "parts.py",
        LAST,
        "return self.fc(pooled[:1].expand_as(pooled))",
        "in eval mode an image's output depends on the images beside it",
        name="second",
    ),
    broken(
        "head-tiny_head-forward_gives_what_the_task_reads",
        "parts.py",
        LAST,
        LAST + ".double()",
        "1 image of 64x64 pixels: `output` is torch.float64; give float32 of float32 images",
        name="double",
    ),
    broken(
        "head-tiny_head-eval_mode_leaves_no_trace",
        "parts.py",
        LAST,
        "torch.rand(1)\n        images.clamp_(-0.5, 0.5)\n        self.body.stem[1].running_mean += 0\n        "
        "self.body.stem[1].running_var *= 2\n        " + LAST,
        "a run in eval mode draws random numbers",
        "a run in eval mode changes `images`",
        "a run in eval mode changes `model.body.stem.1.running_var`; change buffers where",
    ),
    broken(
        "head-tiny_head-eval_mode_leaves_no_trace",
        "parts.py",
        LAST,
        "found = self.fc(pooled)\n        if self.training:\n            return found\n"
        "        self.kept = getattr(self, 'kept', torch.empty_like(found))\n        return self.kept.copy_(found)",
        "the next run changes `output` of the one before; return a new tensor",
        name="output",
    ),
    broken(
        "head-tiny_head-eval_mode_leaves_no_trace",
        "parts.py",
        LAST,
        "found = " + LAST.partition(" ")[2] + "\n        self.train()\n        return found",
        "a run leaves the model in training mode",
        name="mode",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model(inputs), targets).detach() / 0}",
        "training on 2 images of 64x64 pixels: the loss `cross_entropy` is inf; it must be one finite number",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model(inputs), targets).detach()}",
        "the loss `cross_entropy` depends on no parameter; was it detached?",
        name="detached",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        LAST,
        "if self.training and len(images) == 1:\n            raise ValueError('one value')\n        " + LAST,
        "training on 1 image of 64x64 pixels failed: ValueError: one value; raise a RegistryError that says so",
        name="one",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "targets, head, recipe=None)",
        "targets, head)",
        "got an unexpected keyword argument 'recipe'",
        name="recipe",
    ),
    broken(
        "task-tiny_task-example_is_as_asked",
        "parts.py",
        "*size), generator=generator)",
        "*size))",
        "Task.example gives another batch for a generator of the same state; draw everything from `generator`",
        "Task.example draws from torch's global generator",
    ),
    broken(
        "task-tiny_task-example_is_as_asked",
        "parts.py",
        "torch.randn((count, spec.backbone.in_channels, *size)",
        "torch.randn((2, spec.backbone.in_channels, *size[::-1])",
        "Task.example gives 2 images where it was asked for 1",
        "gives images of shape [(2, 3, 71, 97)] where it was asked for 97x71 pixels",
        name="size",
    ),
    broken(
        "task-tiny_task-example_is_as_asked",
        "parts.py",
        "images = torch.randn((count, spec.backbone.in_channels, *size), generator=generator)",
        "images = torch.zeros((count, spec.backbone.in_channels, *size))",
        "Task.example gives the same images for generators of different states",
        name="constant",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model(inputs), targets).item()}",
        "the loss `cross_entropy` is a float; it must be a tensor of one number",
        name="number",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        LAST,
        "images.mul_(0.5 if self.training else 1)\n        " + LAST,
        "training on 2 images of 64x64 pixels changes `inputs`; work on copies",
        name="images",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model(inputs), targets.zero_())}",
        "changes `targets`; work on copies",
        name="targets",
    ),
    broken(
        "task-tiny_task-training_gives_finite_losses",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model.eval()(inputs), targets)}",
        "leaves the model in eval mode; Task.losses must leave the mode alone",
        name="mode",
    ),
    broken(
        "task-tiny_task-losses_follow_images_and_targets",
        "parts.py",
        "F.cross_entropy(model(inputs), targets)}",
        "F.cross_entropy(model(inputs), targets * 0)}",
        "the losses are the same whatever the targets are",
    ),
    broken(
        "head-tiny_head-losses_follow_images_and_targets",
        "parts.py",
        LAST,
        "return self.fc(self.dropout(pooled * 0))",
        "the losses are the same whatever the images are",
        name="images",
    ),
    broken(
        "head-tiny_head-classes_follow_the_settings",
        "parts.py",
        "nn.Linear(channels, spec.num_classes)",
        "nn.Linear(channels, 3)",
        "with num_classes: 5: logits of shape (2, 3); build the last layers for spec.num_classes",
    ),
    broken(
        "head-tiny_head-options_become_settings",
        "specs.py",
        '    pooling: Annotated[Literal["average", "max"]',
        "    def settings_for(self, option, value):\n"
        "        return {'score': {'treshold': value}, 'top': {'dropout': value}}.get(option) or {}[option]\n\n"
        '    pooling: Annotated[Literal["average", "max"]',
        "TinyHeadSpec.settings_for('score', 0.5) gives `treshold`, which is no setting of it",
        "TinyHeadSpec.settings_for('top', 1) gives {'dropout': 1}, which the model refuses",
        "TinyHeadSpec.settings_for('size', 64) failed: KeyError",
    ),
    # ---- results
    broken(
        "task-tiny_task-results_are_read_shown_and_drawn",
        "parts.py",
        'return {"class": result}',
        'return {"class": torch.tensor(result)}',
        "as_data gives something that JSON cannot hold: Object of type Tensor is not JSON serializable",
    ),
    broken(
        "task-tiny_task-results_are_read_shown_and_drawn",
        "parts.py",
        "output.argmax(1).tolist()",
        "output.argmax(1).tolist()[:1]",
        "postprocess gives 1 results for 2 pictures",
        name="count",
    ),
    broken(
        "task-tiny_task-results_are_read_shown_and_drawn",
        "parts.py",
        "return image.copy()",
        "image.putpixel((0, 0), (255, 0, 0))\n        return image",
        "draw changes the picture that it is given; draw on picture.copy()",
        name="picture",
    ),
    broken(
        "task-tiny_task-results_are_read_shown_and_drawn",
        "parts.py",
        "return image.copy()",
        "return Image.composite(image, image, Image.new('L', (image.height, image.width)))",
        "ValueError: images do not match",
        name="swapped",
    ),
    broken(
        "task-tiny_task-pictures_become_inputs",
        "parts.py",
        "permute(2, 0, 1).float() / 255",
        "permute(2, 0, 1).float() / 255 + torch.rand(1)",
        "preprocess makes something else each time of a picture of 64x64 pixels",
        name="random",
    ),
    broken(
        "task-tiny_task-pictures_become_inputs",
        "parts.py",
        "side = self.spec.picture.side",
        "image.putpixel((0, 0), (255, 0, 0))\n        side = self.spec.picture.side",
        "preprocess changes a picture of 64x64 pixels; work on a copy",
        name="picture",
    ),
    broken(
        "task-tiny_task-metric_gives_finite_figures",
        "parts.py",
        "        self.right, self.total = 0, 0",
        "        self.__dict__ = self.__init__.__func__.__dict__\n        self.__dict__.setdefault('right', 0)\n"
        "        self.__dict__.setdefault('total', 0)",
        "a new Share knows what another one was given",
        name="shared",
    ),
    broken(
        "task-tiny_task-metric_gives_finite_figures",
        "parts.py",
        '        return {"right": self.right / self.total}',
        '        self.right, self.total = self.right, self.total + 1\n        return {"right": (self.right + 1) / self.total}',
        "Share.compute gives other figures when it is asked again",
        name="again",
    ),
    broken(
        "task-tiny_task-metric_gives_finite_figures",
        "parts.py",
        "        self.total += len(results)",
        "        self.total += len(results)\n        targets.fill_(7)",
        "Share.update changes the results or targets that it is given",
        name="targets",
    ),
    broken(
        "task-tiny_task-metric_counts_every_batch",
        "parts.py",
        "        self.right += sum(",
        "        self.right = sum(",
        "figures of Share depend on the order of two batches; add up in update, and divide in compute",
    ),
    broken(
        "task-tiny_task-pictures_become_inputs",
        "parts.py",
        "permute(2, 0, 1).float() / 255",
        "permute(2, 0, 1)",
        "preprocess makes torch.uint8 (3, 32, 32) of a picture of 64x64 pixels; it must be float32 (C, H, W)",
    ),
    broken(
        "task-tiny_task-metric_gives_finite_figures",
        "parts.py",
        'return {"right": self.right',
        'return {"wrong": self.right',
        "the headline `right` of Share is none of its figures: wrong",
    ),
    broken(
        "head-tiny_head-metric_gives_finite_figures",
        "parts.py",
        'raise RegistryError("no batch was added")',
        'return {"right": float("nan")}',
        "Share.compute gives figures of no batch; raise a RegistryError",
        name="empty",
    ),
    # ---- learning and state
    broken(
        "head-tiny_head-gradients_reach_every_parameter",
        "parts.py",
        "        self.dropout = ",
        "        self.spare = nn.Linear(2, 2)\n        self.dropout = ",
        "no gradient reaches `spare.weight`, `spare.bias`; use the module in forward, leave it out",
    ),
    broken(
        "head-tiny_head-state_dict_makes_models_equal",
        "parts.py",
        LAST,
        LAST.replace("pooled", "pooled * self.noise"),
        "models of one state dict differ: output differs by up to ",
    ),
    broken(
        "head-tiny_head-copies_are_equal_and_apart",
        "parts.py",
        "        self.dropout = ",
        "        self.hook = lambda: 1\n        self.dropout = ",
        "pickle of the model failed: ",
        "keep lambdas and open files out of modules",
    ),
    broken(
        "head-tiny_head-copies_are_equal_and_apart",
        "parts.py",
        "    def forward(self, images):",
        "    def __deepcopy__(self, memo):\n        return self\n\n    def forward(self, images):",
        "copy.deepcopy shares `body.stem.0.weight`",
        name="shared",
    ),
    # ---- building
    broken(
        "head-tiny_head-building_repeats_under_a_seed",
        "parts.py",
        "        self.dropout = ",
        "        generator = torch.Generator()\n        generator.seed()\n"
        "        self.start = nn.Parameter(torch.rand(3, generator=generator, device='cpu'))\n        self.dropout = ",
        "two builds under one seed differ in `start`; draw from torch's global generator only",
    ),
    broken(
        "head-tiny_head-building_without_drawing_leaves_the_generator",
        "parts.py",
        "        self.dropout = ",
        "        torch.rand(1, device='cpu')\n        self.dropout = ",
        "building on the meta device moves torch's generator",
    ),
    # ---- flags
    broken(
        "head-tiny_head-exports_as_declared",
        "parts.py",
        LAST,
        "return self.fc(pooled) if pooled.sum() > 0 else self.fc(-pooled)",
        "torch.export of the model failed: ",
        "write exportable: ClassVar[bool] = False in TinyHeadSpec",
    ),
    broken(
        "head-tiny_head-exports_as_declared",
        "parts.py",
        LAST,
        "return self.fc(pooled).view(int(images.numel() // 12288), -1) if images.shape[0] == 2 else self.fc(pooled)",
        "torch.export of the model failed: ",  # 12288 is 3 x 64 x 64
        name="batch",
    ),
    broken(
        "head-tiny_head-says_whether_the_image_decides",
        "specs.py",
        '    task: ClassVar[str] = "tiny_task"\n    dropout',
        '    task: ClassVar[str] = "tiny_task"\n    depends_on_image: ClassVar[bool] = True\n    dropout',
        "TinyHeadSpec says depends_on_image = True and the model has no fixed_forward(images)",
    ),
    broken(
        "head-tiny_head-says_whether_the_image_decides",
        "parts.py",
        LAST,
        "return self.fc(pooled) if pooled.sum() > 0 else self.fc(-pooled)",
        "a forward without values failed: ",
        "write depends_on_image: ClassVar[bool] = True in TinyHeadSpec",
        name="silent",
    ),
    # ---- data sets
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        "self.count = spec.count",
        'self.count = spec.count if split == "train" else 0',
        "the split `validation` is empty",
    ),
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        "        self.count = spec.count",
        "        raise RegistryError('no folder was given')",
        "the split `train` cannot be built: no folder was given; or pass settings={'dataset-tiny_dataset': {...}} to the kit",
        name="folder",
    ),
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        'Image.new("RGB", (20, 10), (index, 0, 0))',
        'Image.new("L", (20, 10))',
        "the picture of item 0 of `train` is L; give image.convert('RGB')",
        name="grey",
    ),
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        "(index, 0, 0)), index % 3",
        "(index, 0, 0)), int.from_bytes(os.urandom(8), 'big')",
        "item 0 of `train` is another one when asked again",
        name="random",
    ),
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        '        return Image.new("RGB", (20, 10)',
        '        self.count += 1\n        return Image.new("RGB", (20, 10)',
        "the length of `train` was 4 and is 7 after its items were read",  # the first, the third and the last
        name="length",
    ),
    broken(
        "dataset-tiny_dataset-splits_hold_pictures_with_targets",
        "parts.py",
        "self.count = spec.count",
        "self.count = spec.count\n        self.opened = lambda: 1",
        "the split `train` cannot be pickled, which loading in several processes needs",
        name="pickle",
    ),
    broken(
        "dataset-tiny_dataset-targets_train_a_model",
        "parts.py",
        "index % 3",
        "index",
        "`train`: item 3, model `tiny_model`: the label 3 is none of 0 to 2",
        name="last",
    ),
    broken(
        "dataset-tiny_dataset-targets_train_a_model",
        "parts.py",
        "index % 3",
        "-1 - index",
        "`train`: item 0, model `tiny_model`: IndexError: ",
        "is its target one of the task's?",
        name="negative",
    ),
    broken(
        "dataset-tiny_dataset-targets_train_a_model",
        "parts.py",
        "index % 3",
        "index + 3",
        "`train`: item 0, model `tiny_model`: the label 3 is none of 0 to 2",
    ),
    # ---- quantization and export
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "made = copy.deepcopy(model)",
        "made = model",
        "quantizing `tiny_model` changes the model itself: `body.stem.0.weight`",
        "quantize a copy",
    ),
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "    return made\n",
        "    return nn.Sequential(made, nn.Linear(3, 4))\n",
        "outputs of the quantized `tiny_model` are {'output': (2, 4)}, and the model's {'output': (2, 3)}",
        name="shape",
    ),
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "    made = copy.deepcopy(model)",
        "    return model\n    made = copy.deepcopy(model)",
        "quantizing `tiny_model` gives back the model itself; quantize a copy",
        name="itself",
    ),
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "    return made\n",
        "    made.fc = model.fc\n    return made\n",
        "the quantized `tiny_model` shares `fc.weight`, `fc.bias` with the model",
        name="shared",
    ),
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "        made(batch)\n",
        "        made(batch.mul_(2))\n        model.requires_grad_(False)\n",
        "quantizing `tiny_model` changes the model itself; quantize a copy",
        "quantizing `tiny_model` changes the batches that it is given",
        name="batches",
    ),
    broken(
        "quantization-tiny_quantization-quantized_model_works_and_is_apart",
        "parts.py",
        "    return made\n",
        "    made.hook = lambda: 1\n    return made\n",
        "the quantized `tiny_model` cannot be pickled",
        name="pickle",
    ),
    broken(
        "export-tiny_export-export_writes_one_whole_file",
        "parts.py",
        "    os.replace(temporary, path)",
        "    path.write_bytes(temporary.read_bytes())",
        "it leaves `model.part` beside its file",
    ),
    broken(
        "export-tiny_export-export_writes_one_whole_file",
        "parts.py",
        'raise RegistryError(f"there is no folder {path.parent}")',
        'path.parent.mkdir(parents=True)\n        raise RegistryError("no")',
        "where the folder is missing it fails and leaves `no`, `no/such`",
        name="folder",
    ),
    broken(
        "export-tiny_export-export_writes_one_whole_file",
        "parts.py",
        "    os.replace(temporary, path)",
        "    temporary.unlink()",
        "nothing stands at the path that it was given, `model.tiny`",
        name="nothing",
    ),
    broken(
        "export-tiny_export-export_writes_one_whole_file",
        "specs.py",
        'suffix: ClassVar[str] = ".tiny"',
        'suffix: ClassVar[str] = "tiny"',
        "TinyExportSpec.suffix is 'tiny'; write the suffix of its files with the dot",
        name="suffix",
    ),
    broken(
        "export-tiny_export-export_writes_one_whole_file",
        "parts.py",
        "    os.replace(temporary, path)",
        "    os.replace(temporary, path)\n    path.with_suffix('.json').write_text('{}')",
        "it leaves `model.json` beside its file",
        name="second",
    ),
]


@pytest.mark.parametrize(("case", "file", "old", "new", "told"), BROKEN)
def test_a_broken_part_fails_and_is_told_why(
    tiny: Make, case: str, file: str, old: str, new: str, told: tuple[str, ...]
) -> None:
    edits = [(file, old, new)]
    if "self.noise" in new:
        setup = "        self.dropout = "
        edits.append((file, setup, f"        self.noise = torch.rand(channels)\n{setup}"))
    outcome = ran(tiny(*edits), case)
    assert outcome.state == "failed", outcome.message
    for text in told:
        assert text in outcome.message
