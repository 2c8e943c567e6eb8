"""The scheme `qnnpack`: torch's eager mode."""
