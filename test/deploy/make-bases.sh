#!/usr/bin/env bash
# What stands in for the official Node.js image where no registry can be reached: writes the folders
# <out>/build (Node.js, npm, a shell) and <out>/runtime (Node.js and the libraries that it needs), out of
# packages of this Debian. <node> is the Node.js that goes into both.
set -euo pipefail
out=$1 node=$2
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")

# Files of installed packages, to a folder whose /bin and /lib are Debian's links into /usr.
unpack() {
  local root=$1
  shift
  mkdir -p "$root"/{etc,tmp,usr/{bin,lib,lib64,local/bin}}
  ln -s usr/bin usr/lib usr/lib64 "$root"
  dpkg --listfiles "$@" | grep "^/" | grep -v "^/usr/share/" | while read -r file; do
    if [[ ! -d $file ]]; then echo "${file#/}"; fi
  done | tar --create --directory=/ --files-from=- |
    tar --extract --directory="$root" --keep-directory-symlink
  cp "$node" "$root/usr/local/bin/node"
}

unpack "$out/runtime" libc6 libgcc-s1 libstdc++6
unpack "$out/build" libc6 libgcc-s1 libstdc++6 dash coreutils \
  libacl1 libattr1 libgmp10 libselinux1 libpcre2-8-0
mkdir -p "$out"/build/usr/local/lib/node_modules "$out/build/etc/ssl/certs"
cp -R "$npm" "$out/build/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$out/build/usr/local/bin/npm"
# Whom this machine trusts when it fetches packages, the build does too.
cp "${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" "$out/build/etc/ssl/certs/ca-certificates.crt"
