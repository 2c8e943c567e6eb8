"""What every document says about itself, whatever it describes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry.specs.base import Listed, Spec

#: What a document may be called.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class ReferenceSpec(Spec):
    """A paper, a source file or a page that something comes from."""

    title: Annotated[str, Field(min_length=1, description="Title, or what the link shows.")]
    url: Annotated[str, Field(pattern=r"^https://", description="Where it is, https only.")]


class AboutSpec(Spec):
    """Keys that every document may have beside the settings of what it describes."""

    spec: Annotated[Literal[1], Field(description="Version of the document format.")] = 1
    name: Annotated[str, Field(pattern=NAME, description="Unique name among its kind.")]
    aliases: Annotated[
        Listed[Annotated[str, Field(pattern=NAME)]], Field(max_length=100, description="Other names it answers to.")
    ] = ()
    renames: Annotated[
        dict[str, str], Field(description="Names it gave up, each with the release that reads it no longer.")
    ] = {}
    summary: Annotated[str, Field(max_length=200, description="One line for listings.")] = ""
    references: Annotated[Listed[ReferenceSpec], Field(description="Where it comes from.")] = ()
