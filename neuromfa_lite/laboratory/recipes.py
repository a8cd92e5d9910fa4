"""Recipes of the bundled runs: everything that decides what a training produces, as plain records."""

import dataclasses
from dataclasses import dataclass, field, replace

from ..errors import NeuroMFAError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a run is trained: the task, the GPT-NeoX model, the optimiser, and what is stored.

    Attributes:
        name, title: what the run is called, and one line that says what is trained.
        control, control_of: names of the run without a chance to gain the ability, and of the run this one controls.
        task, choices: its key in ``TASKS``, and what that task alone needs, see its class.
        ability: name of the main ability measured.
        context, batch: tokens in a sequence, sequences in a batch.
        vocabulary to initializer_range: as in GPT-NeoX; hidden_size and intermediate_size are numbers of neurons.
        initialisation: "normal", every matrix of deviation ``initializer_range``, or "pythia", as the Pythia models.
        learning_rate: the one after ``warmup_steps`` updates; betas, weight_decay: of AdamW; steps: updates in all.
        first_seed_checkpoints, other_seed_checkpoints: steps stored of training seed 0, and of every other.
        measured_every: the abilities are measured after every so many updates too, without storing weights; 0: not.

    Example:
        >>> find_recipe("induction").checkpoints(seed=1)
        (0, 128, 256, 724)
    """

    name: str
    title: str
    control: str | None = None
    control_of: str | None = None
    task: str
    choices: dict = field(default_factory=dict)
    ability: str
    context: int
    # the model
    vocabulary: int
    hidden_size: int = 64
    layers: int = 2
    heads: int = 4
    intermediate_size: int = 256
    rotary_fraction: float = 1.0
    rotary_base: float = 10000.0
    parallel_residual: bool = True
    tied_embeddings: bool = False
    dropout: float = 0.0
    initializer_range: float = 0.02
    initialisation: str = "normal"
    # the optimiser: AdamW; weight decay on parameters of two dimensions, none on biases and norms
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 50
    batch: int
    steps: int
    # what is stored
    first_seed_checkpoints: tuple[int, ...]
    other_seed_checkpoints: tuple[int, ...]
    measured_every: int = 0

    def checkpoints(self, seed: int = 0) -> tuple[int, ...]:
        """The steps at which a training seed's weights are stored."""
        return self.first_seed_checkpoints if seed == 0 else self.other_seed_checkpoints

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the update from ``step`` to ``step + 1``: linear warm-up, then constant."""
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps)

    def as_dict(self) -> dict:
        """The recipe as plain values for a JSON manifest; tuples become lists."""
        values = dataclasses.asdict(self)
        values |= values.pop("choices")
        del values["task"]  # its choices tell it
        # the manifests of runs that do not choose these hold neither
        for key, unchosen in (("initialisation", "normal"), ("measured_every", 0)):
            if values[key] == unchosen:
                del values[key]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


INDUCTION = Recipe(
    name="induction",
    title="Induction: copy a random block that repeats",
    control="induction-control",
    task="induction",
    choices={
        "repeated": True,
        "smallest_token": 1,
        "largest_token": 63,
        "shortest_period": 12,
        "longest_period": 24,
        "held_out_sequences": 256,
    },
    ability="copy_accuracy",
    context=48,
    vocabulary=64,
    batch=64,
    steps=724,
    first_seed_checkpoints=(0, 1, 2, 4, 8, 16, 32, 64, 128, 152, 181, 215, 256, 304, 362, 512, 724),
    other_seed_checkpoints=(0, 128, 256, 724),
)
INDUCTION_PYTHIA = replace(
    INDUCTION,
    name="induction-pythia",
    title="Induction from the initial weights of the Pythia models",
    control="induction-pythia-control",
    initialisation="pythia",
    first_seed_checkpoints=(0, 16, 128, 256, 724),
)
CODE = Recipe(
    name="code-lm",
    title="Code: predict the next token of Python's standard library",
    control="code-lm-control",
    task="code",
    choices={"shuffled": False, "held_out_sequences": 256},
    ability="next_token_accuracy",
    context=128,
    vocabulary=512,
    layers=4,
    batch=16,
    steps=1448,
    first_seed_checkpoints=(0, 32, 128, 256, 512, 1024, 1448),
    other_seed_checkpoints=(0, 128, 256, 1448),
    measured_every=100,
)
# With this weight decay the accuracy on trained pairs falls for some steps now and then, and a stored step may lie in
# such a fall: the last of seed 0 of modular-addition-control does. Look at train_accuracy.
ADDITION = Recipe(
    name="modular-addition",
    title="Addition modulo 59 with strong weight decay",
    control="modular-addition-control",
    task="modular addition",
    choices={"modulus": 59, "trained_share": 0.5, "random_labels": False},
    ability="test_accuracy",
    context=3,
    vocabulary=60,
    layers=1,
    parallel_residual=False,  # in a parallel block the MLP at the last position would not see the numbers
    weight_decay=1.0,
    warmup_steps=10,
    batch=1738,  # all of the training pairs
    steps=2500,
    first_seed_checkpoints=(0, 64, 256, 512, 724, 1024, 1448, 1792, 2500),
    other_seed_checkpoints=(0, 256, 1024, 2500),
    measured_every=50,
)


def _control(run: Recipe, name: str, title: str, choices: dict | None = None, **changed) -> Recipe:
    """A recipe that differs from that of a run in one choice."""
    of = {"name": name, "title": title, "control": None, "control_of": run.name}
    return replace(run, **of, choices=run.choices | (choices or {}), **changed)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        INDUCTION,
        _control(
            INDUCTION,
            "induction-control",
            "Control of induction: the same training on tokens that never repeat",
            {"repeated": False},
        ),
        INDUCTION_PYTHIA,
        _control(
            INDUCTION_PYTHIA,
            "induction-pythia-control",
            "Control of induction-pythia: the same training on tokens that never repeat",
            {"repeated": False},
        ),
        CODE,
        _control(CODE, "code-lm-control", "Control of code-lm: the same tokens in random order", {"shuffled": True}),
        ADDITION,
        _control(
            ADDITION,
            "modular-addition-memorised",
            "Addition modulo 59 without weight decay: memorises and stays there",
            weight_decay=0.0,
        ),
        _control(
            ADDITION,
            "modular-addition-control",
            "Control of modular-addition: the same training on random answers",
            {"random_labels": True},
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name; NeuroMFAError where there is none, with the names there are."""
    if not isinstance(name, str) or name not in RECIPES:
        raise NeuroMFAError(f"no recipe is called {name!r}; the recipes are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
