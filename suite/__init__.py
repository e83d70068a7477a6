"""rl-claims: a paper's claims as tests."""
