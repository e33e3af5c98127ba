"""The board alone on a page: which rows are in it, what has the focus, what a screen reader is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
NAMES = [f"session-{n}" for n in range(500)]


@pytest.fixture
def now() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def page_of(chromium: Any) -> Iterator[Callable[..., Page]]:
    """Open bare pages with a board; afterwards none may have met an error."""
    from bare import bare_page  # noqa: PLC0415 - needs what may be missing

    errors: list[str] = []

    def opening(**options: Any) -> Page:
        page = bare_page(chromium, "board", **options)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        return page

    yield opening
    assert errors == []


@pytest.fixture
def board(page_of: Callable[..., Page], now: int) -> Page:
    """A board of 500 sessions, all connected."""
    page = page_of()
    tell_all(page, now)
    return page


def tell_all(page: Page, now: int, **more: Any) -> None:
    from bare import everything, row  # noqa: PLC0415

    tell(page, everything(now, [row(name, now, **more) for name in NAMES]))


def tell(page: Page, message: dict[str, Any]) -> None:
    page.evaluate("async (message) => { tell(message); await painted(); await painted(); }", message)


def change(page: Page, now: int, name: str, **more: Any) -> None:
    from bare import changes, row  # noqa: PLC0415

    tell(page, changes(now, row(name, now, **more)))


def shown(page: Page) -> list[str]:
    names: list[str] = page.locator("tbody .wakit-name").all_inner_texts()
    return names


def focused(page: Page) -> str:
    label: str = page.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    )
    return label


def sent(page: Page) -> list[tuple[str, str]]:
    orders: list[dict[str, str]] = page.evaluate("sent.filter((message) => message.type !== 'hello')")
    return [(order["type"], order["session"]) for order in orders]


def test_only_rows_in_sight_are_in_the_page_and_scrolling_brings_the_others(board: Page) -> None:
    assert board.evaluate("document.querySelectorAll('tbody tr[data-session]').length") <= 45
    assert board.get_by_role("table").get_attribute("aria-rowcount") == "501"
    box = board.locator(".wakit-scroll")
    height = box.evaluate("box => box.scrollHeight")
    assert height > 500 * 20
    for share in (0.5, 1.0, 0.25):
        box.evaluate("(box, share) => { box.scrollTop = share * (box.scrollHeight - box.clientHeight); }", share)
        board.evaluate("async () => { for (let n = 0; n < 4; n += 1) await painted(); }")
        found = board.evaluate("""() => {
          const box = document.querySelector(".wakit-scroll").getBoundingClientRect();
          const head = document.querySelector("thead th").getBoundingClientRect();
          const at = (y) => document.elementFromPoint(box.left + 30, y).closest("tr")?.dataset.session;
          const rows = document.querySelectorAll("tbody tr[data-session]");
          return [at(head.bottom + 12), at(box.bottom - 12), rows.length];
        }""")
        top, bottom, count = found
        assert top in NAMES
        assert bottom in NAMES
        assert count <= 45
        index = board.locator(f"tr[data-session={top}]").get_attribute("aria-rowindex")
        assert index == str(NAMES.index(top) + 2)
    assert box.evaluate("box => box.scrollHeight") == pytest.approx(height, rel=0.2)
    board.get_by_label("Filter sessions").fill("session-499")
    board.locator("tr[data-session=session-499]").wait_for()
    assert shown(board) == ["session-499"]


def test_a_burst_of_messages_is_one_frame(board: Page, now: int) -> None:
    from bare import changes, row  # noqa: PLC0415

    messages = [changes(now, row("session-3", now, reason=f"reason {n}")) for n in range(200)]
    written = board.evaluate(
        """async (messages) => {
          let written = 0;
          const cell = document.querySelector("tr[data-session=session-3] [data-column=reason]");
          const watch = new MutationObserver((records) => { written += records.length; });
          watch.observe(cell, { childList: true, subtree: true });
          messages.forEach(tell);
          await painted();
          await painted();
          watch.disconnect();
          return [written, cell.textContent];
        }""",
        messages,
    )
    assert written == [1, "reason 199"]


def test_what_does_not_change_is_not_written(board: Page, now: int) -> None:
    """A tick, or a change elsewhere, leaves a row alone, and with it what a person has selected there."""
    written = board.evaluate(
        """async () => {
          let written = [];
          const watch = new MutationObserver((records) => written.push(...records.map((each) => each.target.nodeName)));
          for (const row of document.querySelectorAll("tbody tr[data-session]")) {
            for (const cell of row.querySelectorAll(
              "[data-column=name], [data-column=state], [data-column=reason], [data-column=hour], td.wakit-actions",
            )) {
              watch.observe(cell, { childList: true, subtree: true, characterData: true, attributes: true });
            }
          }
          tell({ type: "changes", now: Date.now(), fleet: null, rows: [], gone: [], order: null, past: {} });
          await painted();
          await painted();
          watch.disconnect();
          return written;
        }"""
    )
    assert written == []
    change(board, now, "session-300", state="failed", status="failed")
    board.get_by_text("499 connected, 1 failed").wait_for()


def test_the_focus_stays_where_it_is(board: Page, now: int) -> None:
    from bare import changes  # noqa: PLC0415

    button = board.get_by_role("button", name="Restart session-2", exact=True)
    button.focus()
    change(board, now, "session-2", state="reconnecting", status="disconnected", reason="lost", attempt=2)
    assert focused(board) == "Restart session-2"
    order = ["session-2", *reversed([name for name in NAMES if name != "session-2"])]
    tell(board, changes(now, order=order))
    assert shown(board)[:2] == ["session-2", "session-499"]
    assert focused(board) == "Restart session-2"
    tell(board, changes(now, order=[*order[1:], "session-2"]))  # to the end of 500 rows
    assert focused(board) == "Restart session-2"
    tell(
        board,
        {**changes(now), "fleet": {"reachable": False, "trouble": "", "converged": False, "error": None, "hint": None}},
    )
    assert focused(board) == "Restart session-2"
    assert button.get_attribute("aria-disabled") == "true"
    board.keyboard.press("Enter")  # nobody is there to be asked
    assert sent(board) == []
    tell(board, changes(now, gone=["session-2"]))
    assert board.evaluate("document.activeElement.className") == "wakit-scroll"  # near where it was


def test_the_keyboard_alone_reaches_every_session(board: Page) -> None:
    board.locator(".wakit-scroll").focus()
    board.keyboard.press("Tab")
    for _ in range(9):  # the heads of the columns
        if focused(board) != "Pair session-0":
            board.keyboard.press("Tab")
    assert focused(board) == "Pair session-0"
    board.keyboard.press("Tab")
    assert focused(board) == "Restart session-0"
    board.keyboard.press("ArrowDown")
    assert focused(board) == "Restart session-1"
    board.keyboard.press("End")
    assert focused(board) == "Restart session-499"
    in_sight = board.locator("tr[data-session=session-499]").evaluate(
        "row => { const box = row.closest('.wakit-scroll').getBoundingClientRect(), own = row.getBoundingClientRect();"
        " return own.top >= box.top && own.bottom <= box.bottom + 1; }"
    )
    assert in_sight
    board.keyboard.press("ArrowUp")
    board.keyboard.press("PageUp")
    assert focused(board).startswith("Restart session-4")
    board.keyboard.press("Home")
    assert focused(board) == "Restart session-0"
    board.keyboard.press("Tab")  # Park, and then the table is left: it is one stop, not 1,500
    board.keyboard.press("Tab")
    assert not board.evaluate("document.querySelector('tbody').contains(document.activeElement)")


def test_what_hurts_is_asked_for_and_what_does_not_is_not(board: Page, now: int) -> None:
    row = board.locator("tr[data-session=session-1]")
    for verb in ("Pair", "Restart", "Park"):
        row.get_by_role("button", name=f"{verb} session-1").click()
        assert focused(board) == "No"  # the harmless answer
        described = board.evaluate(
            "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent"
        )
        assert "session-1" in described
        board.keyboard.press("Escape")
        assert focused(board) == f"{verb} session-1"
    assert sent(board) == []
    row.get_by_role("button", name="Park session-1").click()
    change(board, now, "session-1", reason="something else happens")  # the question stays, and so does the focus
    assert focused(board) == "No"
    row.get_by_role("button", name="Yes, park").click()
    assert sent(board) == [("park", "session-1")]
    row.get_by_text("parking…").wait_for()
    answer = board.evaluate("sent.find((message) => message.type === 'park').id")
    tell(board, {"type": "answer", "id": answer, "error": None, "widget": None})
    assert board.get_by_role("status").inner_text() == "session-1: parked"
    change(board, now, "session-1", state="parked", status="disconnected")
    assert row.get_by_role("button").all_inner_texts() == ["Resume"]
    row.get_by_role("button", name="Resume session-1").click()
    assert sent(board)[-1] == ("resume", "session-1")
    change(board, now, "session-1", state="parked", status="disconnected", enabled=False)  # parked in the file
    assert row.get_by_role("button").count() == 0
    change(board, now, "session-2", state="declared", status="pending", paired=False)
    board.get_by_role("button", name="Pair session-2", exact=True).click()  # links nothing anew
    assert sent(board)[-1] == ("pair", "session-2")


def test_a_screen_reader_is_not_talked_to_death(board: Page, now: int) -> None:
    live = board.get_by_role("status")
    assert live.count() == 1  # one for the whole board, none in the rows
    assert board.locator("[aria-live]:not([aria-live=off])").count() == 1
    assert live.inner_text() == "connected: 500"
    written = board.evaluate(
        """async () => {
          let written = 0;
          const watch = new MutationObserver((records) => { written += records.length; });
          const live = document.querySelector("[role=status]");
          watch.observe(live, { childList: true, subtree: true, characterData: true });
          window.written = () => written;
        }"""
    )
    assert written is None
    for n in range(30):
        change(board, now, f"session-{n}", state="failed", status="failed")
    board.get_by_text("470 connected, 30 failed").wait_for()  # what one sees is current
    assert board.evaluate("written()") <= 1
    board.evaluate("link(false)")
    board.get_by_role("status").get_by_text("This board is old").wait_for()


def test_roles_and_sorting_are_told(board: Page, now: int) -> None:
    assert board.get_by_role("columnheader").count() == 9
    line = board.locator("tr[data-session=session-0]")
    assert line.get_by_role("rowheader").count() == 1
    since = board.get_by_role("columnheader", name="Since")
    change(board, now, "session-400", since=now - 1000)
    for order, first in (("ascending", "session-400"), ("descending", "session-0"), (None, "session-0")):
        since.get_by_role("button").click()
        board.evaluate("painted()")
        assert since.get_attribute("aria-sort") == order
        assert shown(board)[0] == first


def test_filter_by_state_and_by_label(board: Page, now: int) -> None:
    change(board, now, "session-7", state="failed", status="failed", labels={"team": "apac"})
    change(board, now, "session-8", state="failed", status="failed")
    board.get_by_label("Show sessions that are").select_option("failed")
    board.locator("tr[data-session=session-0]").wait_for(state="detached")
    assert shown(board) == ["session-7", "session-8"]
    board.get_by_label("Filter sessions").fill("team=apac")
    board.locator("tr[data-session=session-8]").wait_for(state="detached")
    assert shown(board) == ["session-7"]
    board.get_by_label("Filter sessions").fill("team=nobody")
    board.get_by_text("No session matches the filter.").wait_for()


def test_the_last_hour_is_a_strip_and_a_sentence(board: Page, now: int) -> None:
    from bare import changes, hour  # noqa: PLC0415

    strip = board.locator("tr[data-session=session-5] .wakit-hour")
    assert strip.get_attribute("aria-label") == "nothing is known of the last hour"
    past = hour(now)
    for place, down in ((10, 20_000), (40, 25_000)):
        past["minutes"][place][1:] = ["disconnected", down, 1]
    tell(board, changes(now, past={"session-5": past}))
    assert board.get_by_role("img", name="down twice in the last hour, 45 s").count() == 1
    box = strip.locator(".wakit-was-connected").evaluate(
        "path => { const box = path.getBBox(); return [box.width, box.y + box.height]; }"
    )
    assert box == [120, 8]  # the whole hour, above the line
    trouble = strip.locator(".wakit-was-disconnected").evaluate(
        "path => { const box = path.getBBox(); return [box.y, box.height]; }"
    )
    assert trouble == [8, 4]  # below it
    board.get_by_role("columnheader", name="Last hour").get_by_role("button").click()
    board.evaluate("painted()")
    assert shown(board)[0] == "session-5"


@pytest.mark.parametrize("width", [320, 560, 1100])
def test_narrow_cells_have_all_that_matters_and_nothing_sticks_out(
    page_of: Callable[..., Page], now: int, width: int
) -> None:
    page = page_of(width=width)
    tell_all(
        page,
        now,
        reason="Name look-up failed: no network here",
        next=now + 60_000,
        attempt=3,
        state="reconnecting",
        status="disconnected",
    )
    row = page.locator("tr[data-session=session-0]")
    for words in ("reconnecting", "Name look-up failed", "(try 3)", "team=emea", "#ab12cd34"):
        row.get_by_text(words).wait_for()
    row.locator(".wakit-hour").wait_for()
    assert page.locator(".wakit-scroll").evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.locator(".wakit-board").evaluate("board => board.scrollWidth <= board.clientWidth")
    sort = page.get_by_label("Sort by")
    assert sort.is_visible() == (width < 760)  # where the heads of the columns are not
    if sort.is_visible():
        sort.select_option("Reason")
        page.evaluate("painted()")
    row.get_by_role("button", name="Restart session-0").click()
    page.keyboard.press("Escape")


def test_a_view_that_is_disposed_of_does_nothing_more(board: Page) -> None:
    errors_before = board.evaluate(
        "() => { dispose(); document.querySelector('#place').replaceChildren(); return sent.length; }"
    )
    board.evaluate("async () => { await painted(); await painted(); }")
    assert board.evaluate("sent.length") == errors_before


def test_a_saved_notebook_shows_what_was(page_of: Callable[..., Page], now: int) -> None:
    from bare import FLEET, row  # noqa: PLC0415

    page = page_of(opening={"fleet": FLEET, "now": now, "rows": [row("sales", now)]})
    page.locator("tr[data-session=sales]").wait_for()
    page.get_by_text("as of").wait_for()
    page.get_by_text("No answer from the kernel yet").wait_for()


DARK_PAPER = "rgb(13, 17, 23)"
LIGHT_PAPER = "rgb(255, 255, 255)"


def paper(page: Page) -> str:
    colour: str = page.locator(".wakit-board").evaluate("(board) => getComputedStyle(board).backgroundColor")
    return colour


def test_it_is_dark_where_the_page_around_is(board: Page) -> None:
    """The front ends' own marks, set and taken away while it is shown; they outrank the system."""
    assert paper(board) == LIGHT_PAPER
    board.emulate_media(color_scheme="dark")
    assert paper(board) == DARK_PAPER
    for where, name, light, dark in (
        ("body", "data-jp-theme-light", "true", "false"),
        ("body", "class", "vscode-light", "vscode-dark"),
        ("html", "theme", "light", "dark"),
        ("#place", "data-theme", "light", "dark"),
        ("body", "class", "light light-theme", "dark dark-theme"),
    ):
        for system in ("dark", "light"):
            board.emulate_media(color_scheme=system)  # type: ignore[arg-type]
            for value, expected in ((dark, DARK_PAPER), (light, LIGHT_PAPER), (dark, DARK_PAPER)):
                set_attribute(board, where, name, value)
                assert paper(board) == expected, (where, name, value, system)
        set_attribute(board, where, name, None)
        assert paper(board) == LIGHT_PAPER


def set_attribute(page: Page, where: str, name: str, value: str | None) -> None:
    page.evaluate(
        """async ([where, name, value]) => {
          const node = document.querySelector(where);
          if (value === null) node.removeAttribute(name); else node.setAttribute(name, value);
          await painted();
        }""",
        [where, name, value],
    )


def test_it_is_dark_in_a_shadow_root_and_when_made_before_it_is_shown(page_of: Callable[..., Page]) -> None:
    page = page_of(apart=True)
    page.evaluate(
        """async () => {
          window.around = document.createElement("div");
          around.className = "dark";
          document.body.append(around);
          around.append(host);
          await painted();
          await painted();
        }"""
    )
    assert paper(page) == DARK_PAPER
    page.evaluate("async () => { around.className = ''; await painted(); }")
    assert paper(page) == LIGHT_PAPER


def test_since_when_is_told_to_the_moment(board: Page, now: int) -> None:
    change(board, now, "session-0", since=1_700_000_000_123)
    cell = board.locator("tr[data-session=session-0] [data-column=since]")
    assert cell.get_attribute("title") == "2023-11-14T22:13:20.123Z"
