"""compose.yaml is valid, and names only what exists."""

from __future__ import annotations

import ast
import base64
import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from infra.settings import Settings
from tests.compose.reader import FILE, Service, services
from tests.compose.stack import BIN
from tests.gcp.provision import ENDPOINTS
from tests.service.harness import ROOT
from transcoder.push import PATHS

ALL: Final[Mapping[str, Service]] = services()
KNOWN: Final = {
    "PUBSUB_EMULATOR_HOST",
    "FIRESTORE_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "FUNCTION_TARGET",
    "HOME",
    "CLOUDSDK_CONFIG",
    "JAVA_TOOL_OPTIONS",
    *ENDPOINTS.values(),
}
"""Variables that are read by others than `infra.settings`."""
TMP: Final = "/tmp"  # noqa: S108 - the container's own
each_service = pytest.mark.parametrize("service", ALL.values(), ids=list(ALL))


def test_the_file_follows_the_compose_specification() -> None:
    _run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE))


def test_podman_reads_the_same_services(tmp_path: Path) -> None:
    """podman-compose merges anchors and defaults as the reader of these tests does."""
    podman = tmp_path / "podman"  # it asks for the version and for nothing more
    podman.write_text("#!/bin/sh\necho podman version 5.6.0\n")
    podman.chmod(0o755)
    text = _run(
        str(BIN / "podman-compose"), "--podman-path", str(podman), "-f", str(FILE), "config"
    )
    theirs = yaml.safe_load(text)["services"]
    assert set(theirs) == set(ALL)
    for name, service in ALL.items():
        assert theirs[name].get("environment", {}) == service.own_environment
        assert tuple(theirs[name].get("command", service.command)) == service.command


@each_service
def test_every_command_names_something_that_exists(service: Service) -> None:
    program, *words = service.command
    if program == "python":
        assert words[0] == "-m"
        assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
    elif program == "functions-framework":
        assert (BIN / program).exists()
        source = Path(service.environment["FUNCTION_SOURCE"].replace("/app", str(ROOT)))
        assert service.environment["FUNCTION_TARGET"] in _functions(source)
    else:
        assert program == "gcloud"


@each_service
def test_every_variable_is_read_by_somebody(service: Service) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    assert set(service.own_environment) - settings - KNOWN == set()


@each_service
def test_every_service_has_a_health_check_or_an_end(service: Service) -> None:
    assert bool(service.check) != service.one_shot
    assert set(service.waits_for) <= set(ALL)
    for other, condition in service.waits_for.items():
        ends = ALL[other].one_shot
        assert condition == ("service_completed_successfully" if ends else "service_healthy")


@each_service
def test_nothing_can_be_written_and_nobody_else_gets_in(service: Service) -> None:
    assert service.said["read_only"] is True
    assert service.said["tmpfs"] == [TMP]
    assert service.said["cap_drop"] == ["ALL"]
    assert "privileged" not in service.said
    assert all(port.startswith("127.0.0.1:") for port in service.published)


@each_service
def test_images_are_built_from_a_target_or_pinned(service: Service) -> None:
    image = service.said["image"]
    assert re.search(r":\d+\.\d+\.\d+-", image) or service.target, image
    if service.target:
        assert image == f"lectern-{service.target}:development"


@each_service
def test_every_address_leads_to_a_service(service: Service) -> None:
    """`name:port` anywhere in a service is a service that listens there."""
    for text in (*service.command, *service.own_environment.values(), *service.check):
        for name, port in re.findall(r"(?:^|[/=])([a-z][a-z-]*):(\d+)", text):
            assert port in ALL[name].ports, text


def test_messages_are_pushed_where_somebody_takes_them() -> None:
    told = ALL["provision"].own_environment
    paths = {re.sub(r"^http://[^/]+", "", told[name]) for name in ENDPOINTS.values()}
    assert paths == {*PATHS, "/"}


def test_key_and_secret_say_that_they_are_for_development() -> None:
    for service in ALL.values():
        secrets = service.own_environment
        assert "development" in secrets.get("INTERNAL_SERVICE_KEY", "development")
        signing = secrets.get("WEBHOOK_SECRET", "whsec_ZGV2ZWxvcG1lbnQ=").removeprefix("whsec_")
        assert base64.b64decode(signing).startswith(b"development")


def _functions(source: Path) -> set[str]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _run(*argv: str) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        argv, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
