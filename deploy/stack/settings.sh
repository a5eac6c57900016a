# shellcheck shell=bash disable=SC2034
# Settings that every script of the private stack shares. Sourced, never run.
#
#   SLUICE_HOME       state folder of this stack                      (default: .sluice in the repository)
#   SLUICE_PORT_BASE  first of the 200 ports that it may use          (default: 21000)
#   SLUICE_HTTP_PORT  port of nginx, the only one that users see      (default: 8080)
#   SLUICE_PUBLIC_URL how people reach it                             (default: http://127.0.0.1:SLUICE_HTTP_PORT)
#   SLUICE_BUILD      release or debug: which binaries run            (default: what deploy/up built last, or release)
#
# Several stacks live side by side if both the folder and the port base differ. What a stack was last started with is
# remembered in its folder (stack.env) and holds where the environment says nothing.

set -euo pipefail
umask 022

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
STACK="$REPOSITORY/deploy/stack"

SLUICE_HOME=$(realpath -m "${SLUICE_HOME:-$REPOSITORY/.sluice}")
REMEMBERED=(SLUICE_PORT_BASE SLUICE_HTTP_PORT SLUICE_HTTP_ADDRESS SLUICE_PUBLIC_URL SLUICE_TRUSTED_PROXY
    SLUICE_SMTP_HOST SLUICE_SMTP_PORT SLUICE_SMTP_FROM SLUICE_SMTP_TLS SLUICE_SMTP_USER SLUICE_SMTP_CA_FILE
    SLUICE_WEBHOOK_ALLOW_PRIVATE SLUICE_LOG_LEVEL)
if [ -r "$SLUICE_HOME/stack.env" ]; then
    while IFS='=' read -r name value; do
        [[ " ${REMEMBERED[*]} " != *" $name "* ]] || [ -n "${!name:-}" ] || printf -v "$name" '%s' "$value"
    done <"$SLUICE_HOME/stack.env"
fi
# Remembered, so it must hold from any folder.
[ -z "${SLUICE_SMTP_CA_FILE:-}" ] || SLUICE_SMTP_CA_FILE=$(realpath -m "$SLUICE_SMTP_CA_FILE")
SLUICE_PORT_BASE=${SLUICE_PORT_BASE:-21000}
SLUICE_HTTP_PORT=${SLUICE_HTTP_PORT:-8080}

PUBLIC_URL=${SLUICE_PUBLIC_URL:-http://127.0.0.1:$SLUICE_HTTP_PORT}

PG_BIN=/usr/lib/postgresql/15/bin
PG_PORT=$((SLUICE_PORT_BASE + 1))
PG_DATABASE=sluice
AMQP_PORT=$((SLUICE_PORT_BASE + 2))
EPMD_PORT=$((SLUICE_PORT_BASE + 3))
AMQP_DIST_PORT=$((SLUICE_PORT_BASE + 4))
SMTP_PORT=$((SLUICE_PORT_BASE + 5))
AMQP_CTL_PORT_MIN=$((SLUICE_PORT_BASE + 80))
AMQP_CTL_PORT_MAX=$((SLUICE_PORT_BASE + 99))
AMQP_VHOST=sluice

SECRETS="$SLUICE_HOME/secrets"
LOGS="$SLUICE_HOME/logs"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# The path stands in configuration files of four kinds; none of them has a way to write these that all others know.
[[ $SLUICE_HOME$REPOSITORY != *[[:cntrl:]\"\'\`\\\$]* ]] ||
    die "a path with quotes, \$ or \\ is not possible: $SLUICE_HOME"

# The accounts of Debian's packages run the servers when we are root (PostgreSQL refuses to run as root);
# otherwise everything runs as whoever calls. No password stays in a server's environment.
IS_ROOT=no
[ "$(id -u)" -ne 0 ] || IS_ROOT=yes
as_user() {
    local user=$1
    shift
    local run=(env -u SLUICE_SMTP_PASSWORD -u SLUICE_DEMO_PASSWORD)
    [ "$IS_ROOT" = no ] || run+=(runuser -u "$user" --)
    "${run[@]}" "$@"
}

# The services' account: whoever writes a file for them gives it to the same one.
SERVICE_ACCOUNT=$(id -un)
if [ "$IS_ROOT" = yes ] && id sluice >/dev/null 2>&1; then SERVICE_ACCOUNT=sluice; fi

# own USER PATH...: hands files to the account that a server runs under.
own() {
    local user=$1
    shift
    if [ "$IS_ROOT" = yes ]; then chown "$user:" "$@"; fi
}

# Makes the state folder. Servers' files are in $DATA: in the state folder if the servers' accounts can get there and
# its path is short enough for a socket, else (a clone under a private home folder, say) elsewhere, with a link that
# shows where. Nobody's folder is opened up for it.
prepare_home() {
    if [ ! -d "$SLUICE_HOME" ]; then
        mkdir -p "$SLUICE_HOME"
        chmod 711 "$SLUICE_HOME"
    fi
    exec 7>"$SLUICE_HOME/.home.lock"
    flock 7
    mkdir -p "$LOGS"
    [ -d "$SECRETS" ] || mkdir -m 700 "$SECRETS"
    DATA="$SLUICE_HOME/data"
    if [ -L "$DATA" ] && [ ! -d "$DATA" ]; then
        die "the data of this stack were in $(readlink "$DATA"), which is not there: bring it back," \
            "or begin without data by removing the link $DATA"
    elif [ ! -e "$DATA" ]; then
        if as_user nobody test -x "$SLUICE_HOME" 2>/dev/null && [ ${#SLUICE_HOME} -lt 70 ]; then
            mkdir -m 711 "$DATA"
        else
            data_elsewhere
        fi
    fi
    DATA=$(realpath "$DATA")
    exec 7>&-
}

# Where it outlives a boot, and where nobody else may have made a folder of that name first.
data_elsewhere() {
    local parent=/var/lib elsewhere
    if [ "$IS_ROOT" = no ]; then
        parent=${XDG_STATE_HOME:-$HOME/.local/state}
        mkdir -p "$parent"
    fi
    elsewhere="$parent/sluice-$(printf %s "$SLUICE_HOME" | sha256sum | cut -c1-12)"
    # A socket's whole path has 107 bytes at most: /postgres-run/.s.PGSQL.65535 comes after this.
    [ ${#elsewhere} -lt 78 ] ||
        die "$elsewhere is too long for a socket: choose a SLUICE_HOME under 70 characters or a shorter XDG_STATE_HOME"
    if [ -e "$elsewhere" ] || [ -L "$elsewhere" ]; then
        [ ! -L "$elsewhere" ] && [ -d "$elsewhere" ] && [ -O "$elsewhere" ] ||
            die "$elsewhere is somebody else's: remove it"
    else
        mkdir "$elsewhere"
    fi
    chmod 711 "$elsewhere"
    ln -s "$elsewhere" "$DATA"
}

# What starts something writes down with which settings.
remember_settings() {
    local name
    for name in "${REMEMBERED[@]}"; do
        [ -z "${!name:-}" ] || printf '%s=%s\n' "$name" "${!name}"
    done >"$SLUICE_HOME/stack.env.$$"
    mv "$SLUICE_HOME/stack.env.$$" "$SLUICE_HOME/stack.env"
}

# refuse_known_password [yes|no]: ends where strangers could sign in as the sample city's admin with the password that
# stands in the documentation. Without yes or no, deploy/up has written down whether there is a sample city.
refuse_known_password() {
    local seeded=${1:-$(cat "$SLUICE_HOME/sample-city" 2>/dev/null || true)} host=${PUBLIC_URL#*://}
    [ "$seeded" = yes ] && [ ! -s "$SECRETS/demo-password" ] || return 0
    host=${host%%/*}
    [[ ! $host =~ ^(.*):[0-9]+$ ]] || host=${BASH_REMATCH[1]}
    for host in "${SLUICE_HTTP_ADDRESS:-127.0.0.1}" "$host"; do
        [[ $host =~ ^(127\.[0-9.]+|\[?::1\]?|localhost)$ ]] ||
            die "the sample city's accounts have a password that everybody knows, and $host is for others.
  A real city: deploy/up --no-seed (if the sample is in already, first give each of its accounts a password of its own
  or disable it: deploy/sluicectl account). A sample for others to see: SLUICE_DEMO_PASSWORD=… deploy/up, at the first
  time. For this machine alone: SLUICE_HTTP_ADDRESS and SLUICE_PUBLIC_URL as they were ($SLUICE_HOME/stack.env)"
    done
}

# secret NAME: prints the secret of that name, made at random the first time. 192 bits, letters and digits only, so
# that it needs no quoting in any of the files that it goes into.
secret() {
    local file="$SECRETS/$1"
    if [ ! -s "$file" ]; then
        # A link is made once only: of two callers at the same moment the first one's secret stands.
        local new
        new=$(mktemp "$file.XXXXXX")
        openssl rand -hex 24 >"$new"
        ln -T "$new" "$file" 2>/dev/null || true
        rm -f "$new"
    fi
    cat "$file"
}

# alive PIDFILE WORD: is the process of that pid file running, and is it ours (its command line has WORD)?
alive() {
    local pid
    [ -s "$1" ] || return 1
    read -r pid <"$1" || return 1
    [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2"
}

# gone PID...: none of them runs any more (a dead process that nobody has reaped yet counts as gone).
gone() {
    local pid
    for pid in "$@"; do
        ! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null || return 1
    done
}

# bash -c "$DETACHED" bash PIDFILE COMMAND...: becomes the command and leaves its pid. The limit on open files is raised
# as far as it goes (to 65,536), since a login shell's 1,024 is little for a server of connections and queues.
DETACHED='
most=$(ulimit -Hn)
if [ "$most" = unlimited ] || [ "$most" -gt 65536 ]; then most=65536; fi
ulimit -Sn "$most"
echo $$ >"$1"
shift
exec "$@"'

# listening PORT [ADDRESS]
listening() { (exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null; }

# wait_until SECONDS COMMAND...: polls ten times a second.
wait_until() {
    local tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# one_at_a_time NAME: two callers of the same script wait for each other. Children must not inherit the lock: start
# long-lived ones with 9>&-.
one_at_a_time() {
    exec 9>"$SLUICE_HOME/.$1.lock"
    flock -w 120 9 || die "another deploy/stack/$1 has been running for two minutes"
}

# How many instances of dispatch this stack runs: what deploy/up --dispatch N wrote down, or one.
dispatch_instances() {
    if [ -s "$SLUICE_HOME/dispatch-instances" ]; then cat "$SLUICE_HOME/dispatch-instances"; else echo 1; fi
}
