# setup.sh - sourced by quickstart.sh and test.sh: installs missing packages and builds.
#
#   need_packages NAME...    apt-get installs what is missing, after saying so
#   build PRESET             configures and builds; the programs are in build/PRESET/bin
#
# Safe to run again: what is there is not installed again, what is built is not built again.

PACKAGES="gcc libc6-dev make cmake ninja-build flex bison pkg-config libyaml-dev libjansson-dev
libxxhash-dev libarchive-dev libdnnl-dev libpng-dev libcmocka-dev python3"

need_packages() {
    local missing="" p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    echo "== installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # Lists may be missing or old: refresh them only when the first try fails.
    $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && return 0
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

build() {
    local preset="$1"
    shift
    echo "== building ($preset)"
    cmake --preset "$preset" "$@" >"build-$preset.log" 2>&1 || { cat "build-$preset.log"; return 1; }
    cmake --build --preset "$preset" >>"build-$preset.log" 2>&1 || { tail -50 "build-$preset.log"; return 1; }
    mv "build-$preset.log" "build/$preset/build.log"
}
