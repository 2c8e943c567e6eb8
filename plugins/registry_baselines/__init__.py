"""The networks that MobileNetV3 is measured against."""
