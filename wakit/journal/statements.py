"""Which SQL a user may run: exactly one statement, and it only reads.

DuckDB parses; this module looks at what the parser saw, before anything is bound or planned, because binding alone
already opens files. Turning external access off is not enough: DuckDB keeps the attached database file itself readable,
and ``sniff_csv('journal.duckdb')`` was measured to open and close it, which drops the process's fcntl lock and lets a
second writer in. So functions that yield tables must be on a list, and a table's name must be a plain word: a name with
a dot or a slash could become a file through a replacement scan.

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
    {"json_serialize_plan", "write_log", "nextval", "currval", "setval", "setseed", "pg_sleep", "sleep_ms"}
)
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
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes.extend(node)
        elif isinstance(node, dict):
            _require_reading_node(node)
            nodes.extend(node.values())


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


def _invalid(message: str) -> QueryError:
    return QueryError("The query is not valid", why=scrub(message), hint="SHOW TABLES lists what there is")
