"""The zoo: collections of really trained LoRAs whose truth is known.

Receives a recipe (`ZooSettings`), hands on a folder of LoRA files in real trainers'
dialects beside `zoo.json`, which says what each one is.

    scenes          procedurally drawn pictures with captions
    model           the picture model: a text-conditioned flow; how a LoRA acts in it
    base_training   trains the base model; base: its shipped weights
    attributes      graded picture attributes; styles: compositions of them
    recipes         what each LoRA of a collection is made from
    lora_training   trains many LoRAs at once
    writing         one LoRA as kohya's or PEFT's files
    build           a whole collection, resumable, and where the demo is cached
    sheets          contact sheets of what base and LoRAs draw
    benchmark       parts of a benchmark drawn from a teacher; truth: writes them
    controls        similarities that learn nothing; report: what they score
    style_sheet     styles x captions, cut from a collection's behaviour set
"""
