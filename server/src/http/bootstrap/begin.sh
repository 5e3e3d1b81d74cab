#!/bin/sh
# SikkerKey: makes this host a machine of a vault.
#
# What it does, in this order:
#   1. makes an Ed25519 key here. The private key never leaves this host and is never shown.
#   2. sends the public key, the host's name and its system's name to the server, with the one-time token below.
#   3. writes what the server answers, and the private key, where the SikkerKey clients look for them.
# Until a person at the server has approved the key, it opens nothing.
#
# Nothing runs before the last line has arrived: all of it is one function that the last line calls.

sikkerkey_bootstrap() (
set -eu
# Whatever this writes is for its owner alone.
umask 077
LC_ALL=C
export LC_ALL

url=@URL@
vault=@VAULT@
# Good once, for ten minutes, and for registering a machine that waits for approval: for nothing else.
token=@TOKEN@
# The authority that vouches for the server's certificate, where this host does not know it by itself.
ca=@CA@

# Where the identity is going to be, and what there is to clean up.
home=
goal=
work=
old=
made=
# Whether it was said already why this ends, and what to do once the server knows this host.
told=
lost=

say() { printf '%s\n' "$*"; }
fail() { printf 'sikkerkey: %s\n' "$*" >&2; told=true; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# However this ends, nothing half made stays behind; an identity that was moved aside comes back.
# shellcheck disable=SC2317
clean_up() {
  code=$?
  cd /
  if [ "$code" -ne 0 ] && [ -z "$told" ]; then
    printf 'sikkerkey: it ended early (%s). %s\n' "$code" "${lost:-Is the disk full? Nothing was written, and the token is not used up}" >&2
  fi
  if [ -n "$old" ] && [ -d "$old" ] && [ ! -e "$goal" ]; then mv "$old" "$goal"; fi
  if [ -n "$work" ]; then rm -rf "$work"; fi
  # What is not empty stays.
  if [ -n "$made" ]; then rmdir "$home/vaults" "$home" 2>/dev/null || :; fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Keys are read and written as text, with awk alone: how od, base64 and sed behave differs from system to system.
#   want=private  the private key as PKCS#8 (RFC 8410), 48 bytes, whichever of the two formats it is read from
#   want=public   the public key in base64, of a public key or of a private one in the format of OpenSSH
#   want=octal    the bytes of a text in base64, as printf takes them
# Anything else than an Ed25519 key without a password ends it with an error.
# shellcheck disable=SC2016
keys='
BEGIN { letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; digits = "0123456789abcdef" }
/^-----BEGIN / { label = $0; next }
/^-----END / { next }
{ gsub(/[ \t\r]/, ""); text = text $0 }

function bad() { failed = 1; exit 1 }

function to_hex(text,   i, j, c, value, pad, hex) {
  if (text == "" || length(text) % 4) bad()
  for (i = 1; i <= length(text); i += 4) {
    if (pad) bad()
    value = 0
    for (j = 0; j < 4; j++) {
      c = substr(text, i + j, 1)
      if (c == "=") { pad++; value *= 64; continue }
      if (pad || !index(letters, c)) bad()
      value = value * 64 + index(letters, c) - 1
    }
    hex = hex substr(sprintf("%06x", value), 1, 6 - 2 * pad)
  }
  return hex
}

function number(hex,   i, value) {
  for (i = 1; i <= length(hex); i++) value = value * 16 + index(digits, substr(hex, i, 1)) - 1
  return value
}

function to_base64(hex,   i, j, part, value, four, text) {
  for (i = 1; i <= length(hex); i += 6) {
    part = substr(hex, i, 6)
    value = number(substr(part "0000", 1, 6))
    four = ""
    for (j = 0; j < 4; j++) { four = substr(letters, value % 64 + 1, 1) four; value = int(value / 64) }
    text = text substr(substr(four, 1, length(part) / 2 + 1) "==", 1, 4)
  }
  return text
}

# Takes what has to stand next.
function expect(what) { if (substr(hex, at, length(what)) != what) bad(); at += length(what) }
function take(count,   part) { part = substr(hex, at, count); if (length(part) != count) bad(); at += count; return part }

function read_openssh(   check) {
  at = 1
  expect("6f70656e7373682d6b65792d763100")  # openssh-key-v1
  expect("000000046e6f6e65000000046e6f6e6500000000")  # cipher none, key derivation none
  expect("00000001000000330000000b7373682d6564323535313900000020")  # one key, ssh-ed25519
  public = take(64)
  take(8)
  check = take(8)
  expect(check)
  expect("0000000b7373682d6564323535313900000020" public "00000040")
  seed = take(64)
  expect(public)
}

END {
  if (failed) exit 1
  hex = to_hex(text)
  if (want == "octal") {
    for (at = 1; at <= length(hex); at += 2) printf "\\%03o", number(substr(hex, at, 2))
    exit
  }
  if (label == "-----BEGIN OPENSSH PRIVATE KEY-----") read_openssh()
  else if (label == "-----BEGIN PRIVATE KEY-----") {
    at = 1
    expect("302e020100300506032b657004220420")
    seed = take(64)
    if (at != length(hex) + 1) bad()
  } else if (label == "-----BEGIN PUBLIC KEY-----") {
    at = 1
    expect("302a300506032b6570032100")
    public = take(64)
    if (at != length(hex) + 1) bad()
  } else bad()
  if (want == "private" && seed != "") {
    print "-----BEGIN PRIVATE KEY-----"
    print to_base64("302e020100300506032b657004220420" seed)
    print "-----END PRIVATE KEY-----"
  } else if (want == "public" && public != "") print to_base64(public)
  else bad()
}'

# Reads a key of any of these formats, in a file; sets public_key, and writes private.pem.
read_key() {
  awk -v want=private "$keys" "$1" >private.pem 2>/dev/null || return 1
  if public_key=$(awk -v want=public "$keys" "$1" 2>/dev/null); then return 0; fi
  openssl pkey -in private.pem -pubout >public.pem 2>/dev/null || return 1
  public_key=$(awk -v want=public "$keys" public.pem 2>/dev/null)
}

# Step 1. Which program can make the key is found out by trying: some versions of openssl cannot.
make_key() {
  if [ -n "${SIKKERKEY_KEY:-}" ]; then
    read_key "$SIKKERKEY_KEY" || fail "$SIKKERKEY_KEY is no Ed25519 private key without a password (PKCS#8, which needs openssl here as well, or OpenSSH)"
    return 0
  fi
  if has openssl && openssl genpkey -algorithm ED25519 -out made.pem >/dev/null 2>&1 && read_key made.pem; then
    return 0
  fi
  rm -f made.pem
  if has ssh-keygen && ssh-keygen -q -t ed25519 -N '' -C '' -f made.pem >/dev/null 2>&1 </dev/null && read_key made.pem; then
    return 0
  fi
  fail "no program here makes an Ed25519 key: install openssl (1.1.1 or newer) or ssh-keygen (OpenSSH), and run the command again. Nothing was written, and the token is not used up"
}

# The hash of what comes in, in hex; fails where no program makes one.
sha256() {
  if has sha256sum; then sha256sum
  elif has shasum; then shasum -a 256
  elif has openssl; then openssl dgst -sha256
  else return 1
  fi | sed -n 's/.*\([0-9a-f]\{64\}\).*/\1/p'
}

# What people compare: the first half of the public key's hash. Computed here, so that it is this key's and no other's.
make_fingerprint() {
  # The format is the key's bytes in octal, which is the one way to print any byte.
  octal=$(printf '%s\n' "$public_key" | awk -v want=octal "$keys")
  # shellcheck disable=SC2059
  hash=$(printf "$octal" | sha256) || hash=
  if [ "${#hash}" -eq 64 ]; then fingerprint="SHA256:$(printf '%s' "$hash" | cut -c 1-32)"
  else fingerprint="of public key $public_key (nothing here makes its hash)"
  fi
}

# Shows the server that this host has the private key, where openssl can sign with it (version 3 can). Not needed.
make_proof() {
  proof=
  has openssl || return 0
  hash=$(printf '%s' "$token" | sha256) || return 0
  printf '%s' "sikkerkey-register-v1:$hash:$public_key" 2>/dev/null >message || return 0
  openssl pkeyutl -sign -rawin -inkey private.pem -in message -out signature >/dev/null 2>&1 || return 0
  signature=$(openssl base64 -A -in signature 2>/dev/null) || return 0
  if [ "${#signature}" -eq 88 ]; then proof=",\"proof\":\"$signature\""; fi
}

# Sends request.json; sets status, and writes answer.json. Fails where nothing answers.
send() {
  status=
  if has curl; then
    set -- -sS --max-time 60 -H 'Content-Type: application/json' --data-binary @request.json -o answer.json -w '%{http_code}'
    if [ -n "$ca" ]; then set -- "$@" --cacert ca.pem; fi
    status=$(curl "$@" "$url/v1/bootstrap/register" 2>problem)
  elif has wget && wget --version 2>/dev/null | grep -q 'GNU Wget'; then
    # Other programs of that name do not check certificates.
    set -- -nv --timeout=60 --tries=1 --content-on-error --header='Content-Type: application/json' --post-file=request.json -O answer.json
    if [ -n "$ca" ]; then set -- "$@" --ca-certificate=ca.pem; fi
    if wget "$@" "$url/v1/bootstrap/register" 2>problem; then status=200; elif [ -s answer.json ]; then status=refused; else return 1; fi
  else
    fail "neither curl nor GNU wget is here: install one of them, and run the command again. Nothing was written, and the token is not used up"
  fi
}

# Step 2. The same token with the same key gives the same answer, so one that was lost is asked for again.
register() {
  os=$(uname -s -r -m 2>/dev/null | tr -cd 'A-Za-z0-9 ._()/+#:~-' | cut -c 1-200)
  host=$(uname -n 2>/dev/null | tr -cd 'A-Za-z0-9._-' | cut -c 1-200)
  printf '{"token":"%s","publicKey":"%s","hostname":"%s","os":"%s"%s}' \
    "$token" "$public_key" "$1${host:-host}" "$os" "$proof" >request.json || fail "cannot write to $work"
  attempt=1
  until send && [ "$status" != 503 ]; do
    if [ "$attempt" -ge 3 ]; then
      fail "$url does not answer: $(cat problem answer.json 2>/dev/null | tr -cd '[:print:]' | cut -c 1-300). Nothing was written. Run the same command again; once its token has ended, ask for a new one"
    fi
    sleep "$attempt"
    attempt=$((attempt + 1))
  done
  if [ "$status" != 200 ]; then
    refusal=$(sed -n 's/^{"error":"\([^"\\]*\(\\.[^"\\]*\)*\)".*/\1/p' answer.json | sed 's/\\\(["\\]\)/\1/g' | tr -cd '[:print:]' | cut -c 1-500)
    fail "the server refused (${status}): ${refusal:-it did not say why}. Nothing was written"
  fi
  # Exactly this form, on one line, and nothing else. Names stay as they are written in it.
  name='[^"\\]*\(\\["\\/bfnrt][^"\\]*\)*'
  form='^{"machineId":"\([0-9a-f-]\{36\}\)","machineName":"\('$name'\)","vaultId":"\(vault_[a-z0-9]*\)","apiUrl":"\(https\{0,1\}://[^"\\]*\)","expiresAt":[0-9]*}$'
  machine_id=$(sed -n "s|$form|\\1|p" answer.json)
  machine_name=$(sed -n "s|$form|\\2|p" answer.json)
  api_url=$(sed -n "s|$form|\\5|p" answer.json)
  if [ -z "$machine_id" ] || [ -z "$machine_name" ] || [ "$(sed -n "s|$form|\\4|p" answer.json)" != "$vault" ]; then
    fail "the server's answer is not one that this script knows: is there something between this host and $url that changes it? Nothing was written. Have the machine that waits with fingerprint $fingerprint denied"
  fi
}

shown_name() { printf '%s' "$machine_name" | sed 's/\\\(["\\]\)/\1/g'; }

