"""Pictures of what the journal tells: one module a picture, each a pure function from rows to a Vega-Lite chart.

Altair makes the charts and is an extra: a daemon, a command line and a widget need none of it.
"""
