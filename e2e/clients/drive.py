"""Does with the official SikkerKey client what it is told, one JSON line in, one JSON line out.

In:   {"do": NAME, ...}, see the functions below whose names begin with `do_`.
Out:  {"answer": VALUE} or {"error": {"class": NAME, "status": NUMBER or null, "text": TEXT}} for each line,
      {"event": ...} whenever the client calls back.

The client is not touched. Where a test needs a machine with a wrong clock or a bad source of randomness, the standard
library gets it.
"""

import base64
import dataclasses
import enum
import hashlib
import http.client
import json
import os
import secrets
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

import sikkerkey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

client = None
output = threading.Lock()


def say(line):
    def plain(value):
        if isinstance(value, enum.Enum):
            return value.value
        return dataclasses.asdict(value)

    with output:
        print(json.dumps(line, default=plain), flush=True)


def do_open(identity=None):
    """An identity on disk: a path, a vault, or whatever there is."""
    global client
    client = sikkerkey.SikkerKey(identity)


def do_bootstrap(**arguments):
    """An identity in memory, by enrolment token."""
    global client
    client = sikkerkey.SikkerKey.bootstrap_in_memory(**arguments)


def do_call(name, *arguments):
    """A method of the client."""
    return getattr(client, name)(*arguments)


def do_get(name):
    """A property of the client."""
    return getattr(client, name)


def do_vaults():
    return sikkerkey.SikkerKey.list_vaults()


def do_watch(*ids):
    for secret in ids:
        client.watch(secret, lambda event: say({"event": event}))


def do_cache(max_age=None):
    fallback = lambda secret, cached_at: say({"event": {"fallback": secret}})
    client.enable_cache(max_age=max_age, on_fallback=fallback)


def do_register(url, token, hostname, directory):
    """What a bootstrap script does: makes a key, registers it, writes the identity."""
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    body = json.dumps({"token": token, "publicKey": public, "hostname": hostname})
    status, text = exchange(url, "POST", "/v1/bootstrap/register", body.encode(), {"Content-Type": "application/json"})
    if status != 200:
        raise RuntimeError(f"registering: {status} {text}")
    registered = json.loads(text)
    place = os.path.join(directory, "vaults", registered["vaultId"])
    os.makedirs(place, mode=0o700)
    identity = {name: registered[name] for name in ("machineId", "machineName", "vaultId", "apiUrl")}
    identity["privateKeyPath"] = os.path.join(place, "private.pem")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content in (("private.pem", pem), ("identity.json", json.dumps(identity).encode())):
        with open(os.open(os.path.join(place, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    return text


def do_send(method, path, body=None):
    """A signed request of the same identity, and the answer as it came: its status and its text."""
    data = body.encode() if body else b""
    stamp, nonce = str(int(time.time())), base64.b64encode(secrets.token_bytes(16)).decode()
    message = f"{method}:{path}:{stamp}:{nonce}:{hashlib.sha256(data).hexdigest()}"
    headers = {
        "X-Machine-Id": client.machine_id,
        "X-Timestamp": stamp,
        "X-Nonce": nonce,
        "X-Signature": base64.b64encode(client._private_key.sign(message.encode())).decode(),
    }
    return exchange(client.api_url, method, path, data, headers)


def exchange(url, method, path, body, headers):
    url = urlsplit(url)
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(url.netloc, timeout=15, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=15)
    # Nothing is added: a POST without a body has neither length nor type, as the Kotlin client sends it.
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def do_same_nonces():
    """From now on this machine has no randomness."""
    secrets.token_bytes = lambda count: bytes(count)


def do_same_keys(path):
    """From now on this machine makes the key that is in a file, as the copy of a virtual machine might."""
    with open(path, "rb") as file:
        key = load_pem_private_key(file.read(), password=None)
    Ed25519PrivateKey.generate = classmethod(lambda cls: key)


def do_clock(ahead):
    """From now on this machine's clock is wrong by so many seconds."""
    right = time.time
    time.time = lambda: right() + ahead


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = globals()["do_" + request["do"]](*request.get("with", []), **request.get("named", {}))
        say({"answer": answer})
    except Exception as error:
        kind, status = type(error).__name__, getattr(error, "http_status", None)
        say({"error": {"class": kind, "status": status, "text": str(error)}})
