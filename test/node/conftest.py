from ros_fixtures import domain, graph, observer, odd_backend, pytest_collection_modifyitems  # noqa: F401
