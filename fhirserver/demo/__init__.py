"""Synthetic patients of a made-up hospital; a seed gives the same data, byte for byte."""
