"""The demo without a browser: what it takes, what it tells about bad photos, what it refuses."""

import asyncio
import contextlib
import html
import io
import json
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_run import SIZE, TASKS, tiny_model

from astmt_jax.demo import __main__ as command
from astmt_jax.demo import uploads
from astmt_jax.demo.performance import Performer
from astmt_jax.pictures.photos import PhotoError

RED = np.full((SIZE, SIZE, 3), (255, 0, 0), np.uint8)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def address(model):
    """The address of a running demo."""
    pytest.importorskip("gradio", reason="needs the extra [demo]")
    return command.launch(model, "tiny", [(RED, "red")], block=False)


def photo(size=(SIZE, SIZE)):
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def post(url, document):
    """Status and text of the answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    return fetch(request)


def fetch(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_large_photos_are_shrunk_by_averages(tmp_path):
    pixels = np.zeros((10, 4 * uploads.LONGEST_SIDE, 3), np.uint8)
    pixels[:, ::2] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    found = uploads.read_upload(tmp_path / "wide.png", "wide.png")
    assert found.shape == (2, uploads.LONGEST_SIDE, 3)
    assert (found == 100).all()


def test_small_photos_stay_as_they_are(tmp_path):
    pixels = photo((7, 5))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(uploads.read_upload(tmp_path / "a.png", "a.png"), pixels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Dear diary, today I was no picture.", "holiday.jpg is no picture"),
        (jpeg(photo((200, 300)))[:2000], "holiday.jpg is damaged"),
        (b"", "holiday.jpg is no picture"),
    ],
)
def test_bad_photos_are_told_by_their_name_alone(content, words, tmp_path):
    path = tmp_path / "0123abcd.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        uploads.read_upload(path, "holiday.jpg")
    assert words in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_number_of_pixels_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_MEGAPIXELS", 1)
    Image.new("L", (1200, 1000)).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"^big\.png has 1 megapixels; at most 1 are taken\.$"):
        uploads.read_upload(tmp_path / "a.png", "big.png")


def test_overlay_goes_from_the_photo_to_the_prediction():
    white = np.full_like(RED, 255)
    np.testing.assert_array_equal(uploads.overlay(RED, white, 0), RED)
    np.testing.assert_array_equal(uploads.overlay(RED, white, 1), white)
    assert uploads.overlay(RED, white, 0.25)[0, 0].tolist() == [255, 64, 64]


@pytest.mark.parametrize("modulation", [None, "normals"])
def test_tasks_are_performed_one_by_one(model, modulation):
    """As `Model.predict` does, with the colours of each task."""
    image = photo()
    performed = list(Performer(model).perform(image, modulation))
    assert [done.task for done in performed] == list(TASKS)
    expected = model.predict(image, modulation=modulation)
    for done in performed:
        colors = model.colorize(done.task, expected[done.task])
        assert np.abs(done.colors.astype(int) - colors).max() <= 1
        np.testing.assert_allclose(done.prediction, expected[done.task], atol=1e-4)
        assert done.seconds > 0


def test_modulation_of_an_unknown_task_is_refused(model):
    with pytest.raises(ValueError, match="There is no task 'taste'"):
        list(Performer(model).perform(photo(), "taste"))


def test_page_is_served_on_this_machine_only_and_loads_nothing_from_elsewhere(address):
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.headers["content-security-policy"].startswith("default-src 'self' data:")
        assert "astmt_jax demo" in answer.read().decode()


@pytest.mark.parametrize("path", ["/etc/passwd", __file__, "../../etc/passwd"])
def test_no_file_of_the_server_can_be_had(address, path):
    status, _ = fetch(f"{address}gradio_api/file={path}")
    assert status in (403, 404)


@pytest.mark.parametrize("path", ["/etc/hostname", __file__, "http://127.0.0.1:1/photo.png"])
def test_files_that_were_not_uploaded_are_refused(address, path):
    """A request may name a path or an address instead of an uploaded file."""
    with urllib.request.urlopen(f"{address}config", timeout=60) as answer:
        functions = json.load(answer)["dependencies"]
    take = next(f["id"] for f in functions if ["upload"] in [t[1:] for t in f["targets"]])
    payload = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    call = {"data": [payload], "fn_index": take, "session_hash": "s"}
    status, answer = post(f"{address}gradio_api/queue/join", call)
    if "://" in path:
        assert (status, json.loads(answer)) == (400, {"error": "Only uploaded files are taken."})
        return
    assert status == 200
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash=s") as events:
        answers = [json.loads(line[6:]) for line in events if line.startswith(b"data: ")]
    completed = next(a for a in answers if a["msg"] == "process_completed")
    assert not completed["success"]
    assert path not in json.dumps(completed)


def test_requests_are_small_and_json(address):
    assert post(f"{address}gradio_api/queue/join", b"x" * 2_000_000)[0] == 400
    assert post(f"{address}gradio_api/queue/join", b"no json")[0] == 400


def test_guard_passes_on_what_it_has_read():
    guard = pytest.importorskip("astmt_jax.demo.guard", reason="needs the extra [demo]")
    received, sent = [], []

    async def app(scope, receive, send):
        received.append(await receive())
        received.append(await receive())

    async def run():
        parts = [
            {"type": "http.request", "body": b'{"path":', "more_body": True},
            {"type": "http.request", "body": b' "a.png"}', "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost:7860")]
        scope = {"type": "http", "method": "POST", "headers": headers}
        await guard.Guard(app, "127.0.0.1")(scope, receive, send)

    asyncio.run(run())
    assert received[0]["body"] == b'{"path": "a.png"}'
    assert received[1] == {"type": "http.disconnect"}
    assert not sent


def call(address, function, data, session):
    """What a function of the page answers, as the page itself calls it."""
    with urllib.request.urlopen(f"{address}config", timeout=60) as answer:
        functions = json.load(answer)["dependencies"]
    number = next(f["id"] for f in functions if [function] in [t[1:] for t in f["targets"]])
    request = {"data": data, "fn_index": number, "session_hash": session}
    status, _ = post(f"{address}gradio_api/queue/join", request)
    assert status == 200
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash={session}") as events:
        answers = [json.loads(line[6:]) for line in events if line.startswith(b"data: ")]
    return next(answer for answer in answers if answer["msg"] == "process_completed")


def components(address):
    """The page's components by `elem_id`, as it opens."""
    with urllib.request.urlopen(f"{address}config", timeout=60) as answer:
        listed = json.load(answer)["components"]
    return {component["props"].get("elem_id"): component["props"] for component in listed}


def pixels_of(address, picture):
    with urllib.request.urlopen(f"{address}gradio_api/file={picture['path']}") as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def test_page_opens_with_the_first_example_performed(address, model):
    """Pictures, legends and times are there before the visitor does anything."""
    found = components(address)
    predicted = model.predict(RED)
    assert np.abs(pixels_of(address, found["photo"]["value"]).astype(int) - RED).max() < 8  # webp
    for task in TASKS:
        colors = model.colorize(task, predicted[task]).astype(int)
        shown = pixels_of(address, found[f"task-{task}"]["value"])
        assert np.abs(shown - colors).max() <= 1
        assert found[f"colors-{task}"]["value"]
    lines = found["times"]["value"].splitlines()[2:]
    titles = ["Semantic segmentation", "Surface normals", "Edges", "Depth"]
    assert [line.split(" | ")[0] for line in lines] == [f"| {title}" for title in titles]


def test_a_forgotten_visitor_is_not_shown_the_example_again(address):
    """A session that the server knows nothing of (any more) has no photo to lay pictures over."""
    with urllib.request.urlopen(f"{address}config", timeout=60) as answer:
        functions = json.load(answer)["dependencies"]
    slider = next(f for f in functions if len(f["outputs"]) == len(TASKS))
    request = {"data": [None, 0.5], "fn_index": slider["id"], "session_hash": "forgotten"}
    assert post(f"{address}gradio_api/queue/join", request)[0] == 200
    url = f"{address}gradio_api/queue/data?session_hash=forgotten"
    with urllib.request.urlopen(url) as events:
        answers = [json.loads(line[6:]) for line in events if line.startswith(b"data: ")]
    completed = next(answer for answer in answers if answer["msg"] == "process_completed")
    assert completed["output"]["data"] == [None] * len(TASKS)


def upload(address, *files):
    """Status and answer to a form with these files."""
    parts = b"".join(
        b'--sep\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n"
        for content in files
    )
    kind = {"content-type": "multipart/form-data; boundary=sep"}
    request = urllib.request.Request(f"{address}gradio_api/upload", parts + b"--sep--\r\n", kind)
    return fetch(request)


def take(address, content, name, session):
    status, answer = upload(address, content)
    assert status == 200
    meta = {"_type": "gradio.FileData"}
    file = {"path": json.loads(answer)[0], "orig_name": name, "meta": meta}
    return call(address, "upload", [file], session)


def test_temporary_files_may_lie_below_the_current_folder(model, tmp_path, monkeypatch):
    """Or below that of the user; nothing else that lies there can be had."""
    pytest.importorskip("gradio", reason="needs the extra [demo]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "tmp"))
    address = command.launch(model, "tiny", [], block=False)
    assert not any(components(address)[f"task-{task}"].get("value") for task in TASKS)
    assert take(address, jpeg(photo()), "a.jpg", "below")["success"]
    assert list((tmp_path / "tmp").rglob("*.jpg"))
    for secret in (tmp_path / "secret.txt", tmp_path / ".secret", tmp_path / "tmp.txt"):
        secret.write_text("precious")
        for path in (secret, secret.name, f"tmp/../{secret.name}"):
            status, answer = fetch(f"{address}gradio_api/file={path}")
            assert status in (403, 404)
            assert "precious" not in answer


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>.jpg", "[a](b) **c** \x1b[31m.jpg"])
def test_names_in_messages_are_text(address, name):
    completed = take(address, b"no photo", name, "names")
    assert not completed["success"]
    message = completed["output"]["error"]
    assert "is no picture" in message
    assert "<" not in message
    assert html.unescape(message).startswith(name.replace("\x1b", "\\x1b"))


def test_name_of_the_folder_is_text(model):
    gradio = pytest.importorskip("gradio", reason="needs the extra [demo]")
    page = pytest.importorskip("astmt_jax.demo.page")
    built = page.build(model, "<b>[a](b)</b>", [], Performer(model))
    shown = [block.value for block in built.blocks.values() if isinstance(block, gradio.HTML)]
    assert any("&lt;b&gt;[a](b)&lt;/b&gt;" in value for value in shown)
    assert not any("<b>" in value for value in shown)


def test_one_file_at_a_time_is_taken(address):
    content = jpeg(photo())
    assert upload(address, content)[0] == 200
    status, answer = upload(address, content, content)
    assert (status, json.loads(answer)) == (400, {"error": "One file at a time is taken."})
    with contextlib.suppress(urllib.error.URLError):  # it may not read on
        assert upload(address, bytes(60 * 10**6))[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:{port}"}, 200),
        ({"host": "LOCALHOST:8000"}, 200),
        ({"host": "[::1]:{port}"}, 200),
        ({"host": "evil.example:{port}"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "10.0.0.7:{port}"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": "[::1"}, 403),
        ({"origin": "http://127.0.0.1:{port}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
    ],
)
def test_pages_from_elsewhere_are_refused(address, headers, status):
    """By the name under which they ask, and by the page that asks."""
    port = address.rstrip("/").rpartition(":")[2]
    given = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("", "config"):
        assert fetch(urllib.request.Request(f"{address}{path}", headers=given))[0] == status
    given["content-type"] = "application/json"
    request = urllib.request.Request(f"{address}gradio_api/queue/join", b"{}", given)
    assert (fetch(request)[0] == 403) == (status == 403)


@pytest.mark.parametrize(
    ("host", "name", "ours"),
    [
        ("demo.example", "demo.example:80", True),
        ("demo.example", "localhost", True),
        ("demo.example", "evil.example", False),
        ("0.0.0.0", "10.0.0.7:80", True),
        ("0.0.0.0", "evil.example", False),
        ("::", "[fe80::1]:80", True),
        ("::", "", False),
    ],
)
def test_names_by_which_a_server_is_called(host, name, ours):
    guard = pytest.importorskip("astmt_jax.demo.guard", reason="needs the extra [demo]")
    sent = []

    async def app(scope, receive, send):
        sent.append(200)

    async def send(message):
        sent.append(message.get("status"))

    scope = {"type": "http", "method": "GET", "headers": [(b"host", name.encode())]}
    asyncio.run(guard.Guard(app, host)(scope, None, send))
    assert (sent[0] == 200) == ours


def test_strips_are_refused_before_they_are_decoded(tmp_path):
    """Shrinking one took 2.5 GiB."""
    Image.new("L", (uploads.MAX_SIDE + 1, 1)).save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"^strip\.png is 30001 x 1 pixels; at most 30000 a side"):
        uploads.read_upload(tmp_path / "a.png", "strip.png")


def test_missing_run_is_told_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit) as caught:
        command.main([f"--workdir={tmp_path}"])
    assert str(caught.value) == f"Error: There is no run in {tmp_path}."
