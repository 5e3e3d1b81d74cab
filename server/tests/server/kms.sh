#!/bin/sh
# A root key command over an RSA key pair, as an example: `--root-key-command "sh kms.sh DIR"`, where DIR holds
# public.pem and private.pem. It takes base64 on standard input and answers base64; the last argument is the operation.
set -eu
keys=$1
case $2 in
wrap) set -- -encrypt -pubin -inkey "$keys/public.pem" ;;
unwrap) set -- -decrypt -inkey "$keys/private.pem" ;;
*)
    echo "unknown operation $2" >&2
    exit 2
    ;;
esac
# Nothing of a key in a file: each step reads what the one before it writes.
base64 -d | openssl pkeyutl "$@" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 | base64 -w 0
