"""ament_python package: `colcon build` and `pip install .` give the same executables and data files."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "fastdepth_ros"
SHARE = f"share/{NAME}"

models = [
    (f"{SHARE}/{folder}", glob(f"{folder}*"))
    for folder in sorted(glob("models/*/"))
    if Path(folder, "manifest.json").is_file()
]

setup(
    name=NAME,
    version="0.1.0",
    description="Metric depth from one camera, in milliseconds: FastDepth as a ROS 2 node",
    long_description=(Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    url="https://github.com/fastdepth-ros/fastdepth_ros",
    author="fastdepth_ros maintainers",
    author_email="maintainers@fastdepth-ros.org",
    maintainer="fastdepth_ros maintainers",
    maintainer_email="maintainers@fastdepth-ros.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", glob("launch/*.launch.py")),
        (f"{SHARE}/config", glob("config/*.*")),
        (f"{SHARE}/rviz", glob("rviz/*.rviz")),
        (f"{SHARE}/foxglove", glob("foxglove/*.json")),
        ("share/bash-completion/completions", glob("completion/*")),
        (f"lib/{NAME}", glob("scripts/*")),
        *models,
    ],
    package_data={
        f"{NAME}.artifact": ["catalog.json", "manifest_schema.json"],
        f"{NAME}.train": ["recipes/*.yaml"],
        f"{NAME}.view": ["page/*"],
    },
    zip_safe=True,
    # A robot has numpy and OpenCV from its distribution: ask for no newer one, and for OpenCV only by extra.
    install_requires=["numpy>=1.21", "onnxruntime>=1.12", "tqdm"],
    extras_require={
        "opencv": ["opencv-python-headless>=4.5"],
        "torch": ["torch>=2.1", "onnx>=1.14", "safetensors>=0.4", "tflite>=2.10"],
        "train": [
            "torch>=2.1",
            "safetensors>=0.4",
            "pyyaml",
            "tensorboard>=2.10",
            "matplotlib>=3.7",
            "h5py>=3.6",
            "scipy>=1.8",
        ],
        # other releases of the ffi crash where kernels are measured
        "tvm": ["apache-tvm[rpc]>=0.27,<0.28", "apache-tvm-ffi==0.1.14.post0", "onnx>=1.14"],
        "openvino": ["openvino>=2023.3"],
        "litert": ["ai-edge-litert>=2.0"],
        "bags": ["rosbags>=0.11", "pyyaml", "apsw", "mcap>=1.0", "matplotlib>=3.5"],
        "bench": ["matplotlib>=3.7", "nvidia-ml-py", "onnx>=1.14"],
        "cluster": ["ray>=2.10"],
        "completion": ["argcomplete>=2"],
        "docs": ["sphinx>=7", "myst-parser>=3"],
        "demo": ["rosbags>=0.11", "pyyaml", "apsw", "mcap>=1.0", "rich>=12"],
        "view": [
            "rosbags>=0.11",
            "pyyaml",
            "apsw",
            "mcap>=1.0",
            "av>=12",
            'rerun-sdk>=0.41; python_version >= "3.11"',
        ],
        "ros": [
            "ros-rclpy[fastrtps]==9.1.2",
            "ros-sensor-msgs==5.5.1",
            "ros-diagnostic-msgs==5.5.1",
            "ros-std-msgs==5.5.1",
            "ros-std-srvs==5.5.1",
        ],
        "ros-jazzy": [
            "ros-rclpy[fastrtps]==7.1.6",
            "ros-sensor-msgs==5.3.6",
            "ros-diagnostic-msgs==5.3.6",
            "ros-std-msgs==5.3.6",
            "ros-std-srvs==5.3.6",
        ],
        "test": [
            "pytest>=7,<9",
            "pytest-timeout",
            "hypothesis",
            "ruff",
            "mypy",
            "import-linter",
            "catkin_pkg",
            "pyyaml",
            "selenium>=4.15",
        ],
    },
    # These get into the global PATH, so each name begins with the package's; the others are in scripts/.
    entry_points={
        "console_scripts": [
            "fastdepth = fastdepth_ros.cli:main",
            "fastdepth_node = fastdepth_ros.node:fastdepth_node",
            "fastdepth_cameras = fastdepth_ros.node:fastdepth_cameras",
            "fastdepth_camera = fastdepth_ros.ros_tools:fastdepth_camera",
        ],
    },
)
