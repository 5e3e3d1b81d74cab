# For pods that bring an identity of their own along, as a Kubernetes Secret. Honestly: that Secret, with the private key,
# rests in etcd, encrypted only where the cluster encrypts Secrets; whoever may read Secrets in its namespace has the key, and
# all pods that mount it are one machine. The operator with its sidecar needs none of this.
manifest=false
case ${1:-} in
  '') ;;
  manifest) manifest=true ;;
  *) fail "the one argument is manifest: it writes the Secret, private key included, to standard output, for kubectl apply -f -" ;;
esac
base=${TMPDIR:-/tmp}
# It becomes part of a command that is shown.
case $base in *[!A-Za-z0-9._/+@:-]*) base=/tmp ;; esac
case ${SIKKERKEY_KEY:-} in ''|/*) ;; *) SIKKERKEY_KEY=$(pwd)/$SIKKERKEY_KEY ;; esac
work=$(mktemp -d "$base/sikkerkey-XXXXXX") || fail "cannot write to $base: set TMPDIR to a directory of your own"
cd "$work"
if [ -n "$ca" ]; then printf '%s\n' "$ca" >ca.pem || fail "cannot write to $base"; fi

make_key
make_fingerprint
make_proof
register k8s-

# Step 3. One file for each key of the Secret.
lost="Machine $machine_id is registered, and its Secret could not be written: have that machine denied, and ask for a new command"
mkdir secret
{
  printf '%s' "$vault" >secret/vault-id &&
  printf '%s' "$machine_id" >secret/machine-id &&
  printf '%s' "$api_url" >secret/api-url &&
  shown_name >secret/machine-name &&
  cat private.pem >secret/private-key
} || fail "$lost"
if [ -n "$ca" ]; then cat ca.pem >secret/ca.pem || fail "$lost"; fi

if [ "$manifest" = true ]; then
  printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: sikkerkey-identity\ntype: Opaque\nstringData:\n'
  for file in vault-id machine-id api-url; do printf '  %s: "%s"\n' "$file" "$(cat "secret/$file")"; done
  printf '  machine-name: "%s"\n  private-key: |\n' "$machine_name"
  sed 's/^/    /' secret/private-key
  if [ -n "$ca" ]; then printf '  ca.pem: |\n'; sed 's/^/    /' ca.pem; fi
else
  kept=$(mktemp -d "$base/sikkerkey-identity-XXXXXX") || fail "$lost"
  for file in secret/*; do
    mv "$file" "$kept/" || { rm -rf "$kept"; fail "$lost"; }
  done
  say "The identity is in $kept, for you alone. This makes the Secret of it, and removes the files; add -n NAMESPACE:"
  say ""
  say "  kubectl create secret generic sikkerkey-identity --from-file='$kept' && rm -r '$kept'"
  say ""
fi
{
  say "Registered as \"$(shown_name)\" in vault $vault, and waits for approval."
  say ""
  say "  machine      $machine_id"
  say "  fingerprint  $fingerprint"
  say "  public key   $public_key"
  say ""
  say "What to do next: tell whoever approves it the fingerprint, by a way that you both trust. They compare it with the one that"
  say "the server shows, and approve: sikkerkey-server admin machine approve $machine_id"
  say "The Secret holds the private key: it rests in etcd, and whoever may read Secrets in its namespace has it."
} >&2
)

sikkerkey_bootstrap "$@"
