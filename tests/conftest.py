"""How long Hypothesis looks. ``--hypothesis-profile`` picks another way."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: how long one example takes says more about the machine than about the code.
settings.register_profile("usual", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000)
# The same few examples for every mutant, and no time spent on a smaller failure.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=25,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("usual")
