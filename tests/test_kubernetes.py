"""deploy/kubernetes, checked without a cluster: held to our command line, to what processes serve, to each other."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
import yaml

from monitor.metrics import Metrics
from streams import supervisor
from streams.cli import CONFIG_FILE, PREFIX, make_app
from streams.flow.hosts import parse_hosts
from streams.metrics_server import metrics_server
from streams.tunnel.tunnel import DRAIN_S
from tests.integration.stack import free_port
from tests.test_compose import settings_of

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
DOCUMENTS: list[dict[str, Any]] = [
    document for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
]
SECRETS = {"coda-keys": {"cloud.key", "cloud.pub"}, "coda-kafka": {"kafka.properties"}}  # as the README there says
CONFIG = tomllib.loads(next(d["data"][CONFIG_FILE] for d in DOCUMENTS if d["kind"] == "ConfigMap"))


class Pod(NamedTuple):
    owner: dict[str, Any]
    labels: dict[str, str]
    spec: dict[str, Any]


def of_kind(*kinds: str) -> Iterator[dict[str, Any]]:
    return (document for document in DOCUMENTS if document["kind"] in kinds)


PODS = {
    owner["metadata"]["name"]: Pod(owner, template["metadata"]["labels"], template["spec"])
    for owner in of_kind("StatefulSet", "Deployment")
    for template in [owner["spec"]["template"]]
}
CONTAINERS = {
    container["name"]: (pod, container)
    for pod in PODS.values()
    for container in [*pod.spec["containers"], *pod.spec.get("initContainers", [])]
}
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def test_all_our_parts_are_there() -> None:
    assert set(PODS) == {"flow", "tunnel", "trainer", "fleet"}
    assert len({(d["kind"], d["metadata"]["name"]) for d in DOCUMENTS}) == len(DOCUMENTS)
    assert {d["metadata"].get("namespace") for d in DOCUMENTS if d["kind"] != "Namespace"} == {"coda"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_its_command_parses_through_our_own_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, container = CONTAINERS[name]
    (config,) = [document["data"][CONFIG_FILE] for document in of_kind("ConfigMap")]
    (tmp_path / CONFIG_FILE).write_text(config)
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], "0")  # of a pod
    command = container["args"]
    function, bound, ignored = make_app(command[0]).parse_args(command, exit_on_error=False, print_error=False)
    assert function.__module__.startswith("streams.commands.") and not ignored
    arguments = dict(bound.arguments)
    if command[0] in CONFIG:  # what the file says has arrived
        assert arguments["metrics_port"] == CONFIG[command[0]]["metrics-port"]
        assert arguments["kafka"].bootstrap == CONFIG[command[0]]["bootstrap"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_variable_and_each_line_of_the_file_is_a_setting_of_its_command(name: str) -> None:
    _, container = CONTAINERS[name]
    command = container["args"]
    known = settings_of(command)
    known |= {variable.replace(PREFIX, f"{PREFIX}{command[0].upper().replace('-', '_')}_") for variable in known}
    assert {variable["name"] for variable in container.get("env", [])} <= known
    assert {PREFIX + line.upper().replace("-", "_") for line in CONFIG.get(command[0], {})} <= known


def test_the_hosts_of_the_flow_are_its_pods() -> None:
    flow, settings = PODS["flow"].owner, CONFIG["flow"]
    hosts = parse_hosts(settings["hosts"], 0, settings["processes"])
    (service,) = [d for d in of_kind("Service") if d["metadata"]["name"] == flow["spec"]["serviceName"]]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    names = [f"flow-{n}.{service['metadata']['name']}.coda.svc.cluster.local" for n in range(flow["spec"]["replicas"])]
    assert [address.name for address in hosts.addresses] == names
    assert hosts.workers <= settings["shards"]
    assert flow["spec"]["podManagementPolicy"] == "Parallel", "in order, the first would wait for the second for ever"


def test_the_ports_of_the_flow_are_open_to_its_own_pods_alone() -> None:
    settings = CONFIG["flow"]
    (first,) = {address.port for address in parse_hosts(settings["hosts"], 0, settings["processes"]).addresses}
    (policy,) = of_kind("NetworkPolicy")
    own, metrics = policy["spec"]["ingress"]
    assert own["ports"] == [{"port": first, "endPort": first + settings["processes"]}]
    assert own["from"] == [{"podSelector": policy["spec"]["podSelector"]}]
    port = settings["metrics-port"]
    assert metrics == {"ports": [{"port": port, "endPort": port + settings["processes"] - 1}]}
    said = {each["containerPort"] for each in CONTAINERS["flow"][1]["ports"]}
    assert said == {port, *range(first, first + settings["processes"] + 1)}


@pytest.mark.parametrize(
    ("name", "probe"), [(name, probe) for name, (_, each) in CONTAINERS.items() for probe in PROBES if probe in each]
)
def test_each_probe_asks_what_is_served(name: str, probe: str) -> None:
    _, container = CONTAINERS[name]
    asked = container[probe]["httpGet"]
    (port,) = [each["containerPort"] for each in container["ports"] if each["name"] == asked["port"]]
    assert port == CONFIG[container["args"][0]]["metrics-port"]
    free = free_port()
    with metrics_server(free, Metrics().registry), urlopen(f"http://127.0.0.1:{free}{asked['path']}") as answer:
        assert answer.status == 200


def test_a_flow_that_waits_for_other_hosts_is_not_killed_for_it() -> None:
    assert {"readinessProbe"} == set(PROBES) & set(CONTAINERS["flow"][1])


@pytest.mark.parametrize("name", PODS)
def test_selectors_match_labels(name: str) -> None:
    pod = PODS[name]
    assert pod.owner["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()


def test_every_budget_policy_and_service_selects_a_pod() -> None:
    selectors = [d["spec"]["selector"]["matchLabels"] for d in of_kind("PodDisruptionBudget")]
    selectors += [d["spec"]["podSelector"]["matchLabels"] for d in of_kind("NetworkPolicy")]
    selectors += [d["spec"]["selector"] for d in of_kind("Service")]
    for selector in selectors:
        assert any(selector.items() <= pod.labels.items() for pod in PODS.values()), selector
    budgets = {d["metadata"]["name"] for d in of_kind("PodDisruptionBudget")}
    assert budgets == {name for name, pod in PODS.items() if pod.owner["spec"]["replicas"] > 1}


@pytest.mark.parametrize("name", PODS)
def test_what_is_mounted_is_there(name: str) -> None:
    pod = PODS[name]
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    claims = {claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", [])}
    used = [container for owner, container in CONTAINERS.values() if owner is pod]
    mounted = {mount["name"] for container in used for mount in container["volumeMounts"]}
    assert mounted == set(volumes) | claims
    made = {(d["kind"], d["metadata"]["name"]) for d in DOCUMENTS}
    for volume in volumes.values():
        if secret := volume.get("secret"):
            assert {item["key"] for item in secret.get("items", [])} <= SECRETS[secret["secretName"]]
        elif "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in made
        elif claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in made
        else:
            assert volume == {"name": volume["name"], "emptyDir": {}}


def test_secrets_are_referenced_and_none_is_here() -> None:
    assert not list(of_kind("Secret"))
    with_key = [
        name
        for name, pod in PODS.items()
        for volume in pod.spec["volumes"]
        if volume.get("secret", {}).get("secretName") == "coda-keys" and "items" not in volume["secret"]
    ]
    assert with_key == ["trainer"], "the private key is the trainer's alone"


@pytest.mark.parametrize("command", ["flow", "tunnel", "train-cloud", "fleet"])
def test_every_file_and_folder_of_a_command_is_on_one_of_its_mounts(command: str) -> None:
    (container,) = [container for _, container in CONTAINERS.values() if container["args"][0] == command]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    paths = [value for value in CONFIG[command].values() if isinstance(value, str) and value.startswith("/")]
    assert paths and all(any(path.startswith(f"{mount}/") or path == mount for mount in mounts) for path in paths)
    assert {"name": "config", "mountPath": f"/app/{CONFIG_FILE}", "subPath": CONFIG_FILE} in container["volumeMounts"]


def test_the_image_runs_in_the_folder_where_the_file_is_mounted() -> None:
    assert "\nWORKDIR /app\n" in (FOLDER.parents[1] / "Dockerfile").read_text()


def test_pods_have_the_time_that_a_good_end_takes() -> None:
    assert PODS["flow"].spec["terminationGracePeriodSeconds"] > supervisor._DRAIN_S
    assert PODS["tunnel"].spec["terminationGracePeriodSeconds"] > 2 * DRAIN_S


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_says_what_it_takes_and_may_take_no_more_rights(name: str) -> None:
    pod, container = CONTAINERS[name]
    assert {"cpu", "memory"} <= set(container["resources"]["requests"]) and container["resources"]["limits"]["memory"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert pod.spec["securityContext"]["runAsNonRoot"] and pod.spec["automountServiceAccountToken"] is False
