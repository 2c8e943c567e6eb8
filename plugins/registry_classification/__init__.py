"""Image classification: the task, and the classifier head of MobileNetV3."""
