"""A marimo notebook as a user would write it; test_browser_marimo.py runs it with `marimo run`."""

import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import os
    from pathlib import Path

    import marimo as mo

    from wakit.notebook.fleet import Fleet

    # A user's line is `fleet = wakit.connect()`; the fleet of this test is in memory, so its folder has no daemon.
    folder = Path(os.environ["WAKIT_TEST_FOLDER"])
    fleet = Fleet(folder / "sessions.toml", folder)
    return fleet, mo


@app.cell
def _(mo):
    again = mo.ui.run_button(label="Run the board's cell again")
    again
    return (again,)


@app.cell
def _(again, fleet, mo):
    mo.vstack([mo.md(f"run again: {again.value}"), mo.ui.anywidget(fleet.board())])
    return


@app.cell
def _(fleet):
    fleet
    return


@app.cell
def _(fleet, mo):
    mo.ui.anywidget(fleet["support"].pair())
    return


@app.cell
def _():
    import wakit

    month = wakit.example_month(seed=1)
    month.uptime()
    return


if __name__ == "__main__":
    app.run()
