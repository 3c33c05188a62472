"""The manifests of Kubernetes. No cluster is needed: nothing is applied."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from deployed import DEPLOY, IMAGE_USER, checked, is_command

from data_fetch.cli.run import STOP_SECONDS
from data_fetch.core.settings import Settings

FOLDER = DEPLOY / "k8s"
KUSTOMIZATION = FOLDER / "kustomization.yaml"
TEMPLATE = FOLDER / "secret.example.yaml"
FILES = sorted(set(FOLDER.glob("*.yaml")) - {KUSTOMIZATION})
# Where each command listens.
PORTS = {"api": 8000, "stream": 8002, "dashboard": 8501}


def objects(kind: str) -> dict[str, Any]:
    """All objects of *kind* by name."""
    return {
        each["metadata"]["name"]: each
        for file in FILES
        for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if each["kind"] == kind
    }


DEPLOYMENTS = objects("Deployment")
# Nothing is sent to these.
COLLECTING = {"data-fetch-scheduler", "data-fetch-worker"}
WITHOUT_A_PORT = {*COLLECTING, "data-fetch-alerts"}
SERVERS = {name: of for name, of in DEPLOYMENTS.items() if name not in WITHOUT_A_PORT}

each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
each_server = pytest.mark.parametrize("name", SERVERS)


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def containers_of(deployment: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pod = pod_of(deployment)
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def labels_of(deployment: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def selected(selector: dict[str, Any]) -> set[str]:
    """The deployments whose pods *selector* selects."""
    exact = selector.get("matchLabels", {}).items()
    listed = selector.get("matchExpressions", [])
    return {
        name
        for name, deployment in DEPLOYMENTS.items()
        if exact <= (labels := labels_of(deployment)).items()
        and all(labels.get(each["key"]) in each["values"] for each in listed)
    }


def test_every_field_is_known() -> None:
    found = checked(
        "kubernetes-validate", "--strict", *map(str, FILES), package="pip: requirements-dev.txt"
    )

    assert found.returncode == 0, found.stdout + found.stderr


def test_everything_but_the_template_of_secrets_is_applied() -> None:
    applied = yaml.safe_load(KUSTOMIZATION.read_text(encoding="utf-8"))["resources"]

    assert sorted(applied) == [file.name for file in FILES if file != TEMPLATE]


def test_nothing_is_bound_to_a_namespace() -> None:
    bound = re.compile(r"^\s*namespace:", re.MULTILINE)

    assert [file for file in FILES if bound.search(file.read_text(encoding="utf-8"))] == []


@each_deployment
def test_a_deployment_selects_its_own_pods_only(deployment: dict[str, Any]) -> None:
    selector = deployment["spec"]["selector"]

    assert selector["matchLabels"] == labels_of(deployment)
    assert selected(selector) == {deployment["metadata"]["name"]}


@each_server
def test_a_service_selects_the_pods_of_its_server_at_their_port(name: str) -> None:
    service = objects("Service")[name]["spec"]
    [container] = pod_of(SERVERS[name])["containers"]
    [port], [named] = service["ports"], container["ports"]

    assert selected({"matchLabels": service["selector"]}) == {name}
    assert port["targetPort"] == named["name"]
    assert port["port"] == named["containerPort"] == PORTS[container["name"]]


@each_server
def test_a_server_has_probes_at_its_port(name: str) -> None:
    [container] = pod_of(SERVERS[name])["containers"]
    probes = [container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
    paths = [probe["httpGet"]["path"] for probe in probes if "httpGet" in probe]

    assert all(next(iter(probe.values()))["port"] == "http" for probe in probes)
    # Every page of the dashboard is for accounts.
    expected = ["/health/live", "/health/live", "/health/ready"]
    assert paths == ([] if name == "data-fetch-dashboard" else expected)


@each_deployment
def test_a_container_starts_a_command_that_exists(deployment: dict[str, Any]) -> None:
    started = [each["args"] for each in containers_of(deployment) if "args" in each]

    assert started
    assert [arguments for arguments in started if not is_command(arguments)] == []


def test_one_scheduler_collects_and_is_stopped_before_the_next_one_starts() -> None:
    scheduler = DEPLOYMENTS["data-fetch-scheduler"]["spec"]

    assert scheduler["replicas"] == 1
    assert scheduler["strategy"] == {"type": "Recreate"}
    assert scheduler["template"]["spec"]["terminationGracePeriodSeconds"] > STOP_SECONDS


def test_the_schema_is_migrated_before_the_scheduler_starts() -> None:
    [migration] = pod_of(DEPLOYMENTS["data-fetch-scheduler"])["initContainers"]

    assert migration["args"] == ["db", "upgrade"]


@each_deployment
def test_a_pod_has_no_rights_that_it_does_not_need(deployment: dict[str, Any]) -> None:
    pod = pod_of(deployment)

    assert pod["automountServiceAccountToken"] is False
    # The variables of a service named `api` would begin with API_PORT.
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == IMAGE_USER
    for container in containers_of(deployment):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@each_deployment
def test_what_a_pod_names_is_defined(deployment: dict[str, Any]) -> None:
    pod = pod_of(deployment)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes.values()
        if "persistentVolumeClaim" in volume
    }

    assert claims <= objects("PersistentVolumeClaim").keys()
    for container in containers_of(deployment):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
        for source in container.get("envFrom", []):
            [(kind, of)] = source.items()
            defined = objects("ConfigMap" if kind == "configMapRef" else "Secret")
            assert of["name"] in defined


def test_settings_exist_and_those_that_are_secret_are_in_the_template_without_a_value() -> None:
    [settings], [secret] = objects("ConfigMap").values(), objects("Secret").values()
    known = {
        str(name)
        for field in Settings.model_fields.values()
        for name in getattr(field.validation_alias, "choices", ())
    }

    assert settings["data"].keys() | secret["stringData"].keys() <= known
    assert set(secret["stringData"].values()) == {""}
    assert not re.search(r"PASSWORD|SECRET|TOKEN", " ".join(settings["data"]))


@pytest.mark.parametrize("name", ["data-fetch-api", "data-fetch-worker"])
def test_an_autoscaler_scales_what_may_be_several(name: str) -> None:
    target = objects("HorizontalPodAutoscaler")[name]["spec"]["scaleTargetRef"]

    assert (target["kind"], target["name"]) == ("Deployment", name)
    # It decides how many there are; a number in the manifest would undo that at each change.
    assert "replicas" not in DEPLOYMENTS[name]["spec"]


def test_where_the_scheduler_leaves_work_there_are_workers() -> None:
    [scheduler] = pod_of(DEPLOYMENTS["data-fetch-scheduler"])["containers"]
    [settings] = objects("ConfigMap").values()

    assert scheduler["args"] == ["run", "--distributed"]
    assert "data-fetch-worker" in DEPLOYMENTS
    assert settings["data"]["CELERY_BROKER_URL"]


@pytest.mark.parametrize(
    ("policy", "pods"),
    [
        ("data-fetch-nothing-else", set(DEPLOYMENTS)),
        ("data-fetch-stores", set(DEPLOYMENTS)),
        ("data-fetch-channels", {"data-fetch-alerts"}),
        ("data-fetch-providers", COLLECTING),
        ("data-fetch-clients", set(SERVERS)),
    ],
)
def test_a_network_policy_is_about_the_pods_that_it_names(policy: str, pods: set[str]) -> None:
    assert selected(objects("NetworkPolicy")[policy]["spec"]["podSelector"]) == pods


def test_by_default_a_pod_neither_sends_nor_receives() -> None:
    default = objects("NetworkPolicy")["data-fetch-nothing-else"]["spec"]

    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert default.keys().isdisjoint({"ingress", "egress"})
