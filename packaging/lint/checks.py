"""What scripts/package checks by itself: the chart as Helm renders it, names across files, metrics.

    checks.py chart | names | metrics --blackbox FILE | workflows --shellcheck FILE | program --program FILE

Each fault is one line on standard error; the exit code is 1 when there was one.
"""

import glob
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

FAULTS = []
CHART = "packaging/helm/rack-gateway"
# The oldest cluster that Chart.yaml takes, and the newest that kubernetes-validate knows.
KUBERNETES = ["1.30", "1.37"]


def fault(text):
    FAULTS.append(text)
    print(f"scripts/package: {text}", file=sys.stderr)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def documented_variables():
    """Every variable that the configuration reference has, and which of them are secrets."""
    variables, secrets = set(), set()
    for section in re.split(r"^###? ", read("docs/config.md"), flags=re.M):
        for name in re.findall(r"^- variable: `([A-Z0-9_]+)`", section, flags=re.M):
            variables.add(name)
            if "`file:/path`" in section:
                secrets.add(name)
    if "RACK_TOKEN" not in secrets or len(variables) < 50:
        fault("docs/config.md could not be read: where are its variables?")
    return variables, secrets


def check_environment(where, environment):
    """Names that the gateway knows, and no secret written down."""
    variables, secrets = documented_variables()
    # Not settings: where the configuration is, the pod's own address, what a configuration refers to by `env:`.
    known = variables | {"RACK_GATEWAY_CONFIG", "POD_IP", "CORP_SECRET"}
    for name, value in environment.items():
        if name not in known and not name.startswith(("RGW_SETTING_", "RGW_APP_", "RGW_SERVICE_")):
            fault(f"{where}: the gateway knows no variable {name}")
        if name in secrets and value is not None and not value.startswith("file:/"):
            fault(f"{where}: {name} is a secret and must be file:/…, not a value")


# --- The chart -----------------------------------------------------------------------------------


def cases():
    """Each case: its name, what its first line expects, its values. The documents' example is one too."""
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", read("docs/packaging.md"), flags=re.M | re.S)
    yield "docs/packaging.md", "renders", yaml.safe_load(example)
    for path in sorted(glob.glob("packaging/helm/cases/*.yaml")):
        text = read(path)
        expected = text.splitlines()[0].removeprefix("# expect: ")
        yield path, expected, yaml.safe_load(text)


def render(helm, values, upgrade=False):
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        return chart.render(
            values, name="production", namespace="gateway", is_install=not upgrade, is_upgrade=upgrade
        )


def documents(rendered):
    for name, text in rendered.items():
        if name.endswith(".yaml"):
            yield from (document for document in yaml.safe_load_all(text) if document)


def container_of(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def environment_of(deployment):
    return {entry["name"]: entry.get("value") for entry in container_of(deployment)["env"]}


def check_deployment(where, deployment, values):
    pod = deployment["spec"]["template"]["spec"]
    container = container_of(deployment)
    inside, around = container["securityContext"], pod["securityContext"]
    restricted = {
        "runAsNonRoot": around.get("runAsNonRoot") is True and around.get("runAsUser", 0) > 0,
        "seccompProfile": around.get("seccompProfile") == {"type": "RuntimeDefault"},
        "readOnlyRootFilesystem": inside.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation": inside.get("allowPrivilegeEscalation") is False,
        "capabilities": inside.get("capabilities") == {"drop": ["ALL"]},
        "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
        "host namespaces": not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
        "memory limit": "memory" in container["resources"]["limits"],
    }
    for name, holds in restricted.items():
        if not holds:
            fault(f"{where}: {name} is not as the restricted profile wants it")
    for probe in ["startupProbe", "livenessProbe"]:
        if container[probe]["httpGet"]["port"] != "probes":
            fault(f"{where}: {probe} must ask the second listener")
    if pod["terminationGracePeriodSeconds"] < values.get("gateway", {}).get("drainSeconds", 30) + 10:
        fault(f"{where}: the pod is killed before it has drained")
    if values.get("database", {}).get("kind") == "sqlite":
        claimed = any("persistentVolumeClaim" in volume for volume in pod["volumes"])
        if deployment["spec"]["replicas"] != 1 or deployment["spec"]["strategy"] != {"type": "Recreate"} or not claimed:
            fault(f"{where}: SQLite needs one replica, Recreate and a claim")
    check_environment(where, environment_of(deployment))


def check_network_policy(where, policy):
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        for rule in policy["spec"].get(kind, []):
            if not rule.get(peers) or not rule.get("ports"):
                fault(f"{where}: a rule of {kind} without `{peers}` or without ports lets everybody through")
            if any(peer in ({}, {"podSelector": {}, "namespaceSelector": {}}) for peer in rule.get(peers, [])):
                fault(f"{where}: a peer of {kind} is everybody")
    for kind in policy["spec"]["policyTypes"]:
        if kind.lower() not in policy["spec"]:
            fault(f"{where}: policy type {kind} without rules")


def check_documents(where, found, values):
    import kubernetes_validate

    names = [(document["kind"], document["metadata"]["name"]) for document in found]
    if len(names) != len(set(names)):
        fault(f"{where}: two objects of one name")
    for document in found:
        this = f"{where}, {document['kind']}"
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except Exception as error:  # each kind of refusal of that library is its own type
                fault(f"{this}: Kubernetes {version} refuses it: {str(error).splitlines()[0]}")
        match document["kind"]:
            case "Deployment":
                check_deployment(this, document, values)
            case "NetworkPolicy":
                check_network_policy(this, document)
            case "Secret":
                fault(f"{this}: the chart makes no Secret; values would be in it")
    kinds = {kind for kind, _ in names}
    wanted = {"Deployment", "Service"}
    if values.get("networkPolicy", {}).get("enabled", True):
        wanted.add("NetworkPolicy")
    if not wanted <= kinds:
        fault(f"{where}: {', '.join(sorted(wanted - kinds))} is missing")


def check_chart():
    import helm_python as helm

    print(f"chart: Helm {helm.helm_sdk_version()}, Kubernetes {' and '.join(KUBERNETES)}")
    rendered, refused, kinds = 0, 0, set()
    for name, expected, values in cases():
        where = name
        try:
            manifests = render(helm, values)
        except helm.HelmError as error:
            refused += 1
            wanted = expected.removeprefix("refused: ")
            if expected == "renders" or wanted not in str(error):
                fault(f"{where}: expected “{expected}”, but Helm says: {error}")
            continue
        if expected != "renders":
            fault(f"{where}: expected “{expected}”, but it renders")
            continue
        rendered += 1
        if render(helm, values, upgrade=True) != manifests:
            fault(f"{where}: an upgrade renders something else than the installation")
        found = list(documents(manifests))
        kinds |= {document["kind"] for document in found}
        check_documents(where, found, values)
        if "rack.example.com" not in manifests["rack-gateway/templates/NOTES.txt"] and "rack.internal" not in manifests[
            "rack-gateway/templates/NOTES.txt"
        ]:
            fault(f"{where}: the notes do not name the rack")
        linted = helm.lint(CHART, values, strict=True, kube_version="v1.30.0")
        for message in linted.get("messages") or []:
            if str(message.get("severity", "")).lower() in ("error", "warning", "2", "3"):
                fault(f"{where}: helm lint: {message}")
    templates = {"ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "Deployment", "Service", "Ingress"}
    templates |= {"PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"}
    if templates - kinds:
        fault(f"packaging/helm/cases: no case renders {', '.join(sorted(templates - kinds))}")
    print(f"chart: {rendered} cases render, {refused} are refused")


# --- Names across files ----------------------------------------------------------------------------


def unit_environment(text):
    pairs = re.findall(r"^Environment=([A-Z0-9_]+)=(\S*)$", text, flags=re.M)
    return {name: value.replace("%d", "/run/credentials/rack-gateway.service") for name, value in pairs}


def check_compose():
    compose = yaml.safe_load(read("packaging/compose.yaml"))
    gateway, database = compose["services"]["gateway"], compose["services"]["database"]
    check_environment("packaging/compose.yaml", gateway["environment"])
    for name, service in compose["services"].items():
        where = f"packaging/compose.yaml, {name}"
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            fault(f"{where}: must be read_only and drop all capabilities")
        if service.get("security_opt") != ["no-new-privileges:true"]:
            fault(f"{where}: must not gain privileges")
        for value in service["environment"].values():
            if value.startswith("file:/run/secrets/") or value.startswith("/run/secrets/"):
                secret = value.rsplit("/", 1)[1]
                if secret not in service["secrets"] or secret not in compose["secrets"]:
                    fault(f"{where}: the secret {secret} is named and not given")
    if database.get("ports") or database["networks"] != ["data"] or not compose["networks"]["data"]["internal"]:
        fault("packaging/compose.yaml: the database must be in the internal network alone, with no port published")
    in_rack = [name for name, service in compose["services"].items() if "rack" in service["networks"]]
    if in_rack != ["gateway"]:
        fault(f"packaging/compose.yaml: only the gateway may be in the network rack, not {in_rack}")
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", read("packaging/compose.yaml")))
    given = set(re.findall(r"^([A-Z_]+)=", read("packaging/compose.env.example"), flags=re.M))
    if wanted != given:
        fault(f"packaging/compose.env.example: must give just what compose.yaml demands; differs in {wanted ^ given}")


def check_convox():
    """convox.yml is the document's: the same services and resources, and the rack's password without a value."""
    manifest = yaml.safe_load(read("packaging/convox.yml"))
    (service,) = manifest["services"].values()
    pairs = [entry.split("=", 1) for entry in service["environment"]]
    check_environment("packaging/convox.yml", {pair[0]: pair[1] if len(pair) > 1 else None for pair in pairs})
    names = [pair[0] for pair in pairs]
    if names != ["RACK_HOST", "RACK_TOKEN", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "ADMIN_USERS"]:
        fault("packaging/convox.yml: its variables are not the document's")
    if service["port"] != 8443 or service["resources"] != ["database"]:
        fault("packaging/convox.yml: port and resources are not the document's")
    if manifest["resources"] != {"database": {"type": "postgres"}}:
        fault("packaging/convox.yml: the database is not the document's")


def check_versions():
    (version,) = re.findall(r'^version = "([^"]+)"$', read("Cargo.toml"), flags=re.M)
    (oldest,) = re.findall(r'^rust-version = "([^"]+)"$', read("Cargo.toml"), flags=re.M)
    chart = yaml.safe_load(read(f"{CHART}/Chart.yaml"))
    if chart["appVersion"] != version or chart["version"] != version:
        fault(f"{CHART}/Chart.yaml: version and appVersion must be the workspace's, {version}")
    if f"rack-gateway:{version}}}" not in read("packaging/compose.yaml"):
        fault(f"packaging/compose.yaml: the image must be of the workspace's version, {version}")
    if not re.search(rf"^ARG TOOLCHAIN={re.escape(oldest)}(\.\d+)?$", read("packaging/Dockerfile"), flags=re.M):
        fault(f"packaging/Dockerfile: TOOLCHAIN must be the workspace's rust-version, {oldest}")
    for workflow in glob.glob(".github/workflows/*.yml"):
        for uses in re.findall(r"uses: (\S+)", read(workflow)):
            if not uses.startswith("./") and not re.search(r"@[0-9a-f]{40}$", uses):
                fault(f"{workflow}: {uses} must be named by its commit")
        for image in re.findall(r"rust:(\S+?)-", read(workflow)):
            if image not in re.findall(r"ARG TOOLCHAIN=(\S+)", read("packaging/Dockerfile")):
                fault(f"{workflow}: another Rust than packaging/Dockerfile: {image}")


def check_build_context():
    """What the program is compiled with, beside its sources, must be let in by .dockerignore."""
    let_in = set(re.findall(r"^!(\S+)$", read(".dockerignore"), flags=re.M))
    looked = 0
    for path in glob.glob("crates/*/src/**/*.rs", recursive=True):
        if "/tests" in path:
            continue
        # A module of tests ends its file, and is not compiled into the program.
        program = re.split(r"^#\[cfg\(test\)\]\nmod \w+ \{$", read(path), flags=re.M)[0]
        for name in re.findall(r'include(?:_str|_bytes)?!\(\s*"([^"]+)"', program):
            looked += 1
            first = os.path.normpath(os.path.join(os.path.dirname(path), name)).split("/")[0]
            if first not in let_in:
                fault(f".dockerignore keeps {first} out, which {path} is compiled with")
    if looked == 0:
        fault("no include! found below crates: look at check_build_context")


def check_names():
    check_build_context()
    check_compose()
    check_convox()
    check_versions()
    unit = read("packaging/systemd/rack-gateway.service")
    check_environment("packaging/systemd/rack-gateway.service", unit_environment(unit))
    credentials = set(re.findall(r"^LoadCredential=([a-z-]+):", unit, flags=re.M))
    used = set(re.findall(r"^Environment=[A-Z_]+=file:%d/([a-z-]+)$", unit, flags=re.M))
    if credentials != used:
        fault(f"packaging/systemd/rack-gateway.service: credentials loaded and used differ: {credentials ^ used}")
    print("names: compose, convox.yml, the unit, versions and actions agree")


# --- Metrics -----------------------------------------------------------------------------------------


def documented_metrics():
    """The gateway's own, with the names of their series (docs/metrics.md); those of the exporter (docs/monitoring.md)."""
    own, probed = {}, set(re.findall(r"^\| `(probe_[a-z_]+)` \|", read("docs/monitoring.md"), flags=re.M))
    for line in read("docs/metrics.md").splitlines():
        cells = line.split("|")
        if len(cells) < 5 or not re.match(r" `[a-z_]+`", cells[1]):
            continue
        for name, total in re.findall(r"`([a-z]\w+)`(?: \(`(_total)`\))?", cells[1]):
            ends = ["_bucket", "_sum", "_count"] if "histogram" in cells[2] else [total]
            own |= {name + end: name for end in ends}
    if not own or not probed:
        fault("docs/metrics.md or docs/monitoring.md could not be read: where are their tables?")
    return own, probed


def check_code(own):
    """Each metric is made somewhere: its name, without prefix and unit, is a literal of the code. (That each of the
    code is documented is a test of the crate that tells them.)"""
    code = "".join(read(path) for path in glob.glob("crates/*/src/**/*.rs", recursive=True))
    if "prometheus_client" not in code:
        print("metrics: NOT checked against the code: this tree has none")
        return
    for name in sorted(set(own.values())):
        short = name.removeprefix("rack_gateway_")
        if not any(f'"{literal}"' in code for literal in (short, re.sub(r"_(seconds|bytes)$", "", short))):
            fault(f"docs/metrics.md: {name} is nowhere in the code")


def words(expression):
    """Metric names in an expression of PromQL: words that are no function, keyword, label or duration."""
    expression = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    expression = re.sub(r"\{[^}]*\}", " ", expression)
    expression = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", expression)
    expression = re.sub(r"\[[^\]]*\]", " ", expression)
    keywords = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
    found = re.findall(r"(?<![\w$.])[a-z_:][a-z0-9_:]*\b(?!\s*\()", expression)
    return {word for word in found if word not in keywords}


def expressions():
    rules = yaml.safe_load(read("packaging/monitoring/alerts.yml"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule.get('alert', rule.get('record'))}", rule["expr"]
    dashboard = json.loads(read("packaging/monitoring/dashboard.json"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel “{panel['title']}”", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", re.sub(r"label_values\(([^,]*),.*\)", r"\1", variable["query"])


def check_alerts():
    """Each alert says what to do, is in the documents and is in a test."""
    groups = yaml.safe_load(read("packaging/monitoring/alerts.yml"))["groups"]
    documented, tests = read("docs/monitoring.md"), read("packaging/monitoring/alerts.test.yml")
    for rule in (rule for group in groups for rule in group["rules"]):
        name = rule["alert"]
        row = f"| `{name}` | {rule['labels']['severity']} |"
        if row not in documented:
            fault(f"docs/monitoring.md: no row {row}")
        if name not in tests:
            fault(f"packaging/monitoring/alerts.test.yml: no test of {name}")
        if not {"summary", "description"} <= rule["annotations"].keys():
            fault(f"packaging/monitoring/alerts.yml: {name} says not what to do")


def check_dashboard():
    dashboard = json.loads(read("packaging/monitoring/dashboard.json"))
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    if len(identifiers) != len(set(identifiers)):
        fault("packaging/monitoring/dashboard.json: two panels have one id")
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        if place["x"] + place["w"] > 24 or taken & cells:
            fault(f"packaging/monitoring/dashboard.json: “{panel['title']}” lies over another panel or outside")
        taken |= cells
        if not panel.get("description") and panel["type"] != "row":
            fault(f"packaging/monitoring/dashboard.json: “{panel['title']}” says not what it shows")
    modules = set(yaml.safe_load(read("packaging/monitoring/blackbox.yml"))["modules"])
    scraped = yaml.safe_load(read("packaging/monitoring/scrape.yml"))["scrape_configs"]
    used = {module for job in scraped if "params" in job for module in job["params"]["module"]}
    if modules != used:
        fault(f"packaging/monitoring: modules of blackbox.yml and of scrape.yml differ: {modules ^ used}")
    jobs = {job["job_name"] for job in scraped}
    for where, expression in expressions():
        for job in re.findall(r'job="([^"]+)"', expression):
            if job not in jobs:
                fault(f"{where}: scrape.yml has no job {job}")


def check_metrics(blackbox):
    check_alerts()
    check_dashboard()
    own, probed = documented_metrics()
    check_code(own)
    used = {}
    for where, expression in expressions():
        for word in words(expression):
            used.setdefault(word, where)
    known = own.keys() | probed | {"up"}
    for name, where in used.items():
        if name not in known:
            fault(f"{where}: {name} is in no table of docs/metrics.md or docs/monitoring.md")
    for name in sorted(probed - used.keys()):
        fault(f"docs/monitoring.md: {name} is used by no alert and no panel")
    check_probes(blackbox, probed)
    print(f"metrics: {len(used)} names in {sum(1 for _ in expressions())} expressions, all of them exist")


READY = {
    "ready": True,
    "store": {"ok": True},
    "audit": {"ok": True},
    "rack": {"ok": True},
    "notes": [],
}


def answers():
    """Replies as readiness.rs writes them (`serde_json::to_vec_pretty`), by the path they are served at."""
    away = {"ok": False, "reason": "Connection refused (os error 111)"}
    return {
        "/all": (200, READY),
        "/rack-away": (200, READY | {"rack": away}),
        "/store-away": (503, READY | {"ready": False, "store": away}),
        "/both-away": (503, READY | {"ready": False, "store": away, "rack": away}),
        "/noted": (200, READY | {"notes": ["listener.tls: TLS is off"]}),
    }


# Which module passes on which reply.
PROBES = {
    "rack_gateway_alive": {"/all", "/rack-away", "/noted"},
    "rack_gateway_ready": {"/all", "/rack-away", "/noted"},
    "rack_gateway_rack": {"/all", "/store-away", "/noted"},
    "rack_gateway_notes": {"/all", "/rack-away", "/store-away", "/both-away"},
}


class Sample(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = answers().get(self.path, (404, {}))
        body = json.dumps(body, indent=2).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def wait_for(url, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        try:
            return fetch(url)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer in 10 s")


def check_probes(blackbox, documented):
    """Runs the exporter with our modules against replies like the gateway's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sample)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    process = subprocess.Popen(
        [blackbox, "--config.file=packaging/monitoring/blackbox.yml", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    exporter = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{exporter}/-/healthy", process)
        seen = set()
        for module, passes in PROBES.items():
            for path in answers():
                target = f"http://127.0.0.1:{server.server_port}{path}"
                text = fetch(f"{exporter}/probe?module={module}&target={target}")
                seen |= set(re.findall(r"^([a-z_]+)(?:\{[^}]*\})? ", text, flags=re.M))
                passed = bool(re.search(r"^probe_success 1$", text, flags=re.M))
                if passed != (path in passes):
                    fault(f"blackbox.yml: {module} says {passed} of {path}")
        # Only a probe over TLS has it; its name is in the program.
        with open(blackbox, "rb") as program:
            if b"probe_ssl_earliest_cert_expiry" in program.read():
                seen.add("probe_ssl_earliest_cert_expiry")
        for name in sorted(documented - seen):
            fault(f"docs/monitoring.md: the exporter gives no {name}")
    finally:
        process.terminate()
        process.wait(timeout=10)
        server.shutdown()


# --- Workflows ---------------------------------------------------------------------------------------------


def check_workflows(shellcheck):
    """The shell in the steps; what GitHub puts in is a word to the linter, and zizmor says whether it may be there."""
    steps = 0
    for path in sorted(glob.glob(".github/workflows/*.yml")):
        workflow = yaml.safe_load(read(path))
        for name, job in workflow["jobs"].items():
            for step in job.get("steps", []):
                if "run" not in step:
                    continue
                steps += 1
                script = re.sub(r"\$\{\{.*?\}\}", "EXPRESSION", step["run"])
                said = subprocess.run(
                    [shellcheck, "--shell=bash", "--format=gcc", "-"],
                    input=script,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                for line in said.stdout.splitlines():
                    fault(f"{path}, {name}, “{step.get('name')}”: {line}")
    print(f"workflows: the shell of {steps} steps")


# --- With the program itself ------------------------------------------------------------------------------


SECRETS = {
    "APP_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "DATABASE_URL": "postgres://gateway:s3cr3t@database/gateway",
}


def config_check(program, where, environment, directory, config=None):
    """Gives the program the environment of a package, with the files it names laid below `directory`."""
    laid = {}
    for name, value in environment.items():
        if value is None:
            value = SECRETS.get(name, "s3cr3t")
        elif value.startswith("file:"):
            path = os.path.join(directory, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(SECRETS.get(name, "s3cr3t") + "\n")
            value = f"file:{path}"
        laid[name] = value.replace("$(POD_IP)", "10.1.2.3")
    for name, example in (("TLS_CERTIFICATE_FILES", "c.pem"), ("TLS_KEY_FILES", "k.pem"), ("RACK_CA_FILE", "c.pem")):
        if name in laid:
            laid[name] = os.path.join(directory, example)
    if "POLICY_DIR" in laid:
        laid["POLICY_DIR"] = directory
    if config is not None:
        laid["RACK_GATEWAY_CONFIG"] = os.path.join(directory, "rack-gateway.toml")
        with open(laid["RACK_GATEWAY_CONFIG"], "w", encoding="utf-8") as file:
            file.write(config)
    said = subprocess.run(
        [program, "config", "check"], env=laid, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    if said.returncode != 0:
        fault(f"{where}: the gateway refuses this configuration:\n{said.stdout}{said.stderr}")
    elif "warning: listener.tls" not in said.stdout and said.stdout.startswith("warning"):
        fault(f"{where}: {said.stdout}")


def make_certificate(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=gateway.example.com", "-addext", "subjectAltName=DNS:gateway.example.com"]
        + ["-keyout", os.path.join(directory, "k.pem"), "-out", os.path.join(directory, "c.pem")],
        check=True,
        capture_output=True,
    )


def compose_environment():
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", read("packaging/compose.env.example"), flags=re.M))
    environment = yaml.safe_load(read("packaging/compose.yaml"))["services"]["gateway"]["environment"]
    return {
        name: re.sub(r"\$\{([A-Z_]+):\?[^}]*\}", lambda found: given[found[1]], value)
        for name, value in environment.items()
    }


def check_program(program):
    import helm_python as helm

    program = os.path.abspath(program)
    checked = 0
    for name, expected, values in cases():
        if expected != "renders":
            continue
        for document in documents(render(helm, values)):
            if document["kind"] != "Deployment":
                continue
            with tempfile.TemporaryDirectory() as directory:
                make_certificate(directory)
                for file, text in values["gateway"].get("policies", {}).items():
                    with open(os.path.join(directory, file), "w", encoding="utf-8") as policy:
                        policy.write(text)
                config = values["gateway"].get("config")
                config_check(program, name, environment_of(document), directory, config)
                checked += 1
    with tempfile.TemporaryDirectory() as directory:
        config_check(program, "packaging/compose.yaml", compose_environment(), directory)
    with tempfile.TemporaryDirectory() as directory:
        unit = unit_environment(read("packaging/systemd/rack-gateway.service"))
        config = read("packaging/systemd/rack-gateway.toml")
        # What the operator must say, and what is elsewhere here.
        config = config.replace("accept_terms = false", "accept_terms = true")
        config = config.replace("/etc/rack-gateway/policies", directory)
        config_check(program, "packaging/systemd", unit, directory, config)
    print(f"program: it takes the configurations of {checked + 2} packages")


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def main():
    match sys.argv[1]:
        case "chart":
            check_chart()
        case "names":
            check_names()
        case "metrics":
            check_metrics(option("--blackbox"))
        case "workflows":
            check_workflows(option("--shellcheck"))
        case "program":
            check_program(option("--program"))
        case other:
            fault(f"checks.py knows no check {other}")
    sys.exit(1 if FAULTS else 0)


main()
