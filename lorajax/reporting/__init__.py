"""The report of a run or a study: what was measured comes in, one HTML page goes out.

`markup` makes elements and `axes` places values; `page` puts sections together with the
style sheet and the script in `assets/`. Every section has a file of its own:
`measured`, `curves`, `differences`, `layers` (with `layer_weights` and `blocks`),
`plane`, `examples`. `gallery` holds the held-out LoRAs that the last three are about,
`thumbnails` their pictures. A page needs no network, and nothing that a file says can
become a part of its script.
"""
