"""Signing in: the pages on which people prove who they are, and look after that."""
