"""The tasks of the laboratory against plain examples: what is trained on, what is held out, what is measured."""

import collections
import dataclasses
import itertools
import json
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.laboratory import RECIPES, tasks
from neuromfa_lite.laboratory.tasks import code_abilities, induction, python_text
from neuromfa_lite.laboratory.tasks.modular_addition import addition_table
from neuromfa_lite.laboratory.tasks.task import NOT_ASKED, next_tokens, share_right

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import make_text

INDUCTION = RECIPES["induction"]
ADDITION = RECIPES["modular-addition"]
HERE = platform.python_version()
TEXT = python_text.stored_text()
other_python = pytest.mark.skipif(
    TEXT["python"] != HERE, reason=f"the stored text is that of Python {TEXT['python']}, this is {HERE}"
)


def logits_of(answers, size):
    """Logits of a model that gives these answers, (sequences, context) ids."""
    return np.eye(size, dtype=np.float32)[np.asarray(answers)]


# ---- what holds for every task -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_every_task_asks_for_tokens_of_its_vocabulary_in_its_context(name):
    recipe = RECIPES[name]
    task = tasks.find_task(recipe)
    one, again = (task.training_batch(np.random.default_rng(3)) for _ in range(2))
    assert (one.tokens == again.tokens).all() and (one.targets == again.targets).all()
    assert one.tokens.shape == one.targets.shape == (recipe.batch, recipe.context)
    assert one.tokens.dtype == one.targets.dtype == np.int64
    asked = one.targets != NOT_ASKED
    assert asked.any() and 0 <= one.tokens.min() and one.tokens.max() < recipe.vocabulary
    assert 0 <= one.targets[asked].min() and one.targets[asked].max() < recipe.vocabulary
    questions = task.questions()
    assert questions.shape[1] == recipe.context and (questions == tasks.find_task(recipe).questions()).all()
    abilities = task.abilities(logits_of(questions, recipe.vocabulary))
    assert recipe.ability in abilities and all(0 <= value <= 1 for value in abilities.values())


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].control_of])
def test_a_control_differs_from_its_run_in_one_choice(name):
    control, run = RECIPES[name], RECIPES[RECIPES[name].control_of]
    different = {key for key, value in run.as_dict().items() if value != control.as_dict()[key]}
    only = "weight_decay" if name == "modular-addition-memorised" else "repeated shuffled random_labels"
    chosen = different - {"name", "title", "control", "control_of"}
    assert len(chosen) == 1 and chosen <= set(only.split())
    assert (tasks.find_task(run).questions() == tasks.find_task(control).questions()).all()


@pytest.mark.small
def test_streams_of_random_numbers_differ():
    roots = [tasks.seed_sequence("held-out")]
    roots += [tasks.seed_sequence(stream, seed) for stream in ("init", "train") for seed in range(3)]
    assert len({tuple(root.generate_state(4)) for root in roots}) == len(roots)


@pytest.mark.small
@pytest.mark.parametrize("seed", [-1, 0.5, 2**63])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(NeuroMFAError, match="seed="):
        tasks.seed_sequence("train", seed)


@pytest.mark.small
def test_the_last_position_of_a_sequence_is_not_asked():
    tokens, targets = next_tokens(np.array([[1, 2, 3], [4, 5, 6]]))
    assert tokens.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert targets.tolist() == [[2, 3, NOT_ASKED], [5, 6, NOT_ASKED]]


@pytest.mark.small
def test_an_ability_without_a_position_is_an_error_with_its_name():
    with pytest.raises(NeuroMFAError, match="copying_identifier"):
        share_right(np.ones(3, bool), np.zeros(3, bool), "copying_identifier")


# ---- induction ---------------------------------------------------------------------------------------------


@pytest.mark.small
def test_repeated_sequences_repeat_with_their_period_and_use_the_whole_range():
    tokens, periods = induction.repeated_sequences(np.random.default_rng(1), 2000, INDUCTION)
    assert tokens.shape == (2000, 48) and tokens.dtype == np.int64
    assert set(periods) == set(range(12, 25))
    assert set(tokens.ravel()) == set(range(1, 64))
    for row, period in zip(tokens, periods, strict=True):
        assert (row[period:] == row[:-period]).all()


@pytest.mark.small
def test_control_batches_have_no_repetition():
    generator = np.random.default_rng(tasks.seed_sequence("train", 0))
    task = tasks.find_task(RECIPES["induction-control"])
    batches = np.concatenate([task.training_batch(generator).tokens for _ in range(50)])
    assert set(batches.ravel()) == set(range(1, 64))
    for lag in range(1, 36):
        same = batches[:, lag:] == batches[:, :-lag]
        chance, positions = 1 / 63, same.size
        assert abs(same.mean() - chance) < 5 * np.sqrt(chance / positions)
        assert not same.all(axis=1).any()


@pytest.mark.small
def test_held_out_sequences_of_induction_are_never_trained_on():
    tokens = tasks.find_task(INDUCTION).questions()
    assert tokens.shape == (256, 48)
    held_out = {row[:12].tobytes() for row in tokens}
    assert len(held_out) == 256
    for name in ("induction", "induction-control"):
        task = tasks.find_task(RECIPES[name])
        for seed in (0, 1, 2):
            generator = np.random.default_rng(tasks.seed_sequence("train", seed))
            for _ in range(INDUCTION.steps + 1):
                batch = task.training_batch(generator).tokens
                assert held_out.isdisjoint(row[:12].tobytes() for row in batch)


@pytest.mark.small
def test_copy_accuracy_of_a_perfect_predictor_is_one():
    task = tasks.find_task(INDUCTION)
    tokens, periods = task.held_out, task.periods
    following = np.roll(tokens, -1, axis=1)
    assert induction.copy_accuracy(following, tokens, periods) == 1.0
    copied = following.copy()
    for row, sequence, period in zip(copied, tokens, periods, strict=True):
        row[:period] = 0  # what a copying model cannot know must not count
        row[period:] = [sequence[place + 1 - period] for place in range(period, 48)]
    assert induction.copy_accuracy(copied, tokens, periods) == 1.0


@pytest.mark.small
def test_copy_accuracy_of_a_constant_predictor_is_its_count():
    task = tasks.find_task(INDUCTION)
    right = positions = 0
    for row, period in zip(task.held_out.tolist(), task.periods.tolist(), strict=True):
        asked = row[period + 1 :]
        positions += len(asked)
        right += asked.count(7)
    assert right > 0
    constant = np.full_like(task.held_out, 7)
    assert induction.copy_accuracy(constant, task.held_out, task.periods) == right / positions


@pytest.mark.small
def test_copy_accuracy_refuses_what_it_cannot_count():
    tokens = np.ones((2, 4), int)
    with pytest.raises(NeuroMFAError, match="copy_accuracy"):
        induction.copy_accuracy(tokens, tokens, np.array([3, 3]))


@pytest.mark.torch
def test_measured_ability_is_the_argmax_of_the_logits():
    import torch

    def copies(tokens):
        following = torch.nn.functional.one_hot(tokens.roll(-1, dims=1), 64)
        return SimpleNamespace(logits=following.float())

    assert tasks.measure_abilities(copies, INDUCTION) == {"copy_accuracy": 1.0}


# ---- modular addition --------------------------------------------------------------------------------------


@pytest.mark.small
def test_both_orders_of_a_pair_fall_on_the_same_side():
    pairs, trained, labels, sums = addition_table(**ADDITION.choices)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 59 * 59
    side = {tuple(pair): bool(there) for pair, there in zip(pairs.tolist(), trained, strict=True)}
    assert all(side[a, b] == side[b, a] for a, b in side)
    unordered = {(a, b) for (a, b), there in side.items() if there and a <= b}
    assert len(unordered) == round(0.5 * 59 * 60 / 2) == 885
    assert trained.sum() == ADDITION.batch == 2 * len(unordered) - sum(a == b for a, b in unordered)
    assert sums.tolist() == [(a + b) % 59 for a, b in pairs.tolist()] and (labels == sums).all()
    # every number and every sum is among the trained ones, so that what is missing are pairs, not tokens
    assert set(pairs[trained].ravel()) == set(sums[trained]) == set(range(59))


@pytest.mark.small
def test_random_answers_are_one_for_each_pair_and_near_uniform():
    _, trained, labels, sums = addition_table(**RECIPES["modular-addition-control"].choices)
    table = labels.reshape(59, 59)
    assert (table == table.T).all() and set(labels) == set(range(59))
    upper = np.triu_indices(59)
    agree = (table == sums.reshape(59, 59))[upper]
    assert abs(agree.mean() - 1 / 59) < 5 * np.sqrt(1 / 59 / agree.size)
    assert (trained == addition_table(**ADDITION.choices)[1]).all()


@pytest.mark.small
def test_a_training_batch_of_addition_holds_each_trained_pair_once_and_asks_for_the_answer_alone():
    task = tasks.find_task(ADDITION)
    tokens, targets = task.training_batch(np.random.default_rng(0))
    assert {tuple(row) for row in tokens[:, :2].tolist()} == {tuple(row) for row in task.pairs[task.trained].tolist()}
    assert (tokens[:, 2] == 59).all() and (targets[:, :2] == NOT_ASKED).all()
    assert (targets[:, 2] == tokens[:, :2].sum(axis=1) % 59).all()


@pytest.mark.small
def test_abilities_of_addition_keep_trained_and_other_pairs_apart():
    choices = {"modulus": 3, "trained_share": 0.5, "random_labels": False}
    recipe = dataclasses.replace(ADDITION, choices=choices, vocabulary=4, batch=5)
    task = tasks.find_task(recipe)
    answers = np.zeros((9, 3), int)

    def abilities(last):
        answers[:, 2] = last
        return task.abilities(logits_of(answers, 4))

    assert abilities(task.sums) == {"test_accuracy": 1.0, "train_accuracy": 1.0}
    memorised = np.where(task.trained, task.sums, (task.sums + 1) % 3)
    assert abilities(memorised) == {"test_accuracy": 0.0, "train_accuracy": 1.0}
    right = sum((a + b) % 3 == 2 for (a, b), there in zip(task.pairs.tolist(), task.trained, strict=True) if not there)
    assert abilities(2)["test_accuracy"] == right / (~task.trained).sum()


@pytest.mark.small
def test_the_control_of_addition_is_tested_on_true_sums_and_trained_on_its_own():
    task = tasks.find_task(RECIPES["modular-addition-control"])
    answers = np.zeros((59 * 59, 3), int)
    answers[:, 2] = task.labels
    abilities = task.abilities(logits_of(answers, 60))
    assert abilities["train_accuracy"] == 1.0 and abilities["test_accuracy"] < 0.04


# ---- code: tokens and text ---------------------------------------------------------------------------------


@pytest.mark.small
def test_byte_pairs_join_the_most_frequent_pair_first():
    text = "lower lower low low low"
    vocabulary = make_text.learn(text, 96 + 1 + 4)
    # l-o and o-w both come five times: the first by code points; then lo-w; then " low" with its four spaces
    assert vocabulary[97:] == ["lo", "low", " low", "er"]
    assert [vocabulary[number] for number in python_text.encode(" lower slow", vocabulary)] == [
        " low",
        "er",
        " ",
        "s",
        "low",
    ]


@pytest.mark.small
def test_learning_by_increments_is_learning_by_counting_anew():
    text = python_text.plain("".join(python_text.source_files()[name] for name in ("bisect.py", "heapq.py")))
    words = {piece: tuple(piece) for piece in python_text.PIECE.findall(text)}
    counts = collections.Counter(python_text.PIECE.findall(text))
    expected = []
    while len(expected) < 60:
        pairs = collections.Counter()
        for piece, symbols in words.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += counts[piece]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        for piece, symbols in words.items():
            joined, place = [], 0
            while place < len(symbols):
                step = 2 if symbols[place : place + 2] == best else 1
                joined.append("".join(symbols[place : place + step]))
                place += step
            words[piece] = tuple(joined)
        if "".join(best) not in expected:
            expected.append("".join(best))
    assert make_text.learn(text, 97 + 60)[97:] == expected


@pytest.mark.small
def test_encoding_loses_nothing_of_plain_text():
    vocabulary = TEXT["vocabulary"]
    for name in ("json/decoder.py", "secrets.py", "textwrap.py"):
        text = python_text.source_files()[name]
        ids = python_text.encode(text, vocabulary)
        assert "".join(vocabulary[number] for number in ids) == text
        assert len(ids) < 0.6 * len(text)
    assert python_text.plain("é\tx\r\n\f") == "\ufffd    x\n\ufffd"


@pytest.mark.small
def test_the_stored_text_is_whole():
    assert len(TEXT["vocabulary"]) == len(set(TEXT["vocabulary"])) == len(TEXT["usual_next"]) == 512
    held_out = np.array(TEXT["held_out"])
    assert held_out.shape == (256, 129) and held_out.min() >= 0 and held_out.max() < 512
    assert TEXT["licence"].startswith("PSF-2.0") and make_text.text_as_json(TEXT) == python_text.FILE.read_text()


@pytest.mark.retraining
@other_python
def test_the_stored_text_is_made_by_the_script():
    assert make_text.make_text() == json.loads(python_text.FILE.read_text())


def test_held_out_files_are_not_in_the_training_text():
    names = list(python_text.source_files())
    held_out = [name for name in names if python_text.is_held_out(name)]
    assert 0.02 < len(held_out) / len(names) < 0.1
    tokens, about = python_text.training_tokens()
    assert about["files"] == len(names) - len(held_out) and about["tokens"] == len(tokens)
    assert about["python"] == HERE and about["licence"].startswith("PSF-2.0")
    text = tokens.tobytes()
    for row in np.array(TEXT["held_out"], "<i2"):
        assert not any(row[at : at + 32].tobytes() in text for at in (0, 32, 64, 96))


def test_the_control_of_code_trains_on_the_same_tokens_in_another_order():
    plain, shuffled = (tasks.code._trained_on(flag) for flag in (False, True))
    assert (np.bincount(plain) == np.bincount(shuffled)).all() and not (plain[:1000] == shuffled[:1000]).all()


def test_a_python_without_sources_is_named(tmp_path):
    with pytest.raises(SourceError, match="holds no sources"):
        python_text.source_files(tmp_path)


# ---- code: the abilities -----------------------------------------------------------------------------------

WORDS = [*"()[]{}", ":", "\n", "\n    ", "\n        ", "a", " b", "b", " (", "."]
NUMBER = {word: place for place, word in enumerate(WORDS)}


def ids(*words):
    return np.array([[NUMBER[word] for word in words]])


def perfect(tokens):
    return logits_of(tokens[:, 1:], len(WORDS))


@pytest.mark.small
def test_a_perfect_model_of_code_has_every_ability():
    first_line = ("\n", "a", "b", " (", "a", ")", "[", "]", "{", "}", ":")
    tokens = ids(*first_line, "\n    ", "a", "b", ".", "a", "b", ":", "\n        ", "a")
    usual_next = [NUMBER["\n"]] * len(WORDS)
    assert code_abilities.next_token_accuracy(perfect(tokens), tokens) == 1.0
    assert code_abilities.closing_brackets(perfect(tokens), tokens, WORDS) == 1.0
    assert code_abilities.indentation(perfect(tokens), tokens, WORDS) == 1.0
    assert code_abilities.copying_identifier(perfect(tokens), tokens, WORDS, usual_next) == 1.0


@pytest.mark.small
def test_always_the_same_bracket_is_right_for_one_kind_of_three():
    tokens = ids("(", ")", "(", ")", "(", ")", "[", "]", "{", "}")
    logits = np.zeros((1, 9, len(WORDS)))
    logits[..., NUMBER[")"]] = 1
    logits[..., NUMBER["a"]] = 9  # that another token is likelier still does not matter
    assert code_abilities.closing_brackets(logits, tokens, WORDS) == pytest.approx(1 / 3)


@pytest.mark.small
def test_a_bracket_opened_before_the_sequence_is_not_asked():
    tokens = ids(")", "]", "(", ")")
    logits = perfect(tokens)
    logits[0, 0] = np.eye(len(WORDS))[NUMBER[")"]]  # a wrong answer where nothing is asked
    assert code_abilities.closing_brackets(logits, tokens, WORDS) == 1.0
    with pytest.raises(NeuroMFAError, match="closing_brackets"):
        code_abilities.closing_brackets(perfect(ids(")", "]")), ids(")", "]"), WORDS)


@pytest.mark.small
def test_indentation_is_asked_after_a_colon_at_the_end_of_a_line_alone():
    # a slice a[:b], a line that does not end in a colon, and a block: only the block is asked
    tokens = ids("\n", "a", "[", ":", "b", "]", "\n    ", "a", ":", "\n        ", "a")
    wrong = np.zeros((1, 10, len(WORDS)))
    wrong[..., NUMBER["\n"]] = 1
    assert code_abilities.indentation(wrong, tokens, WORDS) == 0.0
    right = wrong.copy()
    right[0, 8, NUMBER["\n        "]] = 2
    assert code_abilities.indentation(right, tokens, WORDS) == 1.0
    with pytest.raises(NeuroMFAError, match="indentation"):
        code_abilities.indentation(wrong[:, :5], tokens[:, :6], WORDS)


@pytest.mark.small
def test_always_the_same_depth_is_right_for_one_depth_of_two():
    one, two = ("\n", "a", ":", "\n    "), ("a", ":", "\n        ", "a")
    tokens = ids(*one, *two)
    logits = np.zeros((1, 7, len(WORDS)))
    logits[..., NUMBER["\n    "]] = 1
    assert code_abilities.indentation(logits, tokens, WORDS) == 0.5


@pytest.mark.small
def test_a_name_is_asked_the_second_time_and_where_the_usual_token_is_wrong():
    tokens = ids(".", "a", "b", ".", "a", "b", ".")
    usual_next = [NUMBER["."]] * len(WORDS)
    only_later = perfect(tokens)
    only_later[0, 1] = 0  # wrong at the first time: not asked
    assert code_abilities.copying_identifier(only_later, tokens, WORDS, usual_next) == 1.0
    wrong = perfect(tokens)
    wrong[0, 4] = np.eye(len(WORDS))[NUMBER["."]]
    assert code_abilities.copying_identifier(wrong, tokens, WORDS, usual_next) == 0.0
    usual_next[NUMBER["a"]] = NUMBER["b"]
    with pytest.raises(NeuroMFAError, match="copying_identifier"):
        code_abilities.copying_identifier(perfect(tokens), tokens, WORDS, usual_next)


@pytest.mark.small
def test_words_end_at_spaces_and_signs_and_may_be_cut_at_the_ends():
    assert code_abilities.words(["b", "b", ".", "a", "b", " b", "b", "(", "a"]) == [(3, 5), (5, 7)]


def test_every_ability_of_code_is_asked_often_enough_on_the_held_out_text():
    task = tasks.find_task(RECIPES["code-lm"])
    tokens = np.array(TEXT["held_out"])
    assert set(task.abilities(logits_of(tokens[:, 1:], 512)).values()) == {1.0}
    usual = task.abilities(logits_of(np.array(TEXT["usual_next"])[tokens[:, :-1]], 512))
    assert usual["copying_identifier"] == 0.0  # by definition: who knows pairs alone cannot copy
    assert 0.1 < usual["next_token_accuracy"] < 0.3


def test_the_number_of_questions_about_code_is_as_documented(monkeypatch):
    asked = collections.Counter()

    def count(right, counted, what):
        asked[what] += int(counted.sum())
        return share_right(right, counted, what)

    monkeypatch.setattr(code_abilities, "share_right", count)
    tasks.find_task(RECIPES["code-lm"]).abilities(np.zeros((256, 128, 512), np.float32))
    assert list(asked.values()) == [32768, 725, 296, 1824]
    assert all(f"{number:,}" in code_abilities.__doc__ for number in asked.values())
