#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What fdtrace is deployed with: manifests and Dockerfile agree with each other, with the program
and with the unit; and the container that src/fleet/README.md starts does trace the host.

No cluster and no registry here: the manifests are held against a schema of the fields they use
(after the reference of Kubernetes 1.31), the Dockerfile is read and not built.
"""
import copy
import functools
import os
import re
import shlex
import shutil
import sys
import tempfile

import jsonschema
import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, TOP, Background, Skip, case, fdtrace, main, need_tracing, program, run
from podman import Podman

FLEET = os.path.join(TOP, "src", "fleet")
UNIT = os.path.join(TOP, "src", "systemd", "fdtrace.service")

TEXT, FLAG, COUNT = {"type": "string", "minLength": 1}, {"type": "boolean"}, {"type": "integer", "minimum": 1}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}  # true and 9893 have to be quoted
QUANTITY = {"type": "string", "pattern": "^[0-9]+(m|Ki|Mi|Gi)?$"}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY, "propertyNames": {"enum": ["cpu", "memory"]}}


def fields(required, **properties):
    """An object with these fields and no others."""
    return {"type": "object", "properties": properties, "required": required.split(), "additionalProperties": False}


def several(item):
    return {"type": "array", "items": item, "minItems": 1}


METADATA = fields("name labels", name=NAME, namespace=NAME, labels=LABELS)
PROBE = fields("httpGet", httpGet=fields("path port", path=TEXT, port=NAME), periodSeconds=COUNT,
               failureThreshold=COUNT, timeoutSeconds=COUNT)
SECURITY = fields("privileged allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
                  privileged={"const": False}, allowPrivilegeEscalation={"const": False},
                  readOnlyRootFilesystem={"const": True}, runAsUser={"const": 0},
                  capabilities=fields("drop add", drop={"const": ["ALL"]},
                                      add=several({"type": "string", "pattern": "^(?!CAP_)[A-Z_]+$"})),
                  seLinuxOptions=fields("type", type=TEXT),
                  seccompProfile=fields("type", type={"enum": ["RuntimeDefault", "Unconfined", "Localhost"]}))
CONTAINER = fields("name image args securityContext resources", name=NAME, image=TEXT,
                   imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]}, args=several(TEXT),
                   env=several(fields("name valueFrom", name=TEXT, valueFrom=fields(
                       "fieldRef", fieldRef=fields("fieldPath", fieldPath={"const": "spec.nodeName"})))),
                   ports=several(fields("containerPort", name=NAME, containerPort=COUNT)),
                   securityContext=SECURITY,
                   resources=fields("requests limits", requests=QUANTITIES, limits=QUANTITIES),
                   startupProbe=PROBE, livenessProbe=PROBE, readinessProbe=PROBE,
                   volumeMounts=several(fields("name mountPath", name=NAME, mountPath=TEXT, readOnly=FLAG)))
VOLUME = fields("name", name=NAME, configMap=fields("name", name=NAME),
                hostPath=fields("path type", path={"type": "string", "pattern": "^/"},
                                type={"enum": ["File", "Directory", "DirectoryOrCreate"]}),
                emptyDir=fields("", medium={"const": "Memory"}, sizeLimit=QUANTITY))
POD = fields("containers serviceAccountName automountServiceAccountToken hostPID", serviceAccountName=NAME,
             automountServiceAccountToken={"const": False}, enableServiceLinks=FLAG, hostPID={"const": True},
             nodeSelector=LABELS, tolerations=several(fields("operator", operator={"enum": ["Exists", "Equal"]})),
             terminationGracePeriodSeconds=COUNT, containers=several(CONTAINER), volumes=several(VOLUME))
KINDS = {
    ("v1", "Namespace"): dict(metadata=METADATA),
    ("v1", "ServiceAccount"): dict(metadata=METADATA, automountServiceAccountToken={"const": False}),
    ("v1", "ConfigMap"): dict(metadata=METADATA, data=LABELS),
    ("apps/v1", "DaemonSet"): dict(metadata=METADATA, spec=fields(
        "selector template", selector=fields("matchLabels", matchLabels=LABELS),
        updateStrategy=fields("type rollingUpdate", type={"const": "RollingUpdate"},
                              rollingUpdate=fields("maxUnavailable", maxUnavailable=TEXT)),
        template=fields("metadata spec", metadata=fields("labels", labels=LABELS, annotations=LABELS), spec=POD))),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"): dict(resources=several(TEXT)),
}


def load(name):
    with open(os.path.join(FLEET, name), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def check(document):
    kind = (document.get("apiVersion"), document.get("kind"))
    assert kind in KINDS, f"unknown: {kind}"
    properties = dict(KINDS[kind], apiVersion=TEXT, kind=TEXT)
    jsonschema.validate(document, fields(" ".join(properties), **properties))


@functools.lru_cache(maxsize=None)
def manifests():
    return {d["kind"]: d for d in load("kubernetes/daemonset.yaml")}


def pod():
    return manifests()["DaemonSet"]["spec"]["template"]["spec"]


def config():
    return manifests()["ConfigMap"]["data"]["fdtrace.yaml"]


def version():
    with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as makefile:
        return re.search(r"^VERSION := (\S+)$", makefile.read(), re.M)[1]


@case("manifests: every field is one that Kubernetes has, of the right type")
def schema():
    for document in load("kubernetes/daemonset.yaml") + load("kubernetes/kustomization.yaml"):
        check(document)


@case("the schema does look: a misspelt field, a number for a text, a privileged container")
def schema_looks():
    def spoil(path, value):
        spoilt = copy.deepcopy(manifests()["DaemonSet"])
        at = spoilt["spec"]["template"]
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        try:
            check(spoilt)
        except jsonschema.ValidationError:
            return
        raise AssertionError(f"not refused: {path} = {value}")

    spoil(["spec", "hostPid"], True)
    spoil(["metadata", "annotations", "prometheus.io/port"], 9893)
    spoil(["spec", "containers", 0, "securityContext", "privileged"], True)
    spoil(["spec", "containers", 0, "securityContext", "capabilities", "add"], ["CAP_BPF"])
    spoil(["spec", "volumes", 0, "hostpath"], {"path": "/"})


@case("manifests: what they name is there")
def names_agree():
    space = manifests()["Namespace"]["metadata"]["name"]
    daemons, container = manifests()["DaemonSet"], pod()["containers"][0]
    template = daemons["spec"]["template"]["metadata"]
    assert {d["metadata"]["namespace"] for k, d in manifests().items() if k != "Namespace"} == {space}
    assert daemons["spec"]["selector"]["matchLabels"].items() <= template["labels"].items()
    assert pod()["serviceAccountName"] == manifests()["ServiceAccount"]["metadata"]["name"]
    volumes = {v["name"]: v for v in pod()["volumes"]}
    assert set(volumes) == {m["name"] for m in container["volumeMounts"]}, volumes
    assert all(len(v) == 2 for v in volumes.values()), "one source a volume"
    assert volumes["config"]["configMap"]["name"] == manifests()["ConfigMap"]["metadata"]["name"]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    listen = yaml.safe_load(config())["metrics"]["listen"]
    assert template["annotations"]["prometheus.io/port"] == listen.rsplit(":", 1)[1] == str(ports["metrics"])
    profile = "container.apparmor.security.beta.kubernetes.io/" + container["name"]
    assert template["annotations"][profile] == "unconfined"
    assert container["image"].rsplit(":", 1)[1] == version()
    for resource in load("kubernetes/kustomization.yaml")[0]["resources"]:
        assert os.path.exists(os.path.join(FLEET, "kubernetes", resource)), resource


@case("manifests: all that the daemon writes is on a volume that can be written to")
def writable_places():
    told = yaml.safe_load(config())
    paths = [o["path"] for o in told["outputs"] if "path" in o] + [told["state"], told["evidence"]["path"],
                                                                  "/run/fdtrace/lock"]
    mounts = [m["mountPath"] for m in pod()["containers"][0]["volumeMounts"] if not m.get("readOnly")]
    for path in paths:
        assert any(path.startswith(mount + "/") for mount in mounts), f"{path}: {mounts}"
    assert pod()["containers"][0]["args"][-1] == "/etc/fdtrace/fdtrace.yaml"


@case("the config map passes --check-config")
def config_map():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fdtrace.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config())
        result = fdtrace("--check-config", "--config", path)
        assert result.status == 0, f"{result}"


def capabilities_of_unit():
    with open(UNIT, encoding="utf-8") as unit:
        lines = [line.split("=", 1)[1] for line in unit if line.startswith("CapabilityBoundingSet=")]
    assert lines, "the unit has no CapabilityBoundingSet="
    return sorted(word.removeprefix("CAP_") for line in lines for word in line.split())


def readme_command():
    """The docker run line of README.md, as words."""
    with open(os.path.join(FLEET, "README.md"), encoding="utf-8") as readme:
        found = re.search(r"^    (docker run (?:.*\\\n)*.*)$", readme.read(), re.M)
    return shlex.split(found[1].replace("\\\n", " "))


@case("capabilities: the same in DaemonSet, README and unit")
def capabilities():
    given = sorted(pod()["containers"][0]["securityContext"]["capabilities"]["add"])
    shown = sorted(word.split("=")[1] for word in readme_command() if word.startswith("--cap-add="))
    assert given == shown == ["BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_PTRACE"], (given, shown)
    assert capabilities_of_unit() == given


# --- the image ---

def instructions():
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    with open(os.path.join(FLEET, "docker", "Dockerfile"), encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.split("\n") if line.strip()]


def installed_packages():
    """Of the last stage."""
    runs = [words for name, words in instructions()[-8:] if name == "RUN" and "apt-get install" in words]
    assert len(runs) == 1, runs
    return re.search(r"--no-install-recommends\s+(.*?)\s+&&", runs[0])[1].split()


@case("Dockerfile: known instructions, fixed bases, small layers, files that are there")
def dockerfile():
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    stages = []
    for name, words in instructions():
        assert name in known, name
        if name == "FROM":
            assert re.match(r"debian:[a-z]+(-slim)?( AS [a-z]+)?$", words), words
            stages.append(words.rpartition(" AS ")[2])
        if name == "RUN" and "apt-get install" in words:
            assert "apt-get update && " in words and " -y " in words and "--no-install-recommends" in words, words
        if name == "RUN" and ("apt-get install" in words or "deps.sh" in words):
            assert "rm -rf /var/lib/apt/lists/*" in words, words
        if name == "RUN" and re.search(r"(^|&& )make ", words):  # the Makefile includes others
            assert ("COPY", ". .") in instructions()[:instructions().index((name, words))], words
        if name == "COPY" and words.startswith("--from="):
            assert words.split()[0].split("=")[1] in stages, words
        elif name == "COPY":
            for source in words.split()[:-1]:
                assert os.path.exists(os.path.join(TOP, source)), source
        if name in ("ENTRYPOINT", "CMD"):
            assert yaml.safe_load(words), words
    with open(os.path.join(TOP, ".dockerignore"), encoding="utf-8") as ignored:
        assert {".git", "build"} <= set(ignored.read().split())


@case("Dockerfile: a package for every library that fdtrace is linked to")
def libraries():
    if not shutil.which("dpkg-query"):
        raise Skip("packages are asked of dpkg")
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run(["readelf", "-d", FDTRACE]).out.decode())
    paths = dict(re.findall(r"(\S+) => (/\S+)", run(["ldd", FDTRACE]).out.decode()))
    assert len(needed) > 5, needed
    for library in needed:
        if library.startswith(("libc.so", "ld-linux", "libm.so", "libasan", "libubsan")):
            continue
        path = paths[library]
        owner = run(["dpkg-query", "-S", path])
        if owner.status:  # known to dpkg by the other name of a merged /usr
            owner = run(["dpkg-query", "-S", path.removeprefix("/usr") if path.startswith("/usr") else "/usr" + path])
        package = owner.out.decode().split(":")[0]
        assert package in installed_packages(), f"{library} is of {package or owner.err}"


def as_podman(command, made):
    """README's line for a store of ours: no files of the host, another image."""
    words = command[2:command.index("fdtrace:" + version())]
    while "-v" in words:
        del words[words.index("-v"):words.index("-v") + 2]
    return made.argv + ["run"] + words + ["--log-driver=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]


@case("the container of README.md traces the host: another user's process, with its stack in words")
def container():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        made = Podman(folder)
        image = made.image({"/fdtrace": FDTRACE})
        guilty = shutil.copy(program("fill_table"), folder)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        with Background(nobody + [guilty, "endless", "64"]) as child:
            child.wait_for(b"running")
            with Background(as_podman(readme_command(), made) + [image, "/fdtrace", "-p", str(child.pid), "-j"]) \
                    as tracer:
                tracer.wait_for(b"fdtrace.state")
                child.say(b"\n")
                tracer.wait_for(b"fill (")
                result = tracer.interrupt()
    found = [f for f in result.findings if f["rule"]["id"] == "limit.emfile"]
    assert found and all(f["process"]["pid"] == child.pid for f in found), f"{result}"
    assert {f["host"]["name"] for f in found} == {os.uname().nodename}, f"{result}"
    frames = [frame for f in found for frame in f["fdtrace"]["used"]["stack"]]
    assert any(re.match(r"fill \(.*fill_table\.c:[0-9]+\)$", frame) for frame in frames), frames


main()
