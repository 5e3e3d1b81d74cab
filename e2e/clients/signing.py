"""Hooks of schemathesis: each request is signed as the server wants it, by the agent and the machine of the environment.

SIKKERKEY_SIGNERS is a JSON object: by tag of the description, the id that signs and the seed of its key in hex.
SIKKERKEY_IDS is another: by name of a place in a path, the id of something that is there. Most requests name it.
"""

import base64
import hashlib
import json
import os
import secrets
import time

import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNERS = {
    tag: (signer["id"], Ed25519PrivateKey.from_private_bytes(bytes.fromhex(signer["seed"])))
    for tag, signer in json.loads(os.environ["SIKKERKEY_SIGNERS"]).items()
}
IDS = json.loads(os.environ["SIKKERKEY_IDS"])


class Signature:
    """Signs a request when nothing in it changes any more."""

    def __init__(self, signer):
        self.id, self.key = signer

    def __call__(self, request):
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        path, stamp, nonce = request.path_url.split("?")[0], str(int(time.time())), secrets.token_hex(16)
        message = f"{request.method}:{path}:{stamp}:{nonce}:{hashlib.sha256(body).hexdigest()}"
        request.headers["X-Machine-Id"] = self.id
        request.headers["X-Timestamp"] = stamp
        request.headers["X-Nonce"] = nonce
        request.headers["X-Signature"] = base64.b64encode(self.key.sign(message.encode())).decode()
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    tag = (case.operation.tags or [None])[0]
    for name, value in (case.path_parameters or {}).items():
        if name in IDS and hashlib.sha256(repr(value).encode()).digest()[0] % 4:
            case.path_parameters[name] = IDS[name]
    if tag in SIGNERS:
        kwargs["auth"] = Signature(SIGNERS[tag])
