"""Export: a finished run comes in, a bundle for inference goes out.

`model` is a basis with its encoder, `bundle` the folder of such models by base model,
`writing` what makes one of a run, `card` its README. `jax_graph` and `onnx_graph` are
the encoder for programs without this package; `recipe` tells how to feed it.
`vectorizer` gives the vectors to scikit-learn, and `memo` remembers them from one call
to the next. `convert` hands single LoRAs on to other programs.
"""
