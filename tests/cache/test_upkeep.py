import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import as_nobody, mode_of
from test_vectors import RECIPE, REPOSITORY, SIZE, bits, digest, execute, numbered

from image_retraining.cache import vectors as bottlenecks
from image_retraining.cache.frozen_modules import FrozenModule, FrozenModules, ModuleKey
from image_retraining.cache.known_files import FileState, PhotoFile, PhotoFiles
from image_retraining.cache.opening import open_cache
from image_retraining.cache.upkeep import care
from image_retraining.cache.vectors import FILE_NAME, FINE_TUNED, IN_HALVES, BottleneckCache, Recipe
from image_retraining.foundation.errors import CacheError, RetrainError, SettingError
from image_retraining.foundation.records import Floats

# 2024-10-04
TODAY = 20000
LARGE = Recipe("cd" * 32, height=224, width=192, pixels=1, precision="bfloat16 openvino")
ACTIVATIONS = replace(RECIPE, precision=f"float32{IN_HALVES}")
TUNED = replace(RECIPE, precision=f"float32{FINE_TUNED}")
MODULE = FrozenModule(
    graph=bytes(100_000),
    sample_vectors=np.ones([2, 3], np.float32),
    image_size=(8, 6),
    input_name="photos:0",
    output_name="vectors:0",
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon of the day that is today."""
    clocks = {**vars(time), "time": lambda: (TODAY + 0.5) * 86400}
    monkeypatch.setattr(bottlenecks, "time", SimpleNamespace(**clocks))


def large(numbers: range) -> dict[bytes, Floats]:
    """Returns SHA-256 → vector of 4000 bytes of each number."""
    return {digest(n): np.full(1000, n, np.float32) for n in numbers}


def used(folder: Path, recipe: Recipe, day: int, numbers: range | None = None) -> None:
    """Sets the day that vectors of a recipe were last used on."""
    for photo in [None] if numbers is None else map(digest, numbers):
        execute(
            folder,
            "UPDATE bottlenecks SET used_day = ?1 WHERE IFNULL(photo = ?2, 1) AND recipe_id = "
            "(SELECT id FROM recipes WHERE fingerprint = ?3 AND precision = ?4 AND view = ?5)",
            *(day, photo, recipe.fingerprint, recipe.precision, recipe.view),
        )


def remember(cache: BottleneckCache, paths: list[Path]) -> None:
    """Notes files as those of the photos 0, 1, 2…, as if they had been written long ago."""
    states = [FileState.of(str(path)) for path in paths]
    PhotoFiles(cache.file).remember(
        PhotoFile(
            str(path),
            replace(state, taken_ns=state.ctime_ns + 3600 * 10**9),
            b"",
            digest(number),
            "",
        )
        for number, (path, state) in enumerate(zip(paths, states, strict=True))
    )


def photo_files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


# What is told


def test_the_modules_are_told_with_their_vectors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(20)))
        cache.store(replace(RECIPE, view="flipped"), numbered(range(3)))
        for number in (1, 2):
            view = f"random_crop=5 view={number}"
            cache.store(replace(RECIPE, view=view), numbered(range(5)))
        cache.store(LARGE, large(range(500)))
        FrozenModules(cache.file).keep(
            ModuleKey(LARGE.fingerprint, 1, ""), MODULE, handle="mobilenet_v2"
        )
        cache.store(ACTIVATIONS, numbered(range(4)))
        cache.store(TUNED, numbered(range(1)))
    used(tmp_path, ACTIVATIONS, 0)
    used(tmp_path, TUNED, 0)
    used(tmp_path, RECIPE, TODAY - 3)
    used(tmp_path, RECIPE, TODAY - 1, range(5, 6))
    used(tmp_path, replace(RECIPE, view="flipped"), 0)
    used(tmp_path, replace(RECIPE, view="random_crop=5 view=1"), 1)
    used(tmp_path, replace(RECIPE, view="random_crop=5 view=2"), 2)
    used(tmp_path, LARGE, TODAY)
    care(str(tmp_path), prune_days=-1)

    head, *rest = capsys.readouterr().out.splitlines()
    size = (tmp_path / FILE_NAME).stat().st_size
    assert head == f"{tmp_path / FILE_NAME}: {size / 1e6:.1f} MB on disk"
    assert size > 2_000_000
    assert rest == [
        "",
        "Module         Content   Photos of  Precision                 Vectors   MB  Last used",
        "mobilenet_v2   cdcdcdcd  224 x 192  bfloat16 openvino             500  2.0  2024-10-04",
        "(unnamed)      abababab  8 x 6      float32                        20  0.0  2024-10-03",
        "(unnamed)      abababab  8 x 6      float32, random_crop=5         10  0.0  1970-01-03",
        "(unnamed)      abababab  8 x 6      float32, flipped                3  0.0  1970-01-01",
        "(activations)  abababab  8 x 6      float32, kept as float16        4  0.0  1970-01-01",
        "(fine-tuned)   abababab  8 x 6      float32, fine-tuned             1  0.0  1970-01-01",
        "",
        "Feature vectors: 538",
        "Photo files known: 0",
        "Photo files no longer on disk: 0",
    ]


def test_a_module_of_wide_letters_keeps_its_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(20)))
        FrozenModules(cache.file).keep(ModuleKey(RECIPE.fingerprint, 1, ""), MODULE, handle="模块")
    care(str(tmp_path), prune_days=-1)
    _, _, columns, row, *_ = capsys.readouterr().out.splitlines()
    # Two letters are as wide as four.
    assert columns.startswith("Module  Content   Photos of")
    assert row.startswith("模块    abababab  8 x 6")


def test_photos_that_are_gone_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = photo_files(tmp_path / "photos", 7)
    with BottleneckCache(str(tmp_path)) as cache:
        remember(cache, paths)
    for path in paths[:3]:
        path.unlink()
    # A link that leads nowhere is there, and a folder away it is not.
    paths[3].unlink()
    paths[3].symlink_to("nowhere")
    paths[4].rename(tmp_path / paths[4].name)
    care(str(tmp_path), prune_days=-1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "Feature vectors: 0",
        "Photo files known: 7",
        "Photo files no longer on disk: 4",
    ]


def test_telling_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = numbered(range(20))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
    used(tmp_path, RECIPE, 5)
    before = (tmp_path / FILE_NAME).read_bytes()
    care(str(tmp_path), prune_days=-1)
    care(str(tmp_path), prune_days=-1)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert os.listdir(tmp_path) == [FILE_NAME]
    assert "1970-01-06" in capsys.readouterr().out


# What is deleted


@pytest.mark.parametrize(
    ("days", "kept_ages"),
    [
        (0, [0]),
        (1, [0, 1]),
        (30, [0, 1, 29, 30]),
        (31, [0, 1, 29, 30, 31]),
        (10**6, [0, 1, 29, 30, 31, 400, TODAY]),
        (10**30, [0, 1, 29, 30, 31, 400, TODAY]),
        (-1, [0, 1, 29, 30, 31, 400, TODAY]),
    ],
)
def test_vectors_that_were_not_used_in_so_many_days_are_deleted(
    tmp_path: Path, logged: pytest.LogCaptureFixture, days: int, kept_ages: list[int]
) -> None:
    ages = [0, 1, 29, 30, 31, 400, TODAY]
    vectors = numbered(range(len(ages)))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
    for number, age in enumerate(ages):
        used(tmp_path, RECIPE, TODAY - age, range(number, number + 1))
    care(str(tmp_path), prune_days=days)
    with BottleneckCache(str(tmp_path)) as cache:
        found = cache.vectors(RECIPE, list(vectors), SIZE)
    kept = {digest(number): vectors[digest(number)] for number in map(ages.index, kept_ages)}
    assert bits(found) == bits(kept)
    count = len(ages) - len(kept_ages)
    said = [f"Deleted {count} feature vectors that were not used in {days} days; 0.0 MB of disk"]
    assert [message.partition(" space")[0] for message in logged.messages] == said * (days >= 0)


def test_the_space_of_deleted_vectors_is_given_back(
    tmp_path: Path, logged: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(100)))
        cache.store(LARGE, large(range(500)))
    used(tmp_path, RECIPE, TODAY)
    used(tmp_path, LARGE, TODAY - 31)
    before = (tmp_path / FILE_NAME).stat().st_size
    care(str(tmp_path), prune_days=30)

    after = (tmp_path / FILE_NAME).stat().st_size
    assert os.listdir(tmp_path) == [FILE_NAME]
    assert before > 2_000_000
    assert after < 100_000
    (message,) = logged.messages
    freed = (before - after) / 1e6
    assert message == (
        "Deleted 500 feature vectors that were not used in 30 days; "
        f"{freed:.1f} MB of disk space are free."
    )
    assert f"{after / 1e6:.1f} MB on disk" in capsys.readouterr().out
    with BottleneckCache(str(tmp_path)) as cache:
        vectors = numbered(range(100))
        assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)
        assert cache.vectors(LARGE, [digest(0)], 1000) == {}


def test_what_belongs_to_no_vector_is_deleted_as_well(tmp_path: Path) -> None:
    paths = photo_files(tmp_path / "photos", 10)
    keys = [ModuleKey(recipe.fingerprint, 1, "") for recipe in (RECIPE, LARGE)]
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(5)))
        cache.store(LARGE, large(range(4, 10)))
        remember(cache, paths)
        for key in keys:
            FrozenModules(cache.file).keep(key, MODULE, handle="module")
    used(tmp_path, RECIPE, TODAY)
    used(tmp_path, LARGE, TODAY - 31)
    care(str(tmp_path), prune_days=30)

    with BottleneckCache(str(tmp_path)) as cache:
        assert FrozenModules(cache.file).find(keys[0]) == MODULE
        assert FrozenModules(cache.file).find(keys[1]) is None
        names = [str(path) for path in paths]
        assert list(PhotoFiles(cache.file).known(names)) == names[:5]
    assert execute(tmp_path, "SELECT COUNT(*), MAX(fingerprint) FROM recipes") == (
        1,
        RECIPE.fingerprint,
    )


def test_a_run_may_go_on_while_old_vectors_are_deleted(tmp_path: Path) -> None:
    old, new, later = numbered(range(5)), numbered(range(5, 9)), numbered(range(9, 12))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, {**old, **new})
        used(tmp_path, RECIPE, TODAY)
        used(tmp_path, RECIPE, TODAY - 31, range(5))
        care(str(tmp_path), prune_days=30)
        cache.store(RECIPE, later)
        every = {**old, **new, **later}
        assert bits(cache.vectors(RECIPE, list(every), SIZE)) == bits({**new, **later})


# Caches that are none, or damaged


def empty_folder(folder: Path) -> Path:
    return folder


def no_folder(folder: Path) -> Path:
    return folder / "missing"


def a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


def a_folder_for_the_file(folder: Path) -> Path:
    (folder / FILE_NAME).mkdir()
    return folder


def too_long_a_name(folder: Path) -> Path:
    return folder / ("x" * 300)


@pytest.mark.parametrize("days", [-1, 0])
@pytest.mark.parametrize(
    "place", [empty_folder, no_folder, a_file, a_folder_for_the_file, too_long_a_name]
)
def test_a_folder_without_a_cache_is_an_error(
    tmp_path: Path, place: Callable[[Path], Path], days: int
) -> None:
    folder = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingError, match="--bottleneck_dir must hold") as caught:
        care(str(folder), prune_days=days)
    assert f"Got {folder}" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("mode", [0o555, 0o444, 0o000], ids=oct)
def test_a_cache_that_cannot_be_written_to_is_an_error(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    with BottleneckCache(str(folder)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    before = (folder / FILE_NAME).read_bytes()
    with mode_of(folder, mode), as_nobody(tmp_path), pytest.raises(RetrainError) as caught:
        care(str(folder), prune_days=0)
    assert str(folder) in str(caught.value)
    assert (folder / FILE_NAME).read_bytes() == before
    assert os.listdir(folder) == [FILE_NAME]


def test_a_newer_cache_is_an_error_and_left_alone(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    execute(tmp_path, "PRAGMA user_version = 6")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(CacheError, match="Got version 6"):
        care(str(tmp_path), prune_days=0)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_damaged_cache_is_set_aside_and_the_new_one_told_of(
    tmp_path: Path, logged: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    care(str(tmp_path), prune_days=-1)
    assert "Feature vectors: 0\n" in capsys.readouterr().out
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    assert aside.name in logged.text


SENSELESS = {
    "a day in a million years": "UPDATE bottlenecks SET used_day = 1 << 60",
    "a day before all calendars": "UPDATE bottlenecks SET used_day = -(1 << 60)",
    "a day of text": "UPDATE bottlenecks SET used_day = 'x'",
    "a day of bytes": "UPDATE bottlenecks SET used_day = x'00'",
    "a path of text": "UPDATE files SET path = 'x'",
    "a path that is a number": "UPDATE files SET path = 99",
    "a handle of bytes": "UPDATE modules SET handle = x'ff'",
    "a handle that is no UTF-8": "UPDATE modules SET handle = CAST(x'ff' AS TEXT)",
    "a precision that is no UTF-8": "UPDATE recipes SET precision = CAST(x'ff' AS TEXT)",
    "a fingerprint of bytes": "UPDATE recipes SET fingerprint = x'00'",
}


@pytest.mark.parametrize("damage", SENSELESS.values(), ids=SENSELESS)
def test_damaged_values_are_told_without_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    vectors = numbered(range(5))
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, vectors)
        FrozenModules(cache.file).keep(
            ModuleKey(RECIPE.fingerprint, 1, ""), MODULE, handle="module"
        )
        remember(cache, photo_files(tmp_path / "photos", 1))
    execute(tmp_path, damage)
    care(str(tmp_path), prune_days=-1)
    assert "Feature vectors: 5\n" in capsys.readouterr().out
    assert list(tmp_path.glob("*.damaged-*")) == []


# The command


def command(*flags: bytes | str, environment: dict[str, str] | None = None) -> tuple[str, str]:
    """Returns what retrain.py says on stdout, and on stderr with the imports of all modules."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "retrain.py", *flags],
        cwd=REPOSITORY,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout.decode(), ran.stderr.decode()


@pytest.mark.parametrize("flag", ["--cache_info", "--cache_prune=30"])
def test_the_command_needs_no_tensorflow(tmp_path: Path, flag: str) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    used(tmp_path, RECIPE, TODAY)
    told, errors = command(flag, f"--bottleneck_dir={tmp_path}")
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", errors, re.MULTILINE))
    assert "image_retraining.cache.upkeep" in imported
    assert not {name for name in imported if re.match("tensor|keras|tqdm|openvino", name)}
    count = 5 if flag == "--cache_info" else 0
    assert f"Feature vectors: {count}\n" in told
    assert ("Deleted 5 feature vectors" in errors) == (count == 0)


def test_the_command_says_in_a_line_that_there_is_no_cache(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "retrain.py", "--cache_info", f"--bottleneck_dir={tmp_path / 'none'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert re.fullmatch(r"ERROR: --bottleneck_dir must hold .*\n", ran.stderr)
    assert ran.stdout == ""


HANDLES = {
    "quotes": "SET handle = 'my \"best\" ''module'''",
    "line feeds": "SET handle = 'one' || CHAR(10) || CHAR(13) || 'two'",
    "controls": "SET handle = CHAR(27, 7, 0, 9) || 'x'",
    "other scripts": "SET handle = '模块 🌹 وردة'",
    "no UTF-8": "SET handle = CAST(x'2f746dff70e9' AS TEXT)",
    "a very long name": "SET handle = HEX(ZEROBLOB(3000))",
}


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_the_command_prints_any_name(tmp_path: Path, locale: str) -> None:
    folder = os.fsencode(tmp_path) + b"/ro\xffs\xe9 \"'\n\xe7\x8e\xab"
    photo = folder + b"/photo \xff\n'.jpg"
    os.mkdir(folder)
    Path(os.fsdecode(photo)).touch()
    name = os.fsdecode(folder)
    with BottleneckCache(name) as cache:
        for number in range(len(HANDLES)):
            recipe = replace(RECIPE, fingerprint=f"{number}" * 64)
            cache.store(recipe, numbered(range(3)))
            key = ModuleKey(recipe.fingerprint, 1, "")
            FrozenModules(cache.file).keep(key, MODULE, handle="module")
        remember(cache, [Path(os.fsdecode(photo))])
    os.unlink(photo)
    for number, change in enumerate(HANDLES.values()):
        execute(Path(name), f"UPDATE modules {change} WHERE fingerprint = ?", f"{number}" * 64)

    environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told, _ = command("--cache_info", b"--bottleneck_dir=" + folder, environment=environment)
    assert "\\xff" in told.splitlines()[0] or "\\udcff" in told.splitlines()[0]
    assert f"Feature vectors: {3 * len(HANDLES)}\n" in told
    assert "Photo files no longer on disk: 1\n" in told
    assert "my \"best\" 'module'" in told
    assert "/tm\\xffp\\xe9" in told
    assert len(list(Path(name).iterdir())) == 1


# Opening a cache for a run


def check_works(cache: BottleneckCache, photo: Path) -> None:
    """Does with a cache what a run does with it."""
    vectors = numbered(range(600))
    assert cache.vectors(RECIPE, list(vectors), SIZE) == {}
    cache.store(RECIPE, vectors)
    assert bits(cache.vectors(RECIPE, [*vectors, digest(999)], SIZE)) == bits(vectors)
    remember(cache, [photo])
    assert PhotoFiles(cache.file).known([str(photo), "other"]) == {str(photo): (digest(0), "")}
    key = ModuleKey(RECIPE.fingerprint, 1, "")
    assert FrozenModules(cache.file).find(key) is None
    FrozenModules(cache.file).keep(key, MODULE, handle="module")
    assert FrozenModules(cache.file).find(key) == MODULE


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "rose.jpg"
    path.write_bytes(b"petals")
    return path


def check_without_cache(
    folder: Path, photo: Path, reason: str, logged: pytest.LogCaptureFixture
) -> None:
    with as_nobody(photo.parent), open_cache(str(folder)) as cache:
        check_works(cache, photo)
    (warning,) = logged.messages
    assert warning == (
        f"WARNING: --bottleneck_dir cannot be written to ({folder}: {reason}). This run goes on "
        "without a cache, and the next one will compute everything again."
    )


@pytest.mark.parametrize("name", ["cache", "not/yet/there"])
def test_a_folder_that_can_be_written_to_keeps_the_cache(
    tmp_path: Path, photo: Path, logged: pytest.LogCaptureFixture, name: str
) -> None:
    (tmp_path / "cache").mkdir()
    with open_cache(str(tmp_path / name)) as cache:
        check_works(cache, photo)
    assert logged.messages == []
    with open_cache(str(tmp_path / name)) as cache:
        vectors = numbered(range(600))
        assert bits(cache.vectors(RECIPE, list(vectors), SIZE)) == bits(vectors)


@pytest.mark.parametrize("mode", [0o555, 0o444, 0o666, 0o333, 0o000], ids=oct)
def test_a_run_goes_on_without_a_cache_in_a_read_only_folder(
    tmp_path: Path, photo: Path, logged: pytest.LogCaptureFixture, mode: int
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    with mode_of(folder, mode):
        check_without_cache(folder, photo, "the folder is read-only", logged)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=oct)
def test_a_run_goes_on_without_a_cache_when_its_file_is_read_only(
    tmp_path: Path, photo: Path, logged: pytest.LogCaptureFixture, mode: int
) -> None:
    folder = tmp_path / "cache"
    with BottleneckCache(str(folder)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    before = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).chmod(mode)
    with mode_of(folder, 0o777):
        check_without_cache(folder, photo, f"{FILE_NAME} is read-only", logged)
    assert (folder / FILE_NAME).read_bytes() == before
    assert os.listdir(folder) == [FILE_NAME]


@pytest.mark.parametrize("name", ["cache", "not/yet/there"])
def test_a_run_goes_on_without_a_cache_when_no_folder_can_be_made(
    tmp_path: Path, photo: Path, logged: pytest.LogCaptureFixture, name: str
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    with mode_of(parent, 0o555):
        check_without_cache(parent / name, photo, "Permission denied", logged)
    assert list(parent.iterdir()) == []


def test_a_run_goes_on_without_a_cache_in_a_folder_out_of_reach(
    tmp_path: Path, photo: Path, logged: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "parent" / "cache"
    with BottleneckCache(str(folder)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    with mode_of(folder.parent, 0o000), as_nobody(tmp_path), open_cache(str(folder)) as cache:
        check_works(cache, photo)
    assert "Permission denied" in logged.text


def a_file_below(folder: Path) -> Path:
    return a_file(folder) / "cache"


def a_link_to_nowhere(folder: Path) -> Path:
    (folder / "link").symlink_to("nowhere")
    return folder / "link"


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        (a_file, "--bottleneck_dir must be a folder"),
        (a_file_below, "--bottleneck_dir must be a folder"),
        (a_link_to_nowhere, "--bottleneck_dir must be a folder"),
        (too_long_a_name, "--bottleneck_dir must lie in a folder that can be made"),
    ],
)
def test_a_folder_that_can_never_be_one_is_an_error(
    tmp_path: Path, place: Callable[[Path], Path], rule: str
) -> None:
    folder = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingError, match=rule) as caught:
        open_cache(str(folder))
    assert f"Got {folder}: " in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    a_folder_for_the_file(tmp_path)
    with pytest.raises(CacheError, match="must be a bottleneck cache"):
        open_cache(str(tmp_path))
    assert (tmp_path / FILE_NAME).is_dir()


def test_a_newer_cache_is_no_reason_to_go_on_without_one(tmp_path: Path) -> None:
    with BottleneckCache(str(tmp_path)) as cache:
        cache.store(RECIPE, numbered(range(5)))
    execute(tmp_path, "PRAGMA user_version = 6")
    with pytest.raises(CacheError, match="Got version 6"):
        open_cache(str(tmp_path))
