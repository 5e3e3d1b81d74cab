# Where the clients look. SIKKERKEY_HOME replaces ~/.sikkerkey for them, too.
home=${SIKKERKEY_HOME:-}
if [ -z "$home" ]; then
  if [ -z "${HOME:-}" ]; then fail "HOME is not set: set it, or SIKKERKEY_HOME to the directory that is to hold the identity"; fi
  home=$HOME/.sikkerkey
fi
if [ ! -d "$home/vaults" ]; then made=true; fi
mkdir -p "$home/vaults" || fail "cannot make $home/vaults: run this as the user whose programs read secrets, or set SIKKERKEY_HOME"
home=$(CDPATH='' cd -- "$home" && pwd) || fail "cannot enter $home"
# The path becomes part of a JSON text.
if [ "$(printf '%s' "$home" | tr -d '[:cntrl:]')" != "$home" ]; then fail "the path $home has control characters in it: set SIKKERKEY_HOME to another one"; fi
goal=$home/vaults/$vault
if [ -L "$goal" ] || { [ -e "$goal" ] && [ ! -d "$goal" ]; }; then fail "$goal is there and is no directory: move it away, and run the command again"; fi
# Beside the goal, so that what is ready is put in place in one move.
work=$(mktemp -d "$home/.bootstrap-XXXXXX") || fail "cannot write to $home: run this as the user whose programs read secrets, or set SIKKERKEY_HOME"
case ${SIKKERKEY_KEY:-} in ''|/*) ;; *) SIKKERKEY_KEY=$(pwd)/$SIKKERKEY_KEY ;; esac
cd "$work"
mkdir new || fail "cannot write to $home: is the disk full?"
if [ -n "$ca" ]; then printf '%s\n' "$ca" >ca.pem || fail "cannot write to $home"; fi

make_key
make_fingerprint
make_proof
# What is written last is as good as written now: a full disk is found out before the token is used up.
{ cat private.pem >new/private.pem && awk 'BEGIN { for (i = 0; i < 64; i++) printf "%064d", 0 }' >new/identity.json; } 2>/dev/null ||
  fail "cannot write to $home: is the disk full? Nothing was written, and the token is not used up"
if [ -n "$ca" ]; then cat ca.pem >new/ca.pem || fail "cannot write to $home: is the disk full?"; fi

register ''

# Step 3. All five keys, and no other: some clients take no more.
lost="This host is registered as machine $machine_id, and its identity could not be written: have that machine denied, and ask for a new command"
path=$(printf '%s' "$goal/private.pem" | sed 's/[\\"]/\\&/g')
printf '{"machineId":"%s","machineName":"%s","vaultId":"%s","apiUrl":"%s","privateKeyPath":"%s"}\n' \
  "$machine_id" "$machine_name" "$vault" "$api_url" "$path" >new/identity.json || fail "$lost"
if [ -d "$goal" ]; then
  # The identity that was here is replaced as a whole, with its cache, which only its own key opens. Other files stay.
  replaced=true
  old=$work/old
  mv "$goal" "$old" || fail "$lost"
else
  replaced=false
fi
mv new "$goal" || fail "$lost"
if [ "$replaced" = true ]; then
  for file in old/* old/.[!.]*; do
    case ${file#old/} in
      private.pem | identity.json | ca.pem | cache | '*' | '.[!.]*') ;;
      *) mv "$file" "$goal/" || say "sikkerkey: $file could not be kept" >&2 ;;
    esac
  done
fi

say "This host is registered as \"$(shown_name)\" in vault $vault, and waits for approval."
say ""
say "  machine      $machine_id"
say "  fingerprint  $fingerprint"
say "  public key   $public_key"
say "  identity     $goal/identity.json"
say "  private key  $goal/private.pem"
say ""
say "What to do next: tell whoever approves it the fingerprint, by a way that you both trust. They compare it with the one that"
say "the server shows, and approve: sikkerkey-server admin machine approve $machine_id"
if [ "$replaced" = true ]; then
  say ""
  say "The identity that was here before is replaced. Its machine goes on at the server until this one is approved, if it has"
  say "the same name; else have it revoked."
fi
if [ -n "$ca" ]; then
  say ""
  say "The server's certificate is of an authority of its own, which is now in $goal/ca.pem. Programs that read secrets"
  say "have to be told:"
  say "  Python, Go, .NET and the command line client, on Linux:"
  say "             SSL_CERT_FILE=$goal/ca.pem (in place of the system's authorities)"
  say "  Node.js:   NODE_EXTRA_CA_CERTS=$goal/ca.pem"
  say "  Java, Kotlin:  keytool -importcert -noprompt -alias sikkerkey -file $goal/ca.pem -keystore STORE -storepass changeit"
  say "             and -Djavax.net.ssl.trustStore=STORE"
  if [ "$(uname -s)" = Darwin ]; then
    say "  on macOS, Go and .NET:  security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db $goal/ca.pem"
  fi
fi
)

sikkerkey_bootstrap "$@"
