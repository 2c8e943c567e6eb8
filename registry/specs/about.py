"""What every document says about itself, whatever it describes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from registry.specs.base import Listed, Spec

#: What a document may be called.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


#: What makes a reference a path, and never a name.
PATH_SUFFIXES = (".yaml", ".yml", ".json", ".safetensors")


def _no_path(name: str) -> str:
    if name.lower().endswith(PATH_SUFFIXES):
        raise ValueError(
            f"the name `{name}` reads as the path of a file, so that nobody could refer to it; leave out the suffix"
        )
    return name


class ReferenceSpec(Spec):
    """A paper, a source file or a page that something comes from."""

    title: Annotated[str, Field(min_length=1, description="Title, or what the link shows.")]
    url: Annotated[str, Field(pattern=r"^https://", description="Where it is, https only.")]


class AboutSpec(Spec):
    """Keys that every document may have beside the settings of what it describes."""

    spec: Annotated[Literal[1], Field(description="Version of the document format.")] = 1
    name: Annotated[str, Field(pattern=NAME, description="Unique name among its kind."), AfterValidator(_no_path)]
    aliases: Annotated[
        Listed[Annotated[str, Field(pattern=NAME), AfterValidator(_no_path)]],
        Field(max_length=100, description="Other names it answers to."),
    ] = ()
    renames: Annotated[
        dict[Annotated[str, Field(pattern=NAME), AfterValidator(_no_path)], str],
        Field(description="Names it gave up, each with the release that reads it no longer."),
    ] = {}
    summary: Annotated[str, Field(max_length=200, description="One line for listings.")] = ""
    references: Annotated[Listed[ReferenceSpec], Field(description="Where it comes from.")] = ()
