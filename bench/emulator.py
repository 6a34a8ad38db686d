"""How fast the emulated Marketo takes leads over HTTP, limits off: whatever is measured against it must be slower."""
