"""Pages that explain rules: Markdown files in plugins, read when someone asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from registry.errors import PluginError
from registry.host.host import PluginHost
from registry.rules import RULES

_HEADING = re.compile(r"# ([A-Z]+[0-9]+): (.+)")
_FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class RulePage:
    """What a rule means.

    A page is Markdown: `# ID: title`, a text, `## Wrong` with one fenced block, `## Right` with another. A block is `yaml`
    for a document, or `sh` for a command that shows the mistake.

    Attributes:
        text: the explanation, without heading and examples.
        wrong, right: language and content of the examples.
    """

    id: str
    title: str
    text: str
    wrong: tuple[str, str]
    right: tuple[str, str]
    markdown: str


def read_page(path: Path) -> RulePage:
    """A page from its file.

    Raises:
        PluginError: it has no heading for its rule, or not both examples.
    """
    markdown = path.read_text(encoding="utf-8")
    heading = _HEADING.match(markdown)
    parts = re.split(r"^## (Wrong|Right)$", markdown, flags=re.MULTILINE)
    examples = dict(zip(parts[1::2], (_FENCE.search(part) for part in parts[2::2]), strict=True))
    wrong, right = examples.get("Wrong"), examples.get("Right")
    if heading is None or heading[1] != path.stem or wrong is None or right is None:
        raise PluginError(f"{path} is no page of a rule: `# {path.stem}: title`, `## Wrong`, `## Right`, a block each")
    text = parts[0][heading.end() :].strip()
    return RulePage(heading[1], heading[2], text, (wrong[1], wrong[2]), (right[1], right[2]), markdown)


def titles_and_pages(host: PluginHost) -> tuple[dict[str, str], dict[str, str]]:
    """What each rule is called, and the text of its page where it has one; both sorted by id."""
    pages = {rule: read_page(path) for rule, path in sorted(host.rule_pages.items())}
    titles = {**{rule: page.title for rule, page in pages.items()}, **RULES}
    return dict(sorted(titles.items())), {rule: page.markdown for rule, page in pages.items()}
