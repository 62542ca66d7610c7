"""The zoo: collections of really trained LoRAs whose truth is known.

Receives a recipe (`ZooSettings`), hands on a folder of LoRA files in real trainers'
dialects beside their truth: `zoo.json`, `labels.csv`, `behaviour/` and `truth/`.

    base         procedural scenes and the picture model that draws them
    styles       compositions of graded picture attributes
    lora         parametrisations, training of many at once, drawing, writing
    own          one LoRA of a person's own pictures
    collection   recipes, tags, sidecars, behaviour sets; the whole build
    benchmark    splits, triplets and rankings; the controls' report
    sheets       pictures to look at
    files        files that appear whole, with the same bytes every time
"""
