"""Pictures that several rooms make: color map, panel, image files."""
