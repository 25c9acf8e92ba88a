"""Pictures that several folders of the package make: color map, panel, image files."""
