"""The report in a browser: sorting, anchors, dark mode, a phone, the keyboard, no network."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    # Chromium refuses its sandbox to root, as whom containers run.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture
def address(report: Path) -> str:
    return (report / "report.html").as_uri()


@pytest.fixture
def opened(browser, address: str):  # type: ignore[no-untyped-def]
    """Opens the report with the settings of a browser's context."""
    contexts = []

    def open_report(**settings: object):  # type: ignore[no-untyped-def]
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.goto(address)
        return page

    yield open_report
    for context in contexts:
        context.close()


def test_it_opens_without_a_word_in_the_console_and_asks_for_nothing_else(browser, address) -> None:  # type: ignore[no-untyped-def]
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.locator("th button").first.click()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    page.close()


def test_every_anchor_leads_to_something_that_is_shown(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened()
    links = page.eval_on_selector_all("a", "links => links.map(a => a.getAttribute('href'))")
    assert len(set(links)) > 20
    for link in set(links):
        page.evaluate("link => { location.hash = link; }", link)
        assert page.locator(f"[id='{link.removeprefix('#')}']").is_visible(), link


def test_tables_sort_by_a_click_and_by_the_keyboard(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened()
    table = page.locator("#paper-first table.claims")

    def states() -> list[str]:
        return [text.split()[1] for text in table.locator(".verdict").all_inner_texts()]

    verdict = table.locator("th").nth(1)
    verdict.locator("button").click()
    assert verdict.get_attribute("aria-sort") == "ascending"
    assert states() == ["supported", "inconclusive"]
    verdict.locator("button").press("Enter")
    assert verdict.get_attribute("aria-sort") == "descending"
    assert states() == ["inconclusive", "supported"]
    table.locator("th").nth(0).locator("button").press("Space")
    assert verdict.get_attribute("aria-sort") is None
    assert states() == ["supported", "inconclusive"]


def test_numbers_sort_as_numbers_and_what_is_missing_stays_last(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened()
    page.evaluate(
        """() => {
            const body = document.querySelector('#cost tbody');
            while (body.rows.length < 8) body.append(body.rows[0].cloneNode(true));
            [...body.rows].forEach((row, i) => {
                row.cells[5].dataset.sort = ['10', '9', '', '-1', '1e3', '0.5'][i] ?? '';
            });
        }"""
    )
    head = page.locator("#cost th").nth(5).locator("button")
    cells = "rows => rows.map(row => row.cells[5].dataset.sort)"
    missing = [""] * 3
    for order in (["-1", "0.5", "9", "10", "1e3"], ["1e3", "10", "9", "0.5", "-1"]):
        head.click()
        assert page.eval_on_selector_all("#cost tbody tr", cells) == order + missing


def test_without_scripts_everything_is_there_to_read(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened(java_script_enabled=False)
    assert page.locator("th button").count() == 0
    assert page.locator("table.claims tbody tr").count() == 3
    assert page.locator("figure svg").first.is_visible()
    assert "first-C1" in page.locator("#evidence").inner_text()


def luminance(colour: str) -> float:
    """Of a CSS `rgb(r, g, b)`, as in WCAG 2."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_texts_and_lines_stand_out_in_light_and_dark(opened, scheme: str, is_dark: bool) -> None:  # type: ignore[no-untyped-def]
    page = opened(color_scheme=scheme)

    def colour(selector: str, name: str) -> str:
        style = "(e, name) => getComputedStyle(e)[name]"
        return str(page.locator(selector).first.evaluate(style, name))

    ground = luminance(colour("body", "backgroundColor"))
    assert (ground < 0.05) is is_dark
    selectors = ("body", ".soft", "a", ".supported", ".inconclusive", "figure svg", "th button")
    shown = [(selector, colour(selector, "color"), 4.5) for selector in selectors]
    swatches = page.locator(".swatch[style]").count()
    shown += [
        (
            f"line {i}",
            str(
                page.locator(".swatch[style]")
                .nth(i)
                .evaluate("e => getComputedStyle(e).backgroundColor")
            ),
            3.0,
        )
        for i in range(min(swatches, 8))
    ]
    for what, text, least in shown:
        lighter, darker = sorted((luminance(text), ground), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= least, what


def test_a_phone_shows_everything_without_sideways_scrolling(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = """() => [...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.scroll') && !e.closest('nav') && !e.closest('svg'))
        .filter(e => !e.matches('.skip') && e.getBoundingClientRect().right > 391)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []


def test_the_keyboard_reaches_content_links_and_wide_tables(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    regions = page.locator(".scroll")
    assert regions.count() > 3
    for i in range(regions.count()):
        assert regions.nth(i).get_attribute("tabindex") == "0"
        assert regions.nth(i).get_attribute("aria-label")


def test_every_picture_has_a_text_alternative(opened) -> None:  # type: ignore[no-untyped-def]
    page = opened()
    silent = """() => [...document.querySelectorAll('svg, img')].filter(e =>
        !e.getAttribute('alt') && !e.getAttribute('aria-label') &&
        !(e.getAttribute('aria-hidden') && e.closest('figure[aria-label]'))
    ).map(e => e.outerHTML.slice(0, 80))"""
    assert page.locator("svg").count() > 3
    assert page.evaluate(silent) == []
