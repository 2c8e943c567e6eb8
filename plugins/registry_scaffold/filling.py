"""From templates to the files of a distribution.

A template is the file itself, with `.tmpl` after its name so that no tool takes it for a part of this project. It is written
for a plugin called `my-part`; these words, in texts and paths, are all that is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import registry
from registry_scaffold.naming import Names

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SUFFIX: Final = ".tmpl"
#: The document that each kind's template brings, less the name of the plugin, and whether it is a model.
_DOCUMENTS: Final = {
    "backbone": ("small", True),
    "head": ("small", True),
    "task": ("small", True),
    "dataset": ("small", False),
    "recipe": ("short", False),
    "quantization": ("4bit", False),
    "export": ("any_batch", False),
}


def filled(names: Names, kind: str) -> dict[str, str]:
    """The text of each file by its path from the distribution's folder, with `/`, sorted.

    Args:
        kind: of the part that the plugin brings, one of `registry.specs.PART_KINDS`.
    """
    words = {
        "my_part": names.package,
        "my-part": names.distribution,
        "MyPart": names.stem,
        "PART_KIND": kind,
        "THIS_VERSION": registry.__version__.partition("+")[0],
        "FIRST_LOOK": first_look(names, kind),
    }
    pattern = re.compile("|".join(words))

    def fill(text: str) -> str:
        return pattern.sub(lambda found: words[found[0]], text)

    found = [*_templates("common"), *_templates(kind)]
    return dict(sorted((fill(path), fill(file.read_text(encoding="utf-8"))) for path, file in found))


def first_look(names: Names, kind: str) -> str:
    """The command that shows what the plugin brings, once it is installed."""
    document, is_model = _DOCUMENTS[kind]
    name = f"{names.package}_{document}"
    return f"registry build {name} --check" if is_model else f"registry explain {name} --kind {kind}"


def tree(folder: str, paths: Iterable[str]) -> str:
    """Paths as an indented listing, each folder once and with `/` at its end."""
    lines = [f"{folder}/"]
    open_folders: list[str] = []
    for path in sorted(paths, key=lambda path: path.split("/")):
        *folders, file = path.split("/")
        shared = 0
        while folders[: shared + 1] == open_folders[: shared + 1] and shared < len(folders):
            shared += 1
        lines += [f"{'  ' * (depth + 1)}{name}/" for depth, name in enumerate(folders) if depth >= shared]
        lines.append(f"{'  ' * (len(folders) + 1)}{file}")
        open_folders = folders
    return "\n".join(lines)


def _templates(folder: str) -> Iterator[tuple[str, Path]]:
    root = _TEMPLATES / folder
    for file in root.rglob(f"*{_SUFFIX}"):
        yield file.relative_to(root).as_posix().removesuffix(_SUFFIX), file
