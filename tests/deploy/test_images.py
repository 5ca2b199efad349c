"""The images: what is in them, what is not, and that build and deployment mean the same ones."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy import dockerfile
from tests.deploy.dockerfile import ROOT

BIN = Path(sys.executable).parent
OURS = {"core", "infra", "receiver", "transcoder", "confirmer", "functions", "lectern", "tests"}
MODULES = {"imageio-ffmpeg": "imageio_ffmpeg", "markdown-it-py": "markdown_it"}
"""Packages whose module has another name."""
CHILDREN = {"transcoder.probe_child", "transcoder.sandbox"}
"""Programs of their own, which nothing imports."""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=False, timeout=100)


def locked() -> set[str]:
    lines = (ROOT / "requirements-gcp.lock").read_text().splitlines()
    return {line.split("==")[0] for line in lines if re.match(r"[a-z0-9]", line)}


def loop_of(text: str) -> list[list[str]]:
    return [found.split() for found in re.findall(r"for target in ([^;]+); do", text)]


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile follows the linter's rules, but for those it names."""
    found = run(BIN / "hadolint", "Dockerfile")
    assert found.returncode == 0, found.stdout


def test_every_exception_for_hadolint_has_its_reason() -> None:
    """A comment stands above each ignored rule."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    ignored = [at for at, line in enumerate(lines) if "hadolint ignore" in line]
    assert ignored
    assert all(re.match(r"# \w.*\.$", lines[at - 1]) for at in ignored)


def test_the_init_of_the_images_cannot_be_read() -> None:
    """It starts with the keys in its environment, which the kernel closes by that alone."""
    stage = (ROOT / "Dockerfile").read_text().partition(" AS runtime\n")[2].partition("\nFROM ")[0]
    assert 'ENTRYPOINT ["tini", "--"]' in stage
    assert "&& chmod 0711 /usr/bin/tini " in stage


def test_shell_scripts_are_sound() -> None:
    """Bash reads the script that builds the images, and shellcheck has nothing to say."""
    assert run("bash", "-n", ".ci/images").returncode == 0
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    found = run("shellcheck", ".ci/images")
    assert found.returncode == 0, found.stdout


def test_every_target_is_built_probed_scanned_and_deployed() -> None:
    """The Dockerfile, the probe, the cloud build and Terraform name the same images."""
    targets, services = list(dockerfile.targets()), list(dockerfile.services())
    script = (ROOT / ".ci/images").read_text()
    assert re.findall(r"readonly TARGETS=\((.*)\)", script) == [" ".join(targets)]
    steps = {
        step["id"]: step for step in yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())["steps"]
    }
    assert loop_of(steps["build"]["script"]) == [targets]
    assert loop_of(steps["scan"]["script"]) == [services]
    assert loop_of(steps["settings"]["script"]) == [services]
    variables = (ROOT / "terraform/example/variables.tf").read_text()
    images = variables.partition('variable "images"')[2].partition("})")[0]
    assert re.findall(r"(\w+)\s+= string", images) == services


def test_compose_builds_targets_that_exist() -> None:
    """What compose builds is a target here."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    built = {s["build"]["target"] for s in compose["services"].values() if "build" in s}
    assert set(dockerfile.services()) <= built <= set(dockerfile.targets())


def test_every_file_that_is_copied_exists_and_reaches_the_build() -> None:
    """Each COPY out of the context has a source that .dockerignore lets through."""
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    sources = {
        source
        for stage in dockerfile.stages().values()
        for origin, source in stage.copies()
        if origin is None
    }
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_stages_are_copied_from_where_the_files_are() -> None:
    """COPY --from names a stage, and of the code only what that stage holds."""
    stages = dockerfile.stages()
    held = {f"/app/{source}" for origin, source in stages["code"].copies() if origin is None}
    for stage in stages.values():
        for origin, source in stage.copies():
            assert origin is None or origin in stages
            assert origin != "code" or source in held | {"/app"}


@pytest.mark.parametrize("name", ["receiver", "transcoder", "confirmer", "functions"])
def test_an_image_holds_its_own_service_and_nothing_else(name: str) -> None:
    """Neither tests nor other services are in it, and it does not run as root."""
    stage = dockerfile.targets()[name]
    held = {source for _, source in stage.copies()} - {"/venv"}
    assert held == {"/app/core", "/app/infra", f"/app/{name}"}
    assert stage.all("USER")[-1] == "10001:10001"
    assert name in (*stage.command(), "functions")


def test_the_base_is_named_by_its_version_everywhere() -> None:
    """Dockerfile and cloud build stand on the same release of Python and Debian."""
    given = dockerfile.arguments()
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", given["BASE_IMAGE"])
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    assert build["substitutions"]["_BASE_IMAGE"] == f"mirror.gcr.io/library/{given['BASE_IMAGE']}"


def test_what_is_left_out_was_locked_and_nothing_that_stays_needs_it() -> None:
    """Only packages of the lock are left out, and no other package requires one of them."""
    for stage in dockerfile.services().values():
        gone = dockerfile.left_out(stage)
        assert gone
        assert gone <= locked()
        for package in locked() - gone:
            needs = (Requirement(text) for text in metadata.requires(package) or ())
            needed = {
                canonicalize_name(need.name)
                for need in needs
                if need.marker is None or need.marker.evaluate({"extra": ""})
            }
            assert not needed & gone, f"{package} needs {needed & gone}"


def test_only_the_transcoder_holds_ffmpeg() -> None:
    """FFmpeg is most of an image: who does not encode goes without."""
    holding = {
        name
        for name, stage in dockerfile.services().items()
        if not {"av", "imageio-ffmpeg"} <= dockerfile.left_out(stage)
    }
    assert holding == {"transcoder"}


IMPORTER = """
import importlib, pkgutil, sys
held, blocked = sys.argv[1].split(","), set(sys.argv[2].split(","))

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"{name} is not in the image")

sys.meta_path.insert(0, Wall())
for package in held:
    walked = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    for name in [module.name for module in walked]:
        if name not in sys.argv[3].split(","):
            importlib.import_module(name)
            print(name)
"""


@pytest.mark.parametrize("name", ["receiver", "transcoder", "confirmer", "functions"])
def test_all_code_of_an_image_imports_with_what_the_image_holds(name: str) -> None:
    """No module needs a package that was left out or a folder that was not copied."""
    stage = dockerfile.targets()[name]
    held = [source.removeprefix("/app/") for _, source in stage.copies() if source != "/venv"]
    gone = {MODULES.get(package, package) for package in dockerfile.left_out(stage)}
    blocked = (OURS - set(held)) | gone
    done = run(
        sys.executable, "-c", IMPORTER, ",".join(held), ",".join(blocked), ",".join(CHILDREN)
    )
    assert done.returncode == 0, done.stderr
    entry = "functions.entry" if name == "functions" else f"{name}.__main__"
    assert {entry, "infra.gcp.objects", "infra.wiring"} <= set(done.stdout.split())


def test_an_import_of_something_left_out_would_be_seen() -> None:
    """The wall of the test above stands: the probe's child does need av."""
    done = run(sys.executable, "-c", IMPORTER, "transcoder", "av", "transcoder.sandbox")
    assert "av is not in the image" in done.stderr
