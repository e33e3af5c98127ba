"""``doctor``: looks at everything that has to be right before and while wakit runs, and changes nothing.

Each check answers with ok, warn or fail, a sentence, and for the latter two what to do. A check that itself goes wrong
is a fail with what it met, never the end of the others.
"""
