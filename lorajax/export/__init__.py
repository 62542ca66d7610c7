"""Export: a finished run comes in, a bundle for inference goes out.

`model` is a basis with its encoder, `bundle` the folder of such models by base model,
`card` its README.
"""
