"""Text with positions: YAML and JSON become nodes that know their file, line and column."""

from registry.source.nodes import LINE_BREAK, Entry, Mapping, Node, Scalar, Sequence, Source, Span, from_plain, plain
from registry.source.problems import SourceProblem
from registry.source.reader import read_bytes, read_file, read_value

__all__ = [
    "LINE_BREAK",
    "Entry",
    "Mapping",
    "Node",
    "Scalar",
    "Sequence",
    "Source",
    "SourceProblem",
    "Span",
    "from_plain",
    "plain",
    "read_bytes",
    "read_file",
    "read_value",
]
