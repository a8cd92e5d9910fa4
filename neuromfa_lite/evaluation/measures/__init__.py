"""Measures to compare with: simple numbers of the weights, circuits of tokens, clouds of tokens."""
