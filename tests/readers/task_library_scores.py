"""Classify one image by TFLite's Task Library: MODEL.tflite IMAGE.npy to JSON, scores by label."""

import json
import sys

import numpy as np
from tflite_support.task import vision

model, image = sys.argv[1:]
classifier = vision.ImageClassifier.create_from_file(model)
pixels = vision.TensorImage.create_from_array(np.load(image))
categories = classifier.classify(pixels).classifications[0].categories
print(json.dumps({each.category_name: each.score for each in categories}))
