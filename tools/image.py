#!/usr/bin/env python3
"""Packs the filter's module as an OCI image layout, without a daemon, and prints its digest.

    tools/image.py MODULE.wasm DIRECTORY

Push it with any tool that reads layouts, such as `skopeo copy oci:DIRECTORY docker://REFERENCE`. The same module gives
the same digest. The form is the "compat" variant of the Wasm image specification
(github.com/solo-io/wasm, spec/README-compat.md): one layer that holds `plugin.wasm`.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile


def main(module, directory):
    root = pathlib.Path(directory)
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(value, kind):
        return blob(json.dumps(value, sort_keys=True).encode(), f"application/vnd.oci.image.{kind}.v1+json")

    data = pathlib.Path(module).read_bytes()
    if data[:4] != b"\0asm":
        sys.exit(f"{module} is no WebAssembly module; make wasm builds it")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        # No time, no owner: nothing but the module decides the digest.
        entry = tarfile.TarInfo("plugin.wasm")
        entry.size, entry.mode = len(data), 0o644
        archive.addfile(entry, io.BytesIO(data))
    layer = blob(gzip.compress(tar.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    content = hashlib.sha256(tar.getvalue()).hexdigest()
    config = document(
        {"architecture": "wasm", "os": "wasip1", "config": {},
         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{content}"]}},
        "config",
    )
    manifest = document(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
         "layers": [layer], "annotations": {"module.wasm.image/variant": "compat"}},
        "manifest",
    )
    index = {"schemaVersion": 2, "manifests": [manifest]}
    (root / "index.json").write_text(json.dumps(index))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    print(manifest["digest"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
