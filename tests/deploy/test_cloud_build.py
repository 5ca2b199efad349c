"""cloudbuild.yaml: valid, bounded, and its scripts do what they say (with stand-ins for tools)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import ROOT

FILE = ROOT / "cloudbuild.yaml"
SERVICES = ("receiver", "transcoder", "confirmer", "functions")
DIGEST = "sha256:" + "a1" * 32
REGISTRY = "europe-west1-docker.pkg.dev/probe/lectern"
SUBSTITUTIONS = {
    "PROJECT_ID": "probe",
    "BUILD_ID": "build-1",
    "_REGION": "europe-west1",
    "_NAME": "lectern",
    "_STATE_BUCKET": "states",
    "_BASE_IMAGE": "python:3.11",
    "_BUILDKIT": "buildkit:1",
}
STANDS_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
    "docker buildx imagetools inspect"*) echo "$DIGEST" ;;
    "docker buildx build "*)
        while [ "$1" != --metadata-file ]; do shift; done
        printf '{\\n  "containerimage.digest": "%s"\\n}\\n' "$DIGEST" >"$2" ;;
    "gcloud artifacts docker images scan "*) echo a-scan ;;
    "gcloud artifacts docker images list-vulnerabilities "*) printf "$FOUND" ;;
    "gcloud storage cp gs://"*) echo 'region = "europe-west1"' >"$4" ;;
    "terraform output -json urls")
        echo '{"confirmer":"https://confirmer.invalid","receiver":"https://receiver.invalid"}' ;;
esac
"""


def build() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


class Workspace:
    """What Cloud Build calls /workspace, and tools that only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "workspace"
        (self.folder / "terraform" / "example").mkdir(parents=True)
        backend = "terraform/example/backend.tf.example"
        (self.folder / backend).write_text((ROOT / backend).read_text())
        self._calls = folder / "calls"
        self._calls.touch()
        self._tools = folder / "tools"
        self._tools.mkdir()
        for name in ("docker", "gcloud", "terraform"):
            (self._tools / name).write_text(STANDS_IN)
            (self._tools / name).chmod(0o755)

    def run(self, step: str, *, found: str = "") -> subprocess.CompletedProcess[str]:
        """Run a step's script as Cloud Build does; `found` is what the scanner found."""
        script = self.folder.parent / step
        script.write_text(next(s["script"] for s in build()["steps"] if s["id"] == step))
        script.chmod(0o755)
        return subprocess.run(
            [script],
            cwd=self.folder,
            env={
                **SUBSTITUTIONS,
                "PATH": f"{self._tools}:{os.environ['PATH']}",
                "CALLS": str(self._calls),
                "DIGEST": DIGEST,
                "FOUND": found,
            },
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def calls(self, beginning: str) -> list[str]:
        """Return the calls that begin like this."""
        lines = self._calls.read_text().splitlines()
        return [line for line in lines if line.startswith(beginning)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_the_file_follows_cloud_builds_schema() -> None:
    """Google's own schema of a build has nothing against it."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    found = subprocess.run(
        [checker, "--builtin-schema", "vendor.cloudbuild", FILE],
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout


def test_every_builder_is_pinned_and_every_step_bounded() -> None:
    """No step runs `latest` or as long as it likes, and together they fit the build's time."""
    loaded = build()
    for step in loaded["steps"]:
        assert re.search(r":(v?\d+\.\d+\.\d+[\w-]*|\$BUILD_ID)$", step["name"]), step["name"]
    seconds = {step["id"]: int(step["timeout"].removesuffix("s")) for step in loaded["steps"]}
    one_after_another = sum(seconds.values()) - seconds["test"]  # which runs beside `build`
    assert seconds["test"] <= seconds["build"]
    assert one_after_another <= int(loaded["timeout"].removesuffix("s"))


def test_nothing_is_deployed_before_tests_and_scan_are_done() -> None:
    """Every way to the step `deploy` leads over `test`, `build` and `scan`."""
    after = {step["id"]: set(step["waitFor"]) for step in build()["steps"]}

    def before(step: str) -> set[str]:
        direct = after.get(step, set()) - {"-"}
        return direct.union(*map(before, direct))

    assert {"test", "build", "scan", "settings"} <= before("deploy")
    assert "deploy" in before("smoke")


def test_the_build_has_its_own_account_and_logs_to_cloud_logging_alone() -> None:
    """The default account may far too much, and asks for no log bucket."""
    loaded = build()
    assert "${_SERVICE_ACCOUNT}@" in loaded["serviceAccount"]
    assert loaded["options"]["logging"] == "CLOUD_LOGGING_ONLY"


def test_every_target_is_built_on_one_base_by_digest(workspace: Workspace) -> None:
    """All images stand on the same base, and each goes on under its digest."""
    assert workspace.run("build").returncode == 0
    made = workspace.calls("docker buildx build")
    assert len(made) == len(SERVICES) + 1
    assert all(f"BASE_DIGEST=@{DIGEST}" in call for call in made)
    for service in SERVICES:
        kept = (workspace.folder / "built" / service).read_text().strip()
        assert kept == f"{REGISTRY}/{service}@{DIGEST}"


def test_only_digests_that_were_scanned_are_deployed(workspace: Workspace) -> None:
    """Terraform is given the very references that the scanner was given."""
    for step in ("build", "scan", "settings"):
        done = workspace.run(step, found="LOW\\nMEDIUM\\n")
        assert done.returncode == 0, done.stderr
    folder = workspace.folder / "terraform" / "example"
    images = json.loads((folder / "images.auto.tfvars.json").read_text())["images"]
    scanned = [call.split()[5] for call in workspace.calls("gcloud artifacts docker images scan")]
    assert list(images) == list(SERVICES)
    assert list(images.values()) == scanned
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in scanned)
    backend = (folder / "backend.tf").read_text()
    assert 'bucket = "states"' in backend
    assert 'prefix = "lectern"' in backend


@pytest.mark.parametrize("found", ["CRITICAL\\n", "LOW\\nCRITICAL\\nLOW\\n"])
def test_a_critical_vulnerability_stops_the_build(workspace: Workspace, found: str) -> None:
    """The scan fails and names the image."""
    workspace.run("build")
    done = workspace.run("scan", found=found)
    assert done.returncode == 1
    assert f"receiver@{DIGEST} has a critical vulnerability" in done.stderr


def test_an_image_without_findings_passes_the_scan(workspace: Workspace) -> None:
    """Finding nothing at all is no failure."""
    workspace.run("build")
    assert workspace.run("scan", found="").returncode == 0


def test_a_missing_state_bucket_stops_before_terraform(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a bucket for the state nothing is applied, and the message says what to give."""
    workspace.run("build")
    monkeypatch.setitem(SUBSTITUTIONS, "_STATE_BUCKET", "")
    done = workspace.run("settings")
    assert done.returncode != 0
    assert "give the bucket of the Terraform state" in done.stderr


def test_the_smoke_test_is_given_what_terraform_put_out(workspace: Workspace) -> None:
    """The URLs of receiver and confirmer reach the last step's files."""
    for step in ("build", "settings", "deploy"):
        assert workspace.run(step).returncode == 0
    assert workspace.calls("terraform apply -auto-approve")
    for service in ("receiver", "confirmer"):
        url = (workspace.folder / "built" / f"{service}.url").read_text().strip()
        assert url == f"https://{service}.invalid"
    smoke = next(step for step in build()["steps"] if step["id"] == "smoke")
    assert "built/receiver.url" in smoke["args"][1]
    assert "INTERNAL_SERVICE_KEY" in smoke["secretEnv"]
