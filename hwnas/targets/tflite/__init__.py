"""TFLite: emitter and LiteRT."""
