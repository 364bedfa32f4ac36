"""Language models by name: packaged, a folder, an adapter, a hub id; 8 and 4 bits."""
