#!/usr/bin/env bash
# quickstart.sh - on a fresh Debian 12: install what is missing, build, train a small diffusion
# transformer on handwritten digits, and sample a picture. Ten minutes on two cores.
#
# Leaves runs/quickstart/: samples.png (a labelled grid), samples.safetensors, checkpoints, log.
set -euo pipefail
cd "$(dirname "$0")"
. tests/tools/setup.sh

need_packages $PACKAGES
build release
export PATH="$PWD/build/release/bin:$PATH"

echo "== compiling models/dit.dfm"
dfmc models/dit.dfm -o build/dit.plan
echo "== training on the digits"
rm -rf runs/quickstart
dfm-rt train build/dit.plan run.folder=runs run.name=quickstart
echo "== sampling"
dfm-rt sample build/dit.plan --weights runs/quickstart -o runs/quickstart
echo "== done: runs/quickstart/samples.png, runs/quickstart/samples.safetensors"
