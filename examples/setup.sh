#!/bin/bash
# Installs the Debian packages that the programs named on the command line come from, if one of them is missing.
set -euo pipefail

declare -A package=([ip]=iproute2 [nft]=nftables [conntrack]=conntrack [logger]=bsdutils [setpriv]=util-linux [protoc]=protobuf-compiler [gcc]="gcc libc6-dev")
missing=()
for program in "$@"; do
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null; then
        missing+=("${package[$program]:-$program}")
    fi
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "missing, to be installed with apt-get: ${missing[*]}" >&2
if [ "$(id -u)" -ne 0 ]; then
    echo "run this as root, or install them yourself: apt-get install ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends ${missing[*]} >/dev/null
