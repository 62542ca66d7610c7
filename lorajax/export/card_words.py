"""What every model card says alike."""

USE = """\
```python
import lorajax

bundle = lorajax.load("this/folder")
a, b = bundle.embed(["a.safetensors", "b.safetensors"])
print(a @ b)  # their cosine
```

```sh
lorajax index my-loras --model this/folder    # then: lorajax search NAME
```

**Meant for** finding LoRAs that do alike things in a collection: search, duplicates,
groups, labels for files that have none.

""".splitlines()

LIMITS = """\
## What it cannot do

- **One base model, one space.** Only vectors of the same space can be compared: same
  base model, same basis, same encoder. Cosines between bundles mean nothing.
- **It knows its collection.** Trainers, ranks, subjects and styles unlike those it was
  trained on were not measured, and there it may be worse than the features that it
  reads. The numbers above are of held-out members of one collection; a score of your
  own needs LoRAs of your own.
- **Near chance is chance.** A triplet accuracy of 0.5 is a coin's. Cosines of unrelated
  LoRAs lie around 0 and scatter: look at pairs you know before you choose a limit.
- **Tiers.** DoRA is embedded by its direction alone and marked `direction`; OFT, BOFT
  and (IA)³ are refused: what they do depends on the base model's weights.
- **No word on safety or rights.** A vector says what a LoRA resembles, not whether it
  is harmful, lawful or whose work it was trained on.

""".splitlines()

WITHOUT_PACKAGE = """\
## Without lorajax

`encoder.onnx` and `encoder.jax`, where they are listed below, are the whole encoder:

| name | shape | type |
|---|---|---|
| `scores` (first input) | `[b, n, k]` | float32 |
| `mask` (second input) | `[b, n]` | bool, at least one true in every row |
| `vectors` (output) | `[b, e]` | float32, of length one |

`features.json` lists the `n` modules in order. For each that a file has, with an update
that is not zero, `mask` is true, and with ΔW = alpha / rank · up @ down (convolutions
flattened to `[out, in·kh·kw]`) its row of `scores` is

    core   = flatten(leftᵀ ΔW right)                  rows first
    core   = core / √‖core‖        for scale "root";  core / ‖core‖ for "unit";
                                   a core of zeros stays
    scores = (core - mean) @ components               zeros up to k

`left`, `right`, `mean` and `components` are in `basis.safetensors`, stacked by shape:
entry i of `OUTxIN.left` belongs to the i-th module of shape `[OUT, IN]` in
`features.json`. That is `sketch_pca`, the default; features of other projections are
made with lorajax. All other rows of `scores` are zero.

`encoder.jax` is serialized StableHLO for CPU and CUDA (`jax.export.deserialize`), which
JAX promises to read for six months of newer releases; `encoder.onnx` has no date.

""".splitlines()
