"""Write the JSON Schemas of both documents to export/schema, for harnesses in other languages.

python tests/bundle_schemas.py
"""

from __future__ import annotations

from hwnas.bundle.manifest import Manifest
from hwnas.bundle.results import Results
from hwnas.files import write_json
from hwnas.resources import shipped


def main() -> None:
    """Write them."""
    for kind, name in ((Manifest, "manifest"), (Results, "results")):
        path = shipped("export") / "schema" / f"{name}.schema.json"
        write_json(path, kind.model_json_schema(by_alias=True))


if __name__ == "__main__":
    main()
