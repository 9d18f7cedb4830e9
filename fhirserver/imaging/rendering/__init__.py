"""Pixels: frames found, decoded, transcoded and rendered, in processes of their own."""
