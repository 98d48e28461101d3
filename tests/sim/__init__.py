"""Many peers, a few servers and everything that befalls them, in one process and no real time.

``nox -s sim -- --seeds 200`` runs it; docs/simulation.md says what it is. One run is made of one
seed: :func:`tests.sim.scenario.run`.
"""
