#!/usr/bin/env bash
# A development CA and a server certificate signed by it; README.md beside this file says what for.
set -euo pipefail
# In other locales [a-z] also matches letters that no host name has.
export LC_ALL=C
umask 077

usage='usage: make-dev-certs.sh [--out DIR] [--client NAME] [HOST...]

  HOST           a further name or address of the server, beside localhost, 127.0.0.1 and ::1;
                 like gateway.test, *.gateway.test, 192.0.2.7 or fd00::7
  --client NAME  make a client certificate for NAME as well
  --out DIR      write to DIR instead of the folder of this script'

ca_days=3650
# Browsers refuse server certificates of more than 398 days.
leaf_days=365

out=
client=
hosts=(localhost 127.0.0.1 ::1)
san=
new_out=
work=

main() {
  parse "$@"
  command -v openssl >/dev/null || fail 'openssl is missing (Debian: apt-get install openssl)'
  san=$(subject_alt_names "${hosts[@]}")
  prepare_out

  # Everything is made and verified in a folder aside; only whole results are moved into place.
  write_config
  local made=(server)
  if [[ -e $out/ca.pem || -e $out/ca-key.pem ]]; then
    use_ca
  else
    make_ca
    made=(ca server)
  fi
  make_leaf server sslserver
  if [[ -n $client ]]; then
    make_leaf client sslclient
    made+=(client)
  fi

  local name
  for name in "${made[@]}"; do
    [[ ! -d $out/$name.pem && ! -d $out/$name-key.pem ]] ||
      fail "$out/$name.pem or $out/$name-key.pem is a folder"
  done
  for name in "${made[@]}"; do
    chmod 644 "$work/$name.pem"
    mv -f "$work/$name-key.pem" "$work/$name.pem" "$out/"
  done
  new_out=

  [[ ${made[0]} == ca ]] && echo "made $out/ca.pem" || echo "kept $out/ca.pem"
  echo "made $out/server.pem for ${hosts[*]}"
  [[ -z $client ]] || echo "made $out/client.pem for $client"
}

parse() {
  local text
  while (($# > 0)); do
    case $1 in
      --out | --client)
        [[ -n ${2-} ]] || misuse "$1 needs a value"
        if [[ $1 == --out ]]; then out=$2; else client=$2; fi
        shift
        ;;
      -h | --help)
        echo "$usage"
        exit
        ;;
      -*) misuse "unknown option $1" ;;
      *)
        text=$(tr '[:upper:]' '[:lower:]' <<<"$1")
        is_host "$text" || misuse "not a host name, wildcard or IP address: '$1'"
        [[ " ${hosts[*]} " == *" $text "* ]] || hosts+=("$text")
        ;;
    esac
    shift
  done
  # In openssl's configuration other characters have a meaning; 64 is X.509's bound.
  [[ -z $client || $client =~ ^[A-Za-z0-9]([A-Za-z0-9@._\ -]{0,62}[A-Za-z0-9])?$ ]] ||
    misuse "not a client name (1 to 64 letters, digits, spaces and @._-): '$client'"
}

is_host() {
  is_ipv4 "$1" || is_ipv6 "$1" || is_name "$1"
}

is_ipv4() {
  local octet='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
  [[ $1 =~ ^$octet(\.$octet){3}$ ]]
}

is_ipv6() {
  local group='[0-9a-f]{1,4}' groups
  local some="($group(:$group)*)?"
  [[ $1 =~ ^$group(:$group){7}$ ]] && return
  [[ $1 =~ ^$some::$some$ ]] || return
  read -ra groups <<<"${1//:/ }"
  ((${#groups[@]} <= 7))
}

is_name() {
  local name=${1#\*.} label='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  # A last label of digits would be read as an IPv4 address.
  ((${#1} <= 253)) && [[ $name =~ ^($label\.)*$label$ && ! ${name##*.} =~ ^[0-9]+$ ]] || return
  # Clients ignore a wildcard right below a top-level name; *.localhost is one.
  [[ $name == "$1" || $name == *.* ]]
}

subject_alt_names() {
  local host list=()
  for host; do
    if is_name "$host"; then list+=("DNS:$host"); else list+=("IP:$host"); fi
  done
  local IFS=,
  echo "${list[*]}"
}

prepare_out() {
  [[ -n $out ]] || out=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  [[ $out != -* ]] || out=./$out
  trap clean EXIT
  if [[ ! -d $out ]]; then
    mkdir -m 755 "$out" 2>/dev/null || fail "can't make the folder $out"
    new_out=$out
  fi
  work=$(mktemp -d "$out/.make-dev-certs.XXXXXX" 2>/dev/null) || fail "can't write to $out"
}

clean() {
  [[ -z $work ]] || rm -rf "$work"
  [[ -z $new_out ]] || rmdir "$new_out"
}

# Our own configuration, since the system's may add extensions of its own.
write_config() {
  cat >"$work/openssl.cnf" <<CONFIG
[req]
prompt = no
distinguished_name = \$ENV::SUBJECT

[ca_subject]
CN = copilot-gateway development CA
[server_subject]
CN = localhost
[client_subject]
CN = ${client:-none}

[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = $san
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
CONFIG
}

use_ca() {
  [[ -f $out/ca.pem && -f $out/ca-key.pem ]] ||
    fail "$out has only one of ca.pem and ca-key.pem: restore the missing one, or remove both"
  cp "$out/ca.pem" "$out/ca-key.pem" "$work/" || fail "can't read the CA in $out"
  run x509 -in "$work/ca.pem" -noout
  # Without -passin an encrypted key would ask for its password on the terminal.
  run pkey -in "$work/ca-key.pem" -passin pass: -noout
  openssl x509 -in "$work/ca.pem" -noout -checkend "$((leaf_days * 86400))" >/dev/null ||
    fail "$out/ca.pem ends before a new certificate would: remove it and ca-key.pem for a new CA"
}

make_ca() {
  make_key ca
  SUBJECT=ca_subject run req -new -x509 -config "$work/openssl.cnf" -extensions ca -sha256 \
    -days "$ca_days" -set_serial "$(serial)" -key "$work/ca-key.pem" -out "$work/ca.pem"
}

make_leaf() {
  make_key "$1"
  SUBJECT=$1_subject run req -new -config "$work/openssl.cnf" -sha256 \
    -key "$work/$1-key.pem" -out "$work/$1.csr"
  SUBJECT=$1_subject run x509 -req -extfile "$work/openssl.cnf" -extensions "$1" -sha256 \
    -days "$leaf_days" -set_serial "$(serial)" -CA "$work/ca.pem" -CAkey "$work/ca-key.pem" \
    -passin pass: -in "$work/$1.csr" -out "$work/$1.pem"
  run verify -x509_strict -purpose "$2" -CAfile "$work/ca.pem" "$work/$1.pem"
}

make_key() {
  run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve \
    -out "$work/$1-key.pem"
}

serial() {
  echo "0x$(openssl rand -hex 16)"
}

# openssl talks on success too; what it says matters only on failure.
run() {
  openssl "$@" </dev/null >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail "openssl $1 failed, nothing was changed in $out"
  }
}

misuse() {
  printf 'make-dev-certs.sh: %s\n\n%s\n' "$1" "$usage" >&2
  exit 2
}

fail() {
  printf 'make-dev-certs.sh: %s\n' "$1" >&2
  exit 1
}

main "$@"
