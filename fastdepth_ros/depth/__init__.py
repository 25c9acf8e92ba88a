"""The hot path: a camera frame goes in, metric depth comes out. numpy and OpenCV only."""
