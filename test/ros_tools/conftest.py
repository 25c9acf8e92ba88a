from ros_fixtures import domain, graph, pytest_collection_modifyitems  # noqa: F401
