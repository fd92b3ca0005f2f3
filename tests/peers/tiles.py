"""Checks a gateway's log with PyPI's aics-tlog: somebody else's reading of C2SP's specifications.

    tiles.py GATEWAY_URL TOKEN VKEY

It reads the checkpoint and verifies its signature with VKEY, recomputes the tree from every hash tile and every entry
bundle, and makes and verifies proofs from tiles. It writes one line of JSON: {"size", "entries", "old"}. When anything
does not hold it writes why and ends with 1.
"""

import json
import sys
import urllib.error
import urllib.request

import aics_tlog
from aics_tlog import tiles

gateway, token, vkey = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(path):
    request = urllib.request.Request(f"{gateway}/log/{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with opener.open(request, timeout=30) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


class Reader:
    """Tiles of the gateway: aics-tlog's own reader sends no credential."""

    def read_tile(self, level, index, width):
        return fetch(tiles.tile_path(level, index, width))

    def read_entry_bundle(self, index, width):
        return fetch(tiles.entry_bundle_path(index, width))


def main():
    note = aics_tlog.parse_note(fetch("checkpoint"))
    verified = aics_tlog.verify_checkpoint(note, aics_tlog.parse_vkey(vkey))
    assert verified.ok, verified
    head = aics_tlog.parse_checkpoint(note.text)
    reader = Reader()
    entries = []
    for index in range((head.size + 255) // 256):
        width = min(256, head.size - 256 * index)
        bundle = reader.read_entry_bundle(index, width if width < 256 else None)
        entries += tiles.parse_entry_bundle(bundle)
    assert len(entries) == head.size, (len(entries), head.size)
    for entry in entries:
        json.loads(entry)
    tree = aics_tlog.MerkleTree(entries)
    assert tree.root() == head.root, "the entries do not have the signed root"
    assert aics_tlog.tree_root_from_tiles(reader, head.size) == head.root, "the tiles do not have the signed root"
    aics_tlog.audit_tiles(reader, head.size, head.root)
    for index in {0, 1, min(255, head.size - 1), head.size // 2, head.size - 1}:
        path = aics_tlog.inclusion_proof_from_tiles(reader, index, head.size)
        assert aics_tlog.verify_leaf_inclusion(entries[index], index, head.size, path, head.root), index
    old = head.size // 2
    proof = aics_tlog.consistency_proof_from_tiles(reader, old, head.size)
    assert aics_tlog.verify_consistency(old, head.size, tree.root(old), head.root, proof)
    print(json.dumps({"size": head.size, "entries": len(entries), "old": old}))


main()
