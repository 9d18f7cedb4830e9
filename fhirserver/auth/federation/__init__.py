"""Signing in at another OpenID provider (OpenID Connect Core 1.0, authorization code flow)."""
