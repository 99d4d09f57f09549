"""The report and the demo as a user sees them: Chromium clicks through both.

pip install '.[browser]'
apt-get install chromium        # or set CHROMIUM to the path of a Chromium or Chrome
python -m pytest -m browser [--screenshots=DIR]
"""

import io
import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from report_analysis import make_analysis
from tiny_run import SIZE, TASKS, tiny_model

from astmt_jax.demo import __main__ as demo
from astmt_jax.report import __main__ as report

pytestmark = pytest.mark.browser
TIMEOUT = 240_000  # milliseconds; programs are compiled on the way
TITLES = ("Semantic segmentation", "Surface normals", "Edges", "Depth")
GREY = np.full((SIZE, SIZE, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra [browser]")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("needs Chromium: install it, or set CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, request):
    """A page that must not ask for anything outside this machine, nor report an error."""
    page = chromium.new_page(viewport={"width": 1400, "height": 1300})
    page.set_default_timeout(TIMEOUT)
    asked, errors = [], []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    folder = request.config.getoption("--screenshots")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{request.node.name}.png")
    page.close()
    own = ("data:", "blob:", "file:", "http://127.0.0.1:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert errors == []


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report.build(make_analysis(), pathlib.Path("run")))
    return path


@pytest.fixture(scope="module")
def address():
    pytest.importorskip("gradio", reason="needs the extra [browser]")
    return demo.launch(tiny_model(), "tiny", [(GREY, "grey"), (photo(), "colours")], block=False)


def photo(height=SIZE, width=SIZE):
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_report_shows_every_section(page, report_file):
    page.goto(report_file.as_uri())
    for link in page.locator("nav a").all():
        link.click()
        assert page.locator(link.get_attribute("href")).is_visible()
    broken = "images => images.filter(i => !i.complete || !i.naturalWidth).length"
    assert page.locator("img").evaluate_all(broken) == 0
    page.get_by_text("Every setting").click()
    assert page.get_by_text("config.optimizer.learning_rate").is_visible()


def test_report_slider_moves_by_keyboard_and_mouse(page, report_file):
    page.goto(report_file.as_uri())
    slider = page.locator(".slider").nth(1)
    front, handle = slider.locator("img").nth(1), slider.locator("input")
    clip = "image => getComputedStyle(image).clipPath"
    assert front.evaluate(clip) == "inset(0px 50% 0px 0px)"
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert front.evaluate(clip) == "inset(0px 49% 0px 0px)"
    page.keyboard.press("Home")
    assert front.evaluate(clip) == "inset(0px 100% 0px 0px)"
    box = handle.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
    right = float(front.evaluate(clip).split()[1].rstrip("%"))
    assert 20 < right < 30


def upload(page, name, content):
    page.locator("#photo input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": content}
    )


def open_demo(page, address):
    """Opens the demo, which has performed its first example already."""
    page.goto(address)
    for task in TASKS:
        page.locator(f"#task-{task} img").wait_for()


def change(page, act):
    """Does something, and waits until the last task is performed anew."""
    last = f"#task-{TASKS[-1]} img"
    before = page.locator(last).get_attribute("src")
    act()
    page.wait_for_function(
        "([last, before]) => ![before, undefined].includes(document.querySelector(last)?.src)",
        arg=[last, before],
    )


def pick(page, number):
    change(page, page.locator("#examples button").nth(number).click)


def picture(page, task):
    """Pixels of a task's picture."""
    image = page.locator(f"#task-{task} img")
    image.wait_for()
    answer = page.request.get(image.get_attribute("src"))
    return np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB")).astype(int)


@pytest.mark.parametrize("width", [360, 1400])
def test_demo_opens_with_an_example_and_says_what_it_shows(page, address, width):
    """And nothing sticks out of the window, be it that of a telephone."""
    page.set_viewport_size({"width": width, "height": 800})
    open_demo(page, address)
    assert picture(page, "depth").shape == GREY.shape
    for title in TITLES:
        assert page.get_by_role("heading", name=title, exact=True).is_visible()
    assert page.locator("#colors-normals").get_by_text("to the camera").is_visible()
    assert page.locator("#colors-depth .ticks").get_by_text(" m").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_demo_performs_every_task_on_an_upload(page, address):
    open_demo(page, address)
    change(page, lambda: upload(page, "photo.jpg", jpeg(photo(48, 64))))
    for task in TASKS:
        assert picture(page, task).shape == (48, 64, 3)
    assert page.locator("#times tbody tr td:first-child").all_inner_texts() == list(TITLES)


def test_demo_lays_predictions_over_the_example(page, address):
    open_demo(page, address)
    before = picture(page, "depth")
    assert np.abs(before - 128).max() > 20
    handle = page.locator("#opacity input[type=range]")
    handle.focus()
    page.keyboard.press("Home")  # nothing but the photo
    page.wait_for_function(
        "src => document.querySelector('#task-depth img').src != src",
        arg=page.locator("#task-depth img").get_attribute("src"),
    )
    page.wait_for_timeout(1000)
    np.testing.assert_array_equal(picture(page, "depth"), np.full_like(before, 128))


def test_demo_runs_the_wrong_modulation(page, address):
    open_demo(page, address)
    pick(page, 1)
    right = {task: picture(page, task) for task in ("depth", "semseg")}
    assert not page.locator("#modulation").is_visible()
    change(page, page.locator("#wrong input").click)
    page.locator("#modulation").wait_for()
    whose = page.locator("#times tbody tr td:nth-child(2)").all_inner_texts()
    assert whose == [TITLES[0]] * len(TASKS)
    wrong = {task: picture(page, task) for task in right}
    assert (wrong["depth"] != right["depth"]).mean() > 0.1
    np.testing.assert_array_equal(wrong["semseg"], right["semseg"])  # it has its own, still


def test_demo_performs_a_photo_that_comes_while_another_is_performed(page, address):
    """Programs for the first one's shape have to be compiled; the last one is what stays."""
    open_demo(page, address)
    upload(page, "wide.jpg", jpeg(photo(20, 90)))
    page.wait_for_function("document.querySelector('#task-depth img')?.naturalWidth != 32")
    page.locator("#examples button").nth(1).click()
    page.wait_for_function("document.querySelector('#task-depth img')?.naturalWidth == 32")
    page.wait_for_timeout(2000)
    last = {task: picture(page, task) for task in TASKS}
    pick(page, 0)
    pick(page, 1)
    for task in TASKS:
        np.testing.assert_array_equal(picture(page, task), last[task])


def test_demo_takes_thirty_megapixels(page, address):
    open_demo(page, address)
    change(page, lambda: upload(page, "large.jpg", jpeg(photo(5000, 6000))))
    assert picture(page, TASKS[-1]).shape == (853, 1024, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.jpg", b"no picture but text", "notes.jpg is no picture"),
        ("cut.jpg", jpeg(photo(200, 300))[:3000], "cut.jpg is damaged"),
        ("wide.jpg", jpeg(np.zeros((7000, 8000), np.uint8)), "wide.jpg has 56 megapixels"),
    ],
)
def test_demo_tells_what_is_wrong_with_a_photo(page, address, name, content, words):
    open_demo(page, address)
    upload(page, name, content)
    page.get_by_text(words).first.wait_for()
    page.locator("#task-depth img").wait_for(state="detached")


def test_demo_forgets_the_photo_before_a_bad_one(page, address):
    open_demo(page, address)
    change(page, lambda: upload(page, "photo.jpg", jpeg(photo())))
    upload(page, "notes.jpg", b"no picture but text")
    page.get_by_text("notes.jpg is no picture").first.wait_for()
    page.locator("#task-depth img").wait_for(state="detached")
