"""How Hypothesis looks for examples while mutants run; a plugin of pytest's, named in `pyproject.toml`."""

from hypothesis import Phase, settings

# Every run tries the same examples, so a mutant is caught today if it was yesterday; a mutant that is caught
# needs no smallest example.
settings.register_profile(
    "mutants", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mutants")
