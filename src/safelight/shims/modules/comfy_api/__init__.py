"""The API of nodes in V3 form. There is only ``latest``; the versions that packs import are aliases."""
