"""The image, and the containers on one machine. No engine is needed: nothing is started."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import CHECKOUT
from deployed import DEPLOY, IMAGE_USER, checked, is_command

from data_fetch.cli.run import STOP_SECONDS

DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = DEPLOY / "docker-compose.yml"
IMAGE = DOCKERFILE.read_text(encoding="utf-8")
STACK: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = STACK["services"]
OWN = {name: of for name, of in SERVICES.items() if of["image"] == "data-fetch"}
PIP = "pip: requirements-dev.txt"

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_own = pytest.mark.parametrize("service", OWN.values(), ids=OWN)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    found = checked("hadolint", str(DOCKERFILE), package=PIP)

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_what_the_image_is_built_from_is_in_its_context_and_exists() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", IMAGE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    lines = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    packaged = re.findall(
        r'^"(\S+)" = "data_fetch/packaged',
        (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"),
        re.MULTILINE,
    )

    assert "*" in lines
    assert copied == {line[1:] for line in lines if line.startswith("!")}
    assert copied >= {*packaged, "data_fetch", "pyproject.toml", "requirements.txt"}
    assert [name for name in copied if not (CHECKOUT / name).exists()] == []


def test_the_image_is_based_on_a_digest_runs_as_no_root_and_starts_a_command() -> None:
    [base] = re.findall(r"^ARG BASE=(\S+)$", IMAGE, re.MULTILINE)
    [entry] = re.findall(r"^ENTRYPOINT (.+)$", IMAGE, re.MULTILINE)
    [command] = re.findall(r"^CMD (.+)$", IMAGE, re.MULTILINE)

    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert re.findall(r"^USER (.+)$", IMAGE, re.MULTILINE) == [f"{IMAGE_USER}:{IMAGE_USER}"]
    assert json.loads(entry) == ["data-fetch"]
    assert is_command(json.loads(command))


def test_the_stack_follows_the_specification() -> None:
    found = checked(
        "check-jsonschema",
        *("--builtin-schema", "vendor.compose-spec"),
        str(COMPOSE),
        package=PIP,
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_compose_reads_the_stack(tmp_path: Path) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text(encoding="utf-8")))
    secrets = tmp_path / "environment"
    secrets.write_text("".join(f"{name}=secret\n" for name in sorted(needed)), encoding="utf-8")
    found = checked(
        "docker-compose",
        *("--env-file", str(secrets), "--file", str(COMPOSE), "config", "--quiet"),
        package="Debian: docker-compose",
    )

    assert (found.returncode, found.stderr) == (0, "")


def test_prometheus_accepts_its_configuration() -> None:
    containers = str(DEPLOY / "prometheus" / "containers.yml")
    found = checked(
        "promtool", *("check", "config", "--syntax-only"), containers, package="Debian: prometheus"
    )

    assert found.returncode == 0, found.stdout + found.stderr


@each_own
def test_a_container_starts_a_command_that_exists(service: dict[str, Any]) -> None:
    assert is_command(service["command"])


@each_own
def test_a_container_can_change_nothing_but_its_data(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["state:/var/lib/data-fetch"]


def test_where_the_scheduler_leaves_work_there_are_workers_and_a_broker_that_keeps_it() -> None:
    broker = SERVICES["broker"]

    assert "--distributed" in SERVICES["scheduler"]["command"]
    assert SERVICES["worker"]["command"][0] == "worker"
    assert broker["command"][-4:] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    assert broker["volumes"] == ["broker:/data"]
    assert SERVICES["worker"]["environment"]["CELERY_BROKER_URL"].startswith("redis://broker:")


@pytest.mark.parametrize("name", sorted(OWN.keys() - {"migration"}))
def test_the_schema_is_migrated_before_the_others_start(name: str) -> None:
    assert OWN[name]["depends_on"]["migration"] == {"condition": "service_completed_successfully"}


@each_service
def test_a_port_is_published_on_this_machine_only(service: dict[str, Any]) -> None:
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migration", "api"}))
def test_a_container_has_a_check_of_its_health(name: str) -> None:
    # That of the API is in the image.
    assert SERVICES[name]["healthcheck"]["test"]


@each_service
def test_what_a_container_names_is_defined(service: dict[str, Any]) -> None:
    mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]

    assert set(service.get("secrets", [])) <= STACK["secrets"].keys()
    assert set(service["networks"]) <= STACK["networks"].keys()
    assert set(service.get("depends_on", [])) <= SERVICES.keys()
    for volume in mounted:
        if volume.startswith("."):
            assert (DEPLOY / volume).is_dir()
        else:
            assert volume in STACK["volumes"]


@each_service
def test_no_secret_is_in_the_file(service: dict[str, Any]) -> None:
    secret = {
        name: value
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|TOKEN", name)
    }

    assert [value for value in secret.values() if not re.fullmatch(r"\$\{\w+:\?.+\}", value)] == []


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - OWN.keys()))
def test_an_image_of_others_has_a_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+", SERVICES[name]["image"])


def test_no_file_names_an_image_whose_version_floats() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.suffix in {".yml", ".yaml"}]
    named = {
        (path.name, image)
        for path in [*files, DOCKERFILE]
        for image in re.findall(
            r"^(?:\s*(?:- )?image: |FROM |ARG BASE=)(\S+)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    }
    # Built here; the tag of a release is in deploy/k8s/kustomization.yaml.
    others = {(file, image) for file, image in named if image not in {"data-fetch", "${BASE}"}}

    assert others
    assert {each for each in others if not re.search(r":v?\d[^:]*$|@sha256:", each[1])} == set()


def test_database_and_redis_are_reached_by_our_containers_only() -> None:
    assert STACK["networks"]["stores"]["internal"] is True
    for name in ("timescaledb", "redis", "broker"):
        assert SERVICES[name]["networks"] == ["stores"]
        assert "ports" not in SERVICES[name]


def test_the_collector_has_the_time_that_a_stop_needs() -> None:
    assert int(SERVICES["scheduler"]["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
