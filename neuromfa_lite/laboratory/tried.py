"""Every recipe tried for a run, as what it changed in the recipe kept, and what came out.

Looking for a recipe is a choice made on the result, so it is reported: a run with one entry was not searched for.
"""

KEPT = {"changed": {}, "outcome": "kept"}

# Single trials while the recipe was looked for, with another draw of the pairs: the accuracies on pairs trained on and
# not trained on, where they were looked at every 100 steps; "in full" is a training as of a kept recipe.
ADDITION = [
    {
        "changed": {"learning_rate": 1e-3, "trained_share": 0.4},
        "outcome": "seed 0: memorises by step 200, then at chance (.002) to the end of the trial at step 2800",
    },
    {
        "changed": {"learning_rate": 2e-3, "trained_share": 0.4},
        "outcome": "seed 0: memorised, still at chance (.003) at step 3200, where the trial was stopped",
    },
    {
        "changed": {"trained_share": 0.4},
        "outcome": "trials of seeds 0, 1, 2: memorise by step 100, below .02 on other pairs to step 900, first above "
        ".95 at step 2700, 2500 and 2100",
    },
    {
        "changed": {"trained_share": 0.4},
        "outcome": "in full, with the draw of pairs kept: seeds 0, 1, 2 memorise by step 100; at step 3000 .96, .09 "
        "and .06 on other pairs, the last two just beginning to rise",
    },
    {
        "changed": {"trained_share": 0.45, "steps": 3000},
        "outcome": "in full, with the draw of pairs kept: seeds 0, 1 memorise by step 100, below .05 on other pairs to "
        "step 1650 and 2000; .83 and .91 at step 3000, still rising",
    },
    {
        "changed": {},
        "outcome": "kept; trials of seeds 0, 1 with another draw of pairs: memorise by step 100, .05 and .03 on other "
        "pairs at step 600, 1.00 and .98 at 1300",
    },
]

TRIED = {
    "induction": [KEPT],
    "induction-control": [KEPT],
    "induction-pythia": [KEPT],
    "induction-pythia-control": [KEPT],
    "code-lm": [
        {
            "changed": {},
            "outcome": "kept; stopped once, at step 1121 of seed 0 with next_token_accuracy .315, because some "
            "held-out sequences stood in the training text too; those were replaced",
        }
    ],
    "code-lm-control": [KEPT],
    "modular-addition": ADDITION,
    "modular-addition-memorised": [
        {
            "changed": {},
            "outcome": "kept; a trial of seed 0 with trained_share 0.4 memorised by step 100 and was at chance (.003) "
            "to its end at step 3000",
        }
    ],
    "modular-addition-control": [
        {
            "changed": {},
            "outcome": "kept; a trial of seed 0 with trained_share 0.4 had memorised the random answers by step 100",
        }
    ],
}
