"""Reads files of one format and prints what is in them: read.py FORMAT FILE, where FILE is a JSON list of base64."""

import base64
import configparser
import io
import json
import sys


def pairs(value):
    return [[key, pairs(inner)] for key, inner in value.items()] if isinstance(value, dict) else value


def read_json(data):
    return json.loads(data, object_pairs_hook=lambda found: [[key, value] for key, value in found])


def read_yaml(data):
    import yaml

    found = [yaml.load(data, Loader=yaml.SafeLoader)]
    if hasattr(yaml, "CSafeLoader"):  # libyaml, the reference in C
        found.append(yaml.load(data, Loader=yaml.CSafeLoader))
    assert all(it == found[0] for it in found), (data, found)
    return pairs(found[0])


def read_ini(data):
    found = []
    for keeps_case in (False, True):
        parser = configparser.ConfigParser(interpolation=None)
        if keeps_case:
            parser.optionxform = str
        # What open(path, encoding="utf-8") gives.
        parser.read_file(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        assert not parser.defaults(), data
        found.append([[section, [list(item) for item in parser.items(section)]] for section in parser.sections()])
    return found


def read_broken_ini(data):
    try:
        return read_ini(data)[0]
    except configparser.Error:
        return None


read = {"json": read_json, "yaml": read_yaml, "ini": read_ini, "broken-ini": read_broken_ini}[sys.argv[1]]
with open(sys.argv[2], "rb") as file:
    documents = [base64.b64decode(document) for document in json.load(file)]
json.dump([read(document) for document in documents], sys.stdout)
