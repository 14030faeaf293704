"""Scores by imitation: how well the stages of a network can stand in for those of a teacher."""
