"""The command `labor-llm`."""
