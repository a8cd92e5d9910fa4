"""What a language model of code can do: the next token, the right bracket, the right indentation, a name once more.

All take logits (sequences, context, vocabulary) and the tokens (sequences, context + 1) that were read, and the one
after: logits[i, t] is the guess for tokens[i, t + 1]. vocabulary is the text of every token; a line break is one with
(part of) the spaces after it. Each returns a share from 0 to 1, and raises NeuroMFAError where nothing is asked.
The bundled runs are asked for 32,768 tokens, 725 brackets, 296 indentations and 1,824 tokens of names.
"""

import numpy as np

from .task import share_right

CLOSES = {")": "(", "]": "[", "}": "{"}


def next_token_accuracy(logits: np.ndarray, tokens: np.ndarray) -> float:
    """The share of tokens that are predicted rightly."""
    right = logits.argmax(-1) == tokens[:, 1:]
    return share_right(right, np.ones_like(right), "next_token_accuracy")


def closing_brackets(logits: np.ndarray, tokens: np.ndarray, vocabulary: list[str]) -> float:
    """Where a bracket opened in the same sequence closes: is the right one of ) ] } more probable than the other two?

    The mean over the three kinds of the share that is right, so that always the same answer makes 1/3.
    """
    signs = [text.strip(" ") for text in vocabulary]
    kinds = {sign: [place for place, other in enumerate(signs) if other == sign] for sign in CLOSES}
    asked = []
    for row, sequence in enumerate(tokens):
        open_brackets = []
        for place, token in enumerate(sequence):
            sign = signs[token]
            if sign in CLOSES.values():
                open_brackets.append(sign)
            elif sign in CLOSES:
                if open_brackets and open_brackets.pop() == CLOSES[sign]:
                    asked.append((row, place - 1, sign))
                else:
                    open_brackets = []  # it closes what was opened before the sequence, or does not fit
    answers = [
        max(kinds, key=lambda sign: logits[row, place, kinds[sign]].max(initial=-np.inf)) for row, place, _ in asked
    ]
    return _mean_over_kinds(answers, [sign for _, _, sign in asked], "closing_brackets")


def indentation(logits: np.ndarray, tokens: np.ndarray, vocabulary: list[str]) -> float:
    """Where a line ends in a colon and the next is four spaces deeper: is the right line break the most probable one?

    Asked if the start of the line is in the sequence and the line break with all its indentation is one token. The mean
    over depths of the share that is right, so that always the same answer makes 1 over their number.
    """
    depths = {place: len(text) - 1 for place, text in enumerate(vocabulary) if text.startswith("\n")}
    breaks = list(depths)
    asked = []
    for row, sequence in enumerate(tokens.tolist()):
        depth = None
        for place, token in enumerate(sequence[:-1]):
            if token not in depths or not vocabulary[sequence[place + 1]].strip(" "):
                depth = None if token in depths else depth  # the spaces go on in the next token
                continue
            after_colon = place > 0 and vocabulary[sequence[place - 1]].strip(" ") == ":"
            if after_colon and depth is not None and depths[token] == depth + 4:
                asked.append((row, place - 1, depths[token]))
            depth = depths[token]
    answers = [depths[breaks[int(logits[row, place, breaks].argmax())]] for row, place, _ in asked]
    return _mean_over_kinds(answers, [depth for _, _, depth in asked], "indentation")


def copying_identifier(logits: np.ndarray, tokens: np.ndarray, vocabulary: list[str], usual_next: list[int]) -> float:
    """How well a model goes on with a name that it has read before.

    Asked inside every word of several tokens that stands in the same sequence before, where the next token is not the
    one that usually follows in the training text: who only knows pairs of tokens gets 0.
    """
    counted = np.zeros(logits.shape[:2], bool)
    for row, sequence in enumerate(tokens.tolist()):
        seen = set()
        for start, stop in words([vocabulary[token] for token in sequence]):
            word = "".join(vocabulary[token] for token in sequence[start:stop]).strip(" ")
            if word in seen:
                for place in range(start, stop - 1):
                    counted[row, place] = usual_next[sequence[place]] != sequence[place + 1]
            seen.add(word)
    return share_right(logits.argmax(-1) == tokens[:, 1:], counted, "copying_identifier")


def words(texts: list[str]) -> list[tuple[int, int]]:
    """(start, stop) of words, of letters and underscores, perhaps after a space; one at an end may be cut: none."""
    found, start = [], None
    for place, text in enumerate([*texts, "\n"]):
        letters = text.strip(" ").replace("_", "a")
        is_word = letters.isascii() and letters.isalpha()
        if start is not None and (not is_word or text.startswith(" ")):
            found.append((start, place))
            start = None
        if is_word and start is None:
            start = place
    return [(start, stop) for start, stop in found if start > 0 and stop < len(texts)]


def _mean_over_kinds(answers, kinds, what):
    right = np.array([answer == kind for answer, kind in zip(answers, kinds, strict=True)], bool)
    kinds = np.array(kinds)
    found = np.unique(kinds) if len(kinds) else [None]
    return float(np.mean([share_right(right, kinds == kind, what) for kind in found]))
