"""Classify one image by MediaPipe: MODEL.tflite IMAGE.npy to JSON, scores by label."""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

model, image = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
with vision.ImageClassifier.create_from_options(options) as classifier:
    pixels = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(image))
    categories = classifier.classify(pixels).classifications[0].categories
print(json.dumps({each.category_name: each.score for each in categories}))
