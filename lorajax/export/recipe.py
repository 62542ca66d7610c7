"""How the features that a graph takes are made from a file, for other programs.

`features.json` lists the modules in the order of the features, each with its shape and
every name that trainers' files have for it; together with the arrays of
`basis.safetensors` that is all that is needed.
"""

import json
from collections import Counter

from lorajax.naming.bases import TABLED
from lorajax.naming.layers import Rows
from lorajax.naming.writing import TARGETS, spelled
from lorajax.projection.basis import Basis
from lorajax.projection.sketch_pca import SketchBasis

RECIPE_FILE = "features.json"
# What stands in front of a tensor's role, and the rows of that layer; none are all.
Name = tuple[str, Rows]


def feature_recipe(basis: Basis) -> bytes:
    """The file's contents: a JSON document.

    `modules[].names` holds, per naming, the words in front of `.lora_up.weight` or
    `.lora_B.weight`, and the rows `[[start, stop], …]` of that layer's `up` that are
    this module, none where it is the whole layer. Base models whose modules have no
    table are named as in their own code.
    """
    facts = basis.facts
    shapes = basis.shapes if isinstance(basis, SketchBasis) else None
    names = _names(facts.base_model, facts.modules)
    modules = [
        {
            "name": module,
            **({"shape": list(shapes[n])} if shapes else {}),
            "components": basis.components[n],
            "names": [{"name": name, "rows": rows} for name, rows in names[module]],
        }
        for n, module in enumerate(facts.modules)
    ]
    document = {
        "lorajax_features": 1,
        "base_model": facts.base_model,
        "projection": facts.kind,
        "scale": facts.scale,
        "width": facts.width,
        "modules": modules,
    }
    return (json.dumps(document) + "\n").encode("utf-8")


def _names(base_model: str, modules: tuple[str, ...]) -> dict[str, list[Name]]:
    """Module → its names in kohya's, diffusers' and PEFT's files.

    A name that several modules share is left out: PEFT calls the layers of two text
    encoders alike and keeps them in two files.
    """
    if base_model not in TABLED:
        return {module: [(module, ())] for module in modules}
    found: dict[str, list[Name]] = {module: [] for module in modules}
    for dialect in TARGETS:
        layers = spelled(base_model, dialect)
        for module in modules:
            if layer := layers.get(module):
                piece = next(p for p in layer.pieces if p.module == module)
                found[module].append((layer.name, piece.rows))
    owners = Counter(name for own in found.values() for name in set(own))
    return {
        module: [name for name in dict.fromkeys(own) if owners[name] == 1]
        for module, own in found.items()
    }
