"""Which SQL a user may run: exactly one statement, and it only reads.

DuckDB parses; this module looks at what the parser saw, before anything is bound or planned, because binding alone
already opens files. Turning external access off is not enough: DuckDB keeps the attached database file itself readable,
and ``sniff_csv('journal.duckdb')`` was measured to open and close it, which drops the process's fcntl lock and lets a
second writer in. So functions that yield tables must be on a list, and a table's name must be a plain word: a name with
a dot or a slash could become a file through a replacement scan.

Functions whose result is as large as a number says (``repeat``, ``lpad``, ``range`` as a value) may only be given small
literal numbers: DuckDB finishes the 2,048 values it is at before it notices that it was stopped, and 2 MB each were
measured to take 5 s and 1 GB. Growth by joining (``x || x``, over and over) cannot be told from the text; what such a
query holds up is bounded in :mod:`wakit.journal.readers`.

This is the first of three fences; a read-only transaction and the connection's locked configuration are the others.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import duckdb

from wakit.errors import QueryError
from wakit.redact import scrub

MAX_SQL: Final = 64 * 1024
"""Characters a query may have."""

_TABLE_FUNCTIONS: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "json_each", "json_tree"),
        *("duckdb_tables", "duckdb_views", "duckdb_columns", "duckdb_types", "duckdb_functions", "duckdb_keywords"),
        *("pragma_table_info", "pragma_version"),
    }
)
# Functions of one value that bind other SQL (and so could open files), write, or only hold a thread.
_REFUSED_FUNCTIONS: Final = frozenset(
    {
        "json_serialize_plan",
        "write_log",
        "nextval",
        "currval",
        "setval",
        "setseed",
        "pg_sleep",
        "sleep_ms",
        "reduce",
        "list_reduce",
        "array_reduce",
        # Quadratic in the length of their texts, and deaf to an interrupt meanwhile.
        "levenshtein",
        "editdist3",
        "damerau_levenshtein",
        "jaccard",
        "jaro_similarity",
        "jaro_winkler_similarity",
    }
)
MAX_SIZE: Final = 1_000
"""How large a literal size may be."""
_MAX_VALUE: Final = 32 * 1024  # what all sizes of a query and its longest literal may multiply to

# Which argument says how large the result is.
_SIZES: Final[dict[str, tuple[int, ...]]] = {
    "repeat": (1,),
    "lpad": (1,),
    "rpad": (1,),
    "list_resize": (1,),
    "array_resize": (1,),
    "bitstring": (1,),
    "bar": (3,),
    "equi_width_bins": (2,),
    "range": (0, 1, 2),
    "generate_series": (0, 1, 2),
}
_PADDING: Final = frozenset({"lpad", "rpad", "bar", "bitstring"})  # to a length: one in another does not multiply
_FORMATTING: Final = frozenset({"format", "printf"})
_WIDE: Final = re.compile(r"\d{4,}|\*|\{[^}]*\{")  # also widths that are arguments: %*d, {:{}}
_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_PLAIN_NAME: Final = re.compile(r"\w+")
_EXPLAIN: Final = re.compile(r"\s*explain(\s+analyze)?(\s*\([^)]*\))?\s+", re.IGNORECASE)
_READING: Final = "SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN read"


def require_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Accept one statement that only reads tables and views of the journal.

    Args:
        connection: Lends its parser; the statement is not run.
        sql: What the user wrote.

    Raises:
        QueryError: It is not one statement, does not only read, or is not valid SQL.
    """
    if len(sql) > MAX_SQL:
        raise QueryError("The query is too long", why=f"it has more than {MAX_SQL} characters")
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise _invalid("it holds a lone surrogate, which is no character") from None
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _invalid(str(error)) from None
    if len(statements) != 1:
        found = "none" if not statements else str(len(statements))
        raise QueryError(
            "A query is exactly one statement", why=f"this text holds {found}", hint="send them one by one"
        )
    (statement,) = statements
    match statement.type:
        case duckdb.StatementType.SELECT:
            text = sql
        case duckdb.StatementType.EXPLAIN if matched := _EXPLAIN.match(sql):
            text = sql[matched.end() :]
        case duckdb.StatementType.MULTI:
            raise QueryError(
                "The query is refused",
                why="a PIVOT without its values creates a type",
                hint="list the values: PIVOT t ON column IN ('a', 'b') USING count(*)",
            )
        case other:
            raise QueryError("The query is refused", why=f"{other.name} does not only read", hint=_READING)
    _require_reading_tree(_parse(connection, text))


def _parse(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
    try:
        rows = connection.execute(
            "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)", [text]
        ).fetchall()
    except duckdb.Error as error:
        raise _invalid(str(error)) from None
    tree = json.loads(rows[0][0])
    if tree["error"]:
        raise QueryError("The query is refused", why="only a reading statement can be explained", hint=_READING)
    return tree


def _require_reading_tree(tree: Any) -> None:
    nodes = [tree]
    multiplied = padded = longest = 1
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes.extend(node)
        elif isinstance(node, dict):
            _require_reading_node(node)
            if node.get("type") == "TABLE_FUNCTION":  # makes rows, one vector at a time, not one large value
                node = node | {"function": node["function"].get("arguments", [])}
            elif node.get("class") == "FUNCTION":
                name, growth = str(node["function_name"]).lower(), _growth(node)
                if name in _PADDING:
                    padded = max(padded, growth)
                else:
                    multiplied *= growth
            elif (text := _literal(node)) is not None:
                longest = max(longest, len(text))
            nodes.extend(node.values())
    sized = multiplied * padded
    if sized > 1 and sized * longest > _MAX_VALUE:  # one may be the argument of another, and the literal of both
        raise QueryError(
            "The query is refused",
            why=f"it could make values of any size: its sizes and its longest text multiply to more than {_MAX_VALUE}",
            hint="give repeat(), lpad() and the like smaller sizes",
        )


def _growth(node: dict[str, Any]) -> int:
    """Return how many times larger than its arguments a function's value may be; refuse what cannot be told."""
    name = str(node["function_name"]).lower()
    literals = [_literal(argument.get("expression", argument)) for argument in node.get("arguments", [])]
    if name in _FORMATTING and (not literals or literals[0] is None or _WIDE.search(literals[0])):
        raise _too_large(name, "its format must be a literal whose widths have three digits at most")
    growth = 1
    for position in _SIZES.get(name, ()):
        if position >= len(literals):
            continue
        text = literals[position]
        if text is None or not re.fullmatch(r"-?\d{1,9}", text) or abs(int(text)) > MAX_SIZE:
            raise _too_large(name, f"its sizes must be literal whole numbers up to {MAX_SIZE}")
        growth = max(growth, abs(int(text)))
    return growth


def _literal(expression: dict[str, Any]) -> str | None:
    if expression.get("type") != "VALUE_CONSTANT":
        return None
    text = expression.get("literal", {}).get("text")
    return text if isinstance(text, str) else None


def _require_reading_node(node: dict[str, Any]) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _NODES:
        verb = kind.removesuffix("_NODE").removesuffix("_QUERY")
        raise QueryError("The query is refused", why=f"its {verb} does not only read", hint=_READING)
    if kind == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).lower()
        if name not in _TABLE_FUNCTIONS:
            raise QueryError(
                "The query is refused",
                why=f"{name}() is not among the functions a query may take tables from",
                hint="query the journal's own tables and views: SHOW TABLES lists them",
            )
    elif kind == "BASE_TABLE" and not _PLAIN_NAME.fullmatch(str(node["table_name"])):
        raise QueryError(
            "The query is refused",
            why="it names a table that could be a file",
            hint="query the journal's own tables and views: SHOW TABLES lists them",
        )
    elif node.get("class") == "FUNCTION" and str(node["function_name"]).lower() in _REFUSED_FUNCTIONS:
        raise QueryError("The query is refused", why=f"{node['function_name']}() does more than compute")


def _too_large(name: str, why: str) -> QueryError:
    return QueryError(
        "The query is refused",
        why=f"{name}() could make values of any size: {why}",
        hint="to make rows, use it in FROM: FROM range(5000)" if name in ("range", "generate_series") else "",
    )


def _invalid(message: str) -> QueryError:
    return QueryError("The query is not valid", why=scrub(message), hint="SHOW TABLES lists what there is")
