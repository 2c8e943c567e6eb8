"""Data sets: folders of pictures, COCO, Pascal VOC, tables, pictures with masks, and digits that need no download."""
