"""JSON Schema (draft 2020-12) of documents, for editors and other tools, made from the registered spec classes.

What the schema refuses, validation refuses too. It cannot say everything that validation does: whether a name is known or
free, what a parent gives to its heirs, and what two settings mean for one another. JSON Schema also holds `1.0` for a whole
number, which validation does not.
"""

from registry.schema.documents import schema_of
from registry.schema.files import text_of, write

__all__ = ["schema_of", "text_of", "write"]
