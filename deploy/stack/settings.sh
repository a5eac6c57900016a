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
REMEMBERED=(SLUICE_PORT_BASE SLUICE_HTTP_PORT SLUICE_HTTP_ADDRESS SLUICE_PUBLIC_URL SLUICE_SMTP_HOST SLUICE_SMTP_PORT
    SLUICE_SMTP_FROM SLUICE_SMTP_TLS SLUICE_WEBHOOK_ALLOW_PRIVATE SLUICE_LOG_LEVEL)
if [ -r "$SLUICE_HOME/stack.env" ]; then
    while IFS='=' read -r name value; do
        [[ " ${REMEMBERED[*]} " != *" $name "* ]] || [ -n "${!name:-}" ] || printf -v "$name" '%s' "$value"
    done <"$SLUICE_HOME/stack.env"
fi
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

# The accounts of Debian's packages run the servers when we are root (PostgreSQL refuses to run as root);
# otherwise everything runs as whoever calls.
IS_ROOT=no
[ "$(id -u)" -ne 0 ] || IS_ROOT=yes
as_user() {
    local user=$1
    shift
    if [ "$IS_ROOT" = yes ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# own USER PATH...: hands files to the account that a server runs under.
own() {
    local user=$1
    shift
    if [ "$IS_ROOT" = yes ]; then chown "$user:" "$@"; fi
}

# Makes the state folder. Servers' files are in $DATA: in the state folder if the servers' accounts can get there,
# else (a clone under /root, say) in /var/lib, with a link that shows where. Nobody's folder is opened up for it.
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
    if [ ! -e "$DATA" ]; then
        if as_user nobody test -x "$SLUICE_HOME" 2>/dev/null && [ ${#SLUICE_HOME} -lt 70 ]; then
            mkdir -m 711 "$DATA"
        else
            local parent=/var/lib
            [ "$IS_ROOT" = yes ] || parent=${XDG_RUNTIME_DIR:-/tmp}
            local elsewhere
            elsewhere="$parent/sluice-$(printf %s "$SLUICE_HOME" | sha256sum | cut -c1-12)"
            mkdir -p "$elsewhere"
            chmod 711 "$elsewhere"
            ln -s "$elsewhere" "$DATA"
        fi
    fi
    DATA=$(realpath "$DATA")
    exec 7>&-
}

# What starts something writes down with which settings.
remember_settings() {
    local name
    for name in "${REMEMBERED[@]}"; do
        [ -z "${!name:-}" ] || printf '%s=%s\n' "$name" "${!name}"
    done >"$SLUICE_HOME/stack.env.$$"
    mv "$SLUICE_HOME/stack.env.$$" "$SLUICE_HOME/stack.env"
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

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

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
