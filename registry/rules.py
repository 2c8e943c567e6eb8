"""The stable ids of what the core can find in a document; plugins add their own with `register.rules`.

0xx: the text, 1xx: one value, 2xx: values against each other, 3xx: what was measured against what was declared,
4xx: recipes and data sets.
"""

from __future__ import annotations

from typing import Final

RULES: Final[dict[str, str]] = {
    "REG001": "the file cannot be read",
    "REG002": "the file is not UTF-8",
    "REG003": "the text is not YAML",
    "REG004": "a key stands twice in one mapping",
    "REG005": "a key is not a text",
    "REG006": "the document is too large, too deep, or holds a number that is too long",
    "REG007": "the document uses a YAML tag",
    "REG101": "unknown key",
    "REG102": "a needed key is missing",
    "REG103": "a value of the wrong kind",
    "REG104": "a value out of range",
    "REG105": "a value that is none of the choices",
    "REG106": "unknown kind of document",
    "REG107": "unknown or unusable type of part",
    "REG108": "a name that no document has",
    "REG109": "documents that extend one another in a circle",
    "REG110": "a name that is taken",
    "REG111": "a path that leaves its root",
    "REG112": "a version of the document format that cannot be read",
    "REG113": "an override that names no setting",
    "REG114": "a name that was given up",
    "REG115": "a file without a document",
    "REG199": "a value that is not valid",
    "REG201": "settings of one part contradict each other",
    "REG202": "a head needs feature maps that the backbone does not yield",
    "REG203": "parts that serve different tasks",
    "REG204": "class counts that do not agree",
    "REG205": "unknown list of categories",
    "REG206": "unknown weights",
    "REG208": "an image size that does not suit the backbone's stride",
    "REG209": "stages that are frozen with random weights",
    "REG214": "inherited weights that do not fit another backbone",
    "REG301": "a model that cannot be built or run",
    "REG302": "feature maps that are not as declared",
    "REG303": "figures that are not as declared",
    "REG304": "a budget that is exceeded",
}
