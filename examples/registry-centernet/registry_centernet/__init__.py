"""CenterNet: objects as points, without anchors and without suppression."""
